#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/row/row_form.h"
#include "core/series/box_series.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sort/radix_sort.h"
#include "cpu/sum/scan_sum.h"
#include "cpu/sum/series_sum.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The kernel sums of a very wide row, by sorting it first, O(n): radix passes and one walk. Beyond
/// F's reach items count ±1/2, so a gap as wide splits the sorted row into clusters. Dense clusters
/// are rows of a kind that has a fast form; all between them go to scans, if F is a short sum of
/// exponentials, or else to grids of boxes over one stretch after another. Where F is one
/// exponential, all of the row goes to a scan.
template <class Scalar>
class SortedRow {
  static constexpr Precision kPrecision = precision_of<Scalar>;
  static constexpr int64_t kFewestDense = 64;         // items that are worth a form of their own
  static constexpr int64_t kMostStretchBoxes = 1024;  // of one grid
  static constexpr int64_t kMostPairwise = 8;
  static constexpr int64_t kShortest = 1 << 16;  // that gives back memory as soon as it can

 public:
  template <class Cdf, int kOrder>
  void sum(const Summands<Scalar>& summands, const Output<Scalar>& output,
           SeriesSum<Scalar>& series_sum, const ParallelFor& parallel_for) {
    regularization_strength_ = summands.regularization_strength;
    count_ = summands.row.count;
    base_ = output.base;
    counts_ = output.counts;
    sort(summands.row);
    if (kOrder == 0 && count_ > kShortest) std::vector<unsigned char>().swap(spare_);
    gather<kOrder>(summands.directions);
    if constexpr (kIsExponential<Cdf>) {
      scan_all<Cdf, kOrder>();
    } else {
      sum_clusters<Cdf, kOrder>(series_sum, parallel_for);
    }
    const double unit = output.unit * output.scale;
    for (int64_t i = 0; i < count_; ++i) {
      const auto value = static_cast<Scalar>(unit * sums_[i] + output.shift);
      output.values[order_[i]] =
          value < output.lowest ? output.lowest : (value > output.highest ? output.highest : value);
    }
  }

 private:
  void sort(const FiniteRow<Scalar>& row) {
    sorted_.resize(count_);
    order_.resize(count_);
    sums_.resize(count_);
    spare_.resize(count_ * std::max(sizeof(uint32_t), sizeof(Scalar)));
    radix_argsort(row.values, count_, {sorted_.data(), order_.data()},
                  {sums_.data(), reinterpret_cast<uint32_t*>(spare_.data())});
  }

  /// The directions in the values' order, the first one in memory that sorting has left.
  template <int kOrder>
  void gather(const Direction<Scalar>* directions) {
    for (int l = 0; l < kOrder; ++l) {
      if (l > 0) second_.resize(count_);
      Scalar* gathered = l == 0 ? reinterpret_cast<Scalar*>(spare_.data()) : second_.data();
      for (int64_t i = 0; i < count_; ++i) gathered[i] = directions[l](order_[i]);
      directions_[l] = gathered;
    }
  }

  template <class Cdf, int kOrder>
  void scan_all() {
    if (kOrder == 0 && !counts_) {
      centered_scan_sum(sorted_.data(), count_, regularization_strength_, base_, grown_,
                        sums_.data());
    } else {
      scan<Cdf, kOrder>(0, count_);
    }
  }

  template <class Cdf, int kOrder>
  void sum_clusters(SeriesSum<Scalar>& series_sum, const ParallelFor& parallel_for) {
    constexpr bool kScans = kMostScannedOrder<Cdf> >= kOrder;
    reach_ = reach_of_items<Cdf>(kPrecision, count_);
    int64_t sparse = 0;  // where the items begin that no form has taken yet
    for (int64_t begin = 0, end = 0; begin < count_; begin = end) {
      end = begin + 1;
      while (end < count_ && scaled_gap(end - 1, end) <= reach_) ++end;
      const RowForm form = row_form<Cdf>(kPrecision, kOrder, end - begin,
                                         scaled_gap(begin, end - 1), Vector<Scalar>::kLooksUp);
      const bool dense =
          end - begin >= kFewestDense && (form == RowForm::kOneBox || form == RowForm::kManyBoxes);
      if constexpr (kScans) {
        if (!dense) continue;
        scan<Cdf, kOrder>(sparse, begin);
        sparse = end;
      }
      if (dense && form == RowForm::kOneBox) {
        sum_in_one_box<Cdf, kOrder>(begin, end, series_sum, parallel_for);
      } else {
        sum_in_stretches<Cdf, kOrder>(begin, end, series_sum);
      }
    }
    if constexpr (kScans) scan<Cdf, kOrder>(sparse, count_);
  }

  double scaled_gap(int64_t lower, int64_t upper) const {
    const double above = sorted_[upper], below = sorted_[lower];
    return 2 * ((above / 2 - below / 2) * regularization_strength_);
  }

  FiniteRow<Scalar> sorted_row(int64_t begin, int64_t end) const {
    return {sorted_.data() + begin, end - begin, sorted_[begin], sorted_[end - 1]};
  }

  /// A part of the sorted row, whose directions go to `directions`.
  template <int kOrder>
  Summands<Scalar> sorted_part(int64_t begin, int64_t end, Direction<Scalar>* directions) const {
    for (int l = 0; l < kOrder; ++l) directions[l] = {directions_[l] + begin, 1, 0};
    return {sorted_row(begin, end), regularization_strength_, directions};
  }

  /// What is to be added to the sums of F - 1/2 over [begin, end): what the items outside of it
  /// add, and the base.
  double base_of(int64_t begin, int64_t end) const {
    return base_ + static_cast<double>(begin - (count_ - end)) / 2;
  }

  template <int kOrder>
  Output<Scalar> sums_of(int64_t begin, int64_t end) {
    constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
    return {sums_.data() + begin,
            1,
            0,
            -kInfinity,
            kInfinity,
            kOrder == 0 ? base_of(begin, end) : 0,
            1,
            kOrder == 0 && counts_};
  }

  template <class Cdf, int kOrder>
  void scan(int64_t begin, int64_t end) {
    if (begin == end) return;
    const Scalar* directions[std::max(kOrder, 1)] = {};
    for (int l = 0; l < kOrder; ++l) directions[l] = directions_[l] + begin;
    scan_sum<Cdf>(sorted_row(begin, end), regularization_strength_, directions, kOrder,
                  base_of(begin, end), sums_.data() + begin);
  }

  template <class Cdf, int kOrder>
  void sum_in_one_box(int64_t begin, int64_t end, SeriesSum<Scalar>& series_sum,
                      const ParallelFor& parallel_for) {
    Direction<Scalar> directions[std::max(kOrder, 1)];
    series_sum.template one_box<Cdf, kOrder>(sorted_part<kOrder>(begin, end, directions),
                                             sums_of<kOrder>(begin, end), parallel_for);
  }

  /// A cluster through many boxes, stretch by stretch, each with what lies within reach on its
  /// sides: so the boxes take little memory.
  template <class Cdf, int kOrder>
  void sum_in_stretches(int64_t cluster_begin, int64_t cluster_end, SeriesSum<Scalar>& series_sum) {
    Direction<Scalar> directions[std::max(kOrder, 1)];
    if (cluster_end - cluster_begin <= kMostPairwise) {
      return series_sum.template pairwise<Cdf>(
          sorted_part<kOrder>(cluster_begin, cluster_end, directions), kOrder,
          sums_of<kOrder>(cluster_begin, cluster_end), in_this_thread);
    }
    const BoxGrid grid = Cdf::box_grid[kPrecision];
    int64_t from = cluster_begin, to = cluster_begin;
    for (int64_t begin = cluster_begin, end = begin; begin < cluster_end; begin = end) {
      const double widest = kMostStretchBoxes * grid.width;
      while (end < cluster_end && scaled_gap(begin, end) <= widest) ++end;
      while (scaled_gap(from, begin) > reach_) ++from;
      to = std::max(to, end);
      while (to < cluster_end && scaled_gap(end - 1, to) <= reach_) ++to;
      series_sum.template stretch_of_boxes<Cdf, kOrder>(sorted_part<kOrder>(from, to, directions),
                                                        {begin - from, end - from},
                                                        sums_of<kOrder>(from, to));
    }
  }

  double regularization_strength_;
  int64_t count_;
  double base_;
  bool counts_;
  double reach_;  // in units of 1/α
  std::vector<Scalar> sorted_;
  std::vector<uint32_t> order_;
  std::vector<Scalar> sums_;          // in the order of sorted_; while sorting, spare values
  std::vector<unsigned char> spare_;  // while sorting, spare positions; then the first direction
  std::vector<Scalar> second_;
  std::vector<double> grown_;  // of a centred scan
  const Scalar* directions_[2];
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
