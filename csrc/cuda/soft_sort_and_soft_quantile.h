#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cuda/launch/items.h"
#include "cuda/row/row_batch.h"

namespace rank_relax::cuda {

/// The inverse of the smoothed count of every row of a batch, as cpu/soft_sort.h says: at the
/// levels k - 1/2 of its finite values, which makes a soft sort, or at given levels.
struct Quantile : RowBatch {
  Items levels;  // float64, [rows, level_count]; absent: sort
  int64_t level_count = 0;

  Results values;               // of a sort, [rows, size]; absent: none
  double* points = nullptr;     // [rows, size] or [rows, level_count]; may be absent for a sort
  double* densities = nullptr;  // of a sort, [rows, size]; may be absent

  size_t most_bytes = size_t{1} << 28;  // long rows are worked on as many at a time, or one by one

  RANK_RELAX_HOST_DEVICE bool sorts() const { return levels.data == nullptr; }
  RANK_RELAX_HOST_DEVICE int64_t places() const { return sorts() ? size : level_count; }
};

/// The most items of a row with this smooth CDF. A level alone takes no comparison of all pairs.
int64_t longest_quantile_row(const Quantile& problem, std::string_view method);

/// Bytes of device memory that quantile works in.
size_t quantile_workspace(const Quantile& problem, std::string_view method);

/// Enqueues on `stream`, for the current device; never waits, but at the first call with a method,
/// which puts its series into device memory. The same bits at every call. Cost: a sort and O(1) an
/// item where rows of up to 1024 are sorted by scans, O(size²) another row of up to 256 items,
/// O(size) a longer one that spans fewer boxes than it has items, else a sort and O(reach) a level;
/// without a grid a sort and O(log size) a level where F(-d) = e^-d/2, else O(size) a step of a
/// level.
cudaError_t quantile(const Quantile& problem, std::string_view method, void* workspace,
                     cudaStream_t stream);

}  // namespace rank_relax::cuda
