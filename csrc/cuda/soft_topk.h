#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cuda/launch/items.h"
#include "cuda/row/row_batch.h"

namespace rank_relax::cuda {

/// Soft masks of the k largest items of every row of a batch, as cpu/soft_topk.h says.
struct SoftTopK : RowBatch {
  Items numbers;                // k, float64, [rows, 1]
  Results chosen;               // [rows, size]
  double* densities = nullptr;  // [rows, size]
};

/// Bytes of device memory that soft_topk works in.
size_t soft_topk_workspace(const SoftTopK& problem);

/// Enqueues on `stream`, for the current device; never waits. The same bits at every call. Cost:
/// O(size) a pass: those that select the items at the level, up to 32, or 64 in float64, of rows up
/// to 8192 items and 6 or 10 of longer ones, and the steps of the search, some ten.
cudaError_t soft_topk(const SoftTopK& problem, std::string_view method, void* workspace,
                      cudaStream_t stream);

/// Products with the Jacobian of the masks, for the densities that soft_topk gave.
struct SoftTopKProduct {
  int64_t rows = 0;
  int64_t size = 0;
  Items vectors;    // [rows, size]
  Items densities;  // float64, [rows, size]
  double regularization_strength = 1;
  Results output;  // [rows, size]
};

/// Bytes of device memory that soft_topk_product works in.
size_t soft_topk_product_workspace(const SoftTopKProduct& problem);

/// Enqueues on `stream`, for the current device; never waits. The same bits at every call. O(size)
/// a row.
cudaError_t soft_topk_product(const SoftTopKProduct& problem, void* workspace, cudaStream_t stream);

}  // namespace rank_relax::cuda
