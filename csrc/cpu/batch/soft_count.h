#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/rows_over_threads.h"
#include "cpu/soft_count.h"
#include "cpu/sum/keyed_list_at_points.h"
#include "cpu/sum/list_at_points.h"

namespace rank_relax::cpu {

/// Of the lists from one to another, set(row, of_points, of_values) gives each to `list`.
template <class List, class Set, class Scalar>
void sum_lists(const PointBatch<Scalar>& batch, int64_t begin, int64_t end, List& list,
               const Set& set, Scalar* output, const ParallelFor& in_row) {
  const double scale = std::pow(batch.regularization_strength, batch.order);
  for (int64_t i = begin; i < end; ++i) {
    const int64_t row = i / batch.lists;
    const auto of_points = batch.points.of_list(row, i % batch.lists);
    if (of_points.begin == of_points.end) continue;
    const auto of_values = batch.values.of_list(row, i % batch.lists);
    set(row, of_points, of_values);
    for (int64_t k = row * batch.sets; k < (row + 1) * batch.sets; ++k) {
      list.sum(batch.order, scale, batch.weights.row(k), of_values,
               output + k * batch.points.size + of_points.begin, in_row);
    }
  }
}

template <class Set, class Scalar>
void SoftCountKernels<Set, Scalar>::sum(const PointBatch<Scalar>& batch, Scalar* output,
                                        const ParallelFor& parallel_for) {
  const int64_t lists = batch.count * batch.lists;
  const int64_t items = batch.count * (batch.points.size + batch.values.size);
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    const auto size = [&](int64_t i) {
      const int64_t row = i / batch.lists, list = i % batch.lists;
      const auto of_points = batch.points.of_list(row, list);
      const auto of_values = batch.values.of_list(row, list);
      return of_points.end - of_points.begin + of_values.end - of_values.begin;
    };
    RowsOverThreads{1 << 12}.visit_ranges_of_any_size(
        lists, items / std::max<int64_t>(lists, 1), size, parallel_for,
        [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
          if (batch.value_keys.data == nullptr) {
            ListAtPoints<decltype(cdf), Scalar> list;
            const auto set = [&](int64_t row, const auto& of_points, const auto& of_values) {
              list.set_lists(batch.points.rows.row(row), of_points, batch.values.rows.row(row),
                             of_values, batch.regularization_strength);
            };
            sum_lists(batch, begin, end, list, set, output, in_row);
          } else {
            KeyedListAtPoints<decltype(cdf), Scalar> list;
            const auto set = [&](int64_t row, const auto& of_points, const auto& of_values) {
              list.set_lists(batch.points.rows.row(row), batch.point_keys.row(row), of_points,
                             batch.values.rows.row(row), batch.value_keys.row(row), of_values,
                             batch.regularization_strength);
            };
            sum_lists(batch, begin, end, list, set, output, in_row);
          }
        });
  });
}

}  // namespace rank_relax::cpu
