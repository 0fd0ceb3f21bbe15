#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/cdf/smooth_cdfs.h"
#include "cuda/launch/items.h"
#include "cuda/row/row_batch.h"

namespace rank_relax::cuda {

/// The kernel sums of every row of a batch, with what turns them into ranks and derivatives:
///
///     order 0:   1/(n-1) Σ_{j≠i} F(α (x_i - x_j)) - 1/2 + shift
///     order k:   factor α^k/(n-1) Σ_j Π_{l<k} (v_l[i] - v_l[j]) F^(k)(α (x_i - x_j))
///
/// for n items that are neither masked nor NaN. All tensors have the precision of `input`, but for
/// the output, which may be float32 where that is a half.
struct KernelSum : RowBatch {
  int order = 0;
  Items directions[SmoothCdfs::kMaxOrder];
  double shift = 0;         // of order 0, in rows where n > 1
  Items factor;             // one a row; absent: 1
  bool spread_nan = false;  // a NaN direction is one of the result, at infinite items too
  Results output;
};

constexpr int64_t kLongestRow = 0xfffffffe;               // positions in a row have 32 bits
constexpr int64_t kLongestRowOfPairs = int64_t{1} << 20;  // where all pairs of a row may be summed

/// The most items of a row with this smooth CDF.
int64_t longest_row(std::string_view method);

/// Bytes of device memory that kernel_sum works in.
size_t kernel_sum_workspace(const KernelSum& problem, std::string_view method);

/// Enqueues on `stream`, for the current device; never waits, but at the first call with a method,
/// a precision and an order, which puts their series into device memory. The same bits at every
/// call. Cost: O(size) a row; O(size²) up to 128 items, for orders above 2, and of wide rows where
/// tails do not fall exponentially.
cudaError_t kernel_sum(const KernelSum& problem, std::string_view method, void* workspace,
                       cudaStream_t stream);

}  // namespace rank_relax::cuda
