#pragma once

#include <cstdint>
#include <string_view>

#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// A batch of `count` rows, each of which holds lists, one after the other: those that `offsets`
/// cut it into, one more than there are lists, or without them one.
template <class T>
struct ListsInRows {
  Rows<T> rows;
  int64_t size;  // of a row
  Rows<int64_t> offsets;

  struct Range {
    int64_t begin, end;
  };

  Range of_list(int64_t row, int64_t list) const {
    if (offsets.data == nullptr) return {0, size};
    const Row<int64_t> ends = offsets.row(row);
    return {ends[list], ends[list + 1]};
  }
};

/// What sums at points are asked about: for every list of points the list of values with its place,
/// and so many sets of weights for these, [count, sets, values.size]. With keys
/// (cpu/sort/sort_key.h) each point is asked about the values of smaller keys alone.
template <class Scalar>
struct PointBatch {
  int64_t count;  // of rows
  int64_t lists;  // in each of them
  ListsInRows<Scalar> points;
  ListsInRows<Scalar> values;
  Rows<uint64_t> point_keys, value_keys;  // absent both, or as points and values are
  Rows<Scalar> weights;
  int64_t sets;
  int order;
  double regularization_strength;
  std::string_view method;
};

/// output[set][i] = α^p Σ_j w_j K(α (t_i - x_j)), [count, sets, points.size] and contiguous, K the
/// kernel of the order p (core/sum/kernel_at.h), at most max_order(method). O(1) an item where the
/// tail falls exponentially, for orders up to 2.
template <class Scalar>
void soft_count(const PointBatch<Scalar>& batch, Scalar* output, const ParallelFor& parallel_for);

/// In one instruction set: batch/soft_count.h, in each file of compiled/.
template <class Set, class Scalar>
struct SoftCountKernels {
  static void sum(const PointBatch<Scalar>& batch, Scalar* output, const ParallelFor& parallel_for);
};

}  // namespace rank_relax::cpu
