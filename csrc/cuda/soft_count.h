#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "cuda/launch/items.h"

namespace rank_relax::cuda {

/// Where the lists in each row end, one number more than there are lists: int64, in device memory.
/// Absent where a row is one list.
struct Ends {
  const int64_t* data = nullptr;
  int64_t row_stride = 0, item_stride = 0;

  RANK_RELAX_HOST_DEVICE int64_t at(int64_t row, int64_t i) const {
    return data[row * row_stride + i * item_stride];
  }
};

/// The order of points or values, by which a point counts the values of smaller keys alone.
/// Absent: it counts all.
struct Keys {
  enum class Type { kInt64, kFloat64, kFloat32 };

  const void* data = nullptr;
  Type type = Type::kInt64;
  int64_t row_stride = 0, item_stride = 0;
};

/// output[row][set][i] = α^p Σ_j w[row][set][j] K(α (t_i - x_j)), K the kernel of order p
/// (core/sum/kernel_at.h), over the values of the point's list, of smaller keys where there are
/// keys. NaN values count nowhere, and at NaN points there is NaN, as in all of a row whose ends do
/// not rise from 0 to its number of items. Equal infinite items have d = 0, and
/// none adds anything to orders above 0. A weight that is not finite makes NaN: with keys at the
/// points that count it, without at all finite points of its list; but there the weight of an
/// infinite value, and any at an infinite point, is multiplied as other numbers are. Tensors but
/// the keys have the dtype of the output.
struct PointSums {
  int64_t rows = 0, points = 0, values = 0, sets = 1;
  int64_t lists = 1;  // in each row
  Items of_points, of_values;
  Items weights;  // [rows * sets, values]
  Ends point_ends, value_ends;
  Keys point_keys, value_keys;
  int order = 0;
  double regularization_strength = 1;
  Results output;
};

/// Bytes of device memory that soft_count works in.
size_t soft_count_workspace(const PointSums& problem);

/// Enqueues on `stream`, for the current device; never waits. cudaErrorInvalidValue if the method
/// has no such order. The same bits at every call. Cost: all pairs of a list, as often as there are
/// four sets of weights.
cudaError_t soft_count(const PointSums& problem, std::string_view method, void* workspace,
                       cudaStream_t stream);

}  // namespace rank_relax::cuda
