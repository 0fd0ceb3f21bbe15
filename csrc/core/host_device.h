#pragma once

/// Before a function that both the host and a CUDA device call.
#ifdef __CUDACC__
#define RANK_RELAX_HOST_DEVICE __host__ __device__
#else
#define RANK_RELAX_HOST_DEVICE
#endif
