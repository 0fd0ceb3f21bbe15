#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "cuda/launch/items.h"

namespace rank_relax::cuda {

/// loss[row] = 1 - Pearson(a[row], b[row]) for centred soft ranks a and b, [rows, size],
/// contiguous, which the loss's gradients with respect to them replace; see correlation.cuh. NaN
/// where an item is, and in all of its row's gradients, but at masked items.
struct Correlation {
  int64_t rows;
  int64_t size;
  Items mask;
  void* a;  // doubles if `in_double`, else floats
  void* b;
  bool in_double;
  Results loss;
};

size_t correlation_workspace(const Correlation& problem);

/// Enqueues on `stream`, for the current device, and never waits.
cudaError_t correlation(const Correlation& problem, void* workspace, cudaStream_t stream);

}  // namespace rank_relax::cuda
