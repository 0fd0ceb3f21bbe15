#pragma once

// Stands in for a header that torch's CUDA build generates and its CPU wheel lacks, so that the
// adapters can be compiled there, though not linked.
#define C10_CUDA_BUILD_SHARED_LIBS
