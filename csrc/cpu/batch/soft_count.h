#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/batch/rows_over_threads.h"
#include "cpu/soft_count.h"
#include "cpu/sum/list_at_points.h"

namespace rank_relax::cpu {

template <class Set, class Scalar>
void SoftCountKernels<Set, Scalar>::sum(const PointBatch<Scalar>& batch, Scalar* output,
                                        const ParallelFor& parallel_for) {
  const int64_t lists = batch.count * batch.lists;
  const int64_t items = batch.count * (batch.points.size + batch.values.size);
  const double scale = std::pow(batch.regularization_strength, batch.order);
  SmoothCdfs::visit(batch.method, [&](auto cdf) {
    RowsOverThreads{1 << 12}.visit_ranges(
        lists, items / std::max<int64_t>(lists, 1), parallel_for,
        [&](int64_t begin, int64_t end, const ParallelFor& in_row) {
          ListAtPoints<decltype(cdf), Scalar> list;
          for (int64_t i = begin; i < end; ++i) {
            const int64_t row = i / batch.lists;
            const auto of_points = batch.points.of_list(row, i % batch.lists);
            if (of_points.begin == of_points.end) continue;
            const auto of_values = batch.values.of_list(row, i % batch.lists);
            list.set_lists(batch.points.rows.row(row), of_points, batch.values.rows.row(row),
                           of_values, batch.regularization_strength);
            for (int64_t set = row * batch.sets; set < (row + 1) * batch.sets; ++set) {
              list.sum(batch.order, scale, batch.weights.row(set), of_values,
                       output + set * batch.points.size + of_points.begin, in_row);
            }
          }
        });
  });
}

}  // namespace rank_relax::cpu
