#pragma once

#include <cuda_runtime.h>

#include <string_view>

#include "cuda/soft_rank.h"

namespace rank_relax::cuda {

/// Whether the rows are summed as register_row.cuh says.
bool fits_in_registers(const KernelSum& problem);

/// Enqueues their sums: one kernel, with no memory to work in.
cudaError_t sum_in_registers(const KernelSum& problem, std::string_view method,
                             cudaStream_t stream);

}  // namespace rank_relax::cuda
