#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/projection/block_number.h"
#include "core/projection/permutahedron.h"
#include "cuda/launch/items.h"
#include "cuda/row/row_batch.h"

namespace rank_relax::cuda {

// Soft ranks and soft sorted values with the methods of core/projection/permutahedron.h, as
// cpu/projection/permutahedron.h says: a block of threads a row, which pools it in parallel, in
// double, when it or, of a long row, all blocks have sorted it. All tensors are [rows, size];
// outputs, blocks and permutations are contiguous. What enqueues does so on `stream`, for the
// current device, never waits, and gives the same bits at every call. A row has at most kMostBlocks
// items.

/// (rank - 1)/(n - 1) - 1/2 + shift.
struct PermutahedronRank {
  RowBatch batch;
  double shift = 0;  // in rows where n > 1
  Results ranks;     // may be absent
  int32_t* blocks = nullptr;
};

size_t permutahedron_rank_workspace(const PermutahedronRank& problem);
cudaError_t permutahedron_rank(const PermutahedronRank& problem, std::string_view method,
                               void* workspace, cudaStream_t stream);

/// The derivative of a rank along `order` directions, at least 1. A block that is no number below
/// `size` is taken for that of a masked item. Cost: a sort by block, and O(size) a row, times
/// 3^order for kl.
struct PermutahedronRankDerivative {
  RowBatch batch;
  const int32_t* blocks = nullptr;  // of permutahedron_rank; absent: it is done first
  int order = 1;
  Items directions[L2::kMaxOrder];
  Items factor;             // one a row; absent: 1
  bool spread_nan = false;  // a NaN in the first direction is one of the result, at infinities too
  Results output;
};

size_t permutahedron_rank_derivative_workspace(const PermutahedronRankDerivative& problem);
cudaError_t permutahedron_rank_derivative(const PermutahedronRankDerivative& problem,
                                          std::string_view method, void* workspace,
                                          cudaStream_t stream);

struct PermutahedronSort {
  RowBatch batch;
  Results values;
  int64_t* permutation;
  int32_t* blocks;
};

size_t permutahedron_sort_workspace(const PermutahedronSort& problem);
cudaError_t permutahedron_sort(const PermutahedronSort& problem, std::string_view method,
                               void* workspace, cudaStream_t stream);

/// The Jacobian of the sorted values, or its transpose, times a vector. Places whose `permutation`
/// is not an item of the row are passed over.
struct PermutahedronSortProduct {
  RowBatch batch;
  const int64_t* permutation;
  const int32_t* blocks;
  Items vector;
  bool transposed;
  Results output;
};

size_t permutahedron_sort_product_workspace(const PermutahedronSortProduct& problem);
cudaError_t permutahedron_sort_product(const PermutahedronSortProduct& problem,
                                       std::string_view method, void* workspace,
                                       cudaStream_t stream);

}  // namespace rank_relax::cuda
