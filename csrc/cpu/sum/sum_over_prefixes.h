#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/row/scaled_difference.h"
#include "core/sum/sum_over_prefixes_form.h"
#include "cpu/grid/weighted_grid.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/numbers.h"
#include "cpu/row/row_statistics.h"
#include "cpu/sum/pairs_at_points.h"
#include "cpu/sum/sum_at_points.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Σ_(j < n_i) w_j K(α (t_i - x_j)) at points t with counts n that nowhere fall: each over the
/// first values of a list, as many as its count says. As cpu/sum/sum_at_points.h, otherwise.
///
/// Values are halved, and the points: those that see more than the lower half of the values see all
/// of it, and of the others each half is asked again. Where boxes are few they are one grid for all
/// halves: with the moments of the lower half, which the lower points have added up on the way, the
/// upper points have one more series, and each point is evaluated once. So every item costs the
/// same as in one list, and a halving what the boxes do. Elsewhere each half is a list of its own.
template <class Cdf, Precision kPrecision>
class SumOverPrefixes {
 public:
  /// Borrows all three until the next call. Finite points and values; a count for each point.
  void set_lists(const Numbers& points, const Numbers& values, const int64_t* counts,
                 double regularization_strength) {
    points_ = points;
    values_ = values;
    counts_ = counts;
    strength_ = regularization_strength;
    if (points.count == 0 || values.count == 0) return;
    extent_ = extent_of_part(points.values, 0, points.count) |
              extent_of_part(values.values, 0, values.count);
  }

  template <int kOrder>
  void sum(const double* weights, double* sums, const ParallelFor& parallel_for) {
    if (is_nothing(sums)) return;
    weights_ = weights;
    sums_ = sums;
    cost_ = cost_of_sum_at_points<Cdf>(kPrecision, kOrder);
    switch (
        sum_over_prefixes_form<Cdf>(kPrecision, kOrder, points_.count, values_.count, spread())) {
      case SumOverPrefixesForm::kPairwise:
        return pairwise<kOrder>(parallel_for);
      case SumOverPrefixesForm::kOneGrid:
        if constexpr (kHasGrid<Cdf>) on_one_grid<kOrder>(parallel_for);
        return;
      case SumOverPrefixesForm::kLists:
        return in_lists<kOrder>(parallel_for);
    }
  }

  /// Of order 3 and more.
  void sum_of_order(int order, const double* weights, double* sums,
                    const ParallelFor& parallel_for) {
    if (is_nothing(sums)) return;
    const SumOfPairsOfOrder<Cdf> pairs(order, strength_);
    for_parts_of_points(parallel_for, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = pairs.at(points_.values[i], values_.part(0, counts_[i]), weights);
      }
    });
  }

 private:
  /// Some values and some points, of which none sees a value that is not in its prefix.
  struct Part {
    int64_t first_value, last_value, first_point, last_point;  // the last ones are not in it

    int64_t values() const { return last_value - first_value; }
    int64_t points() const { return last_point - first_point; }
  };

  double spread() const { return scaled_difference(strength_, extent_.maximum, extent_.minimum); }

  bool is_nothing(double* sums) const {
    if (points_.count > 0 && values_.count == 0) std::fill_n(sums, points_.count, 0.0);
    return points_.count == 0 || values_.count == 0;
  }

  Numbers points_of(const Part& part) const {
    return points_.part(part.first_point, part.last_point);
  }
  Numbers values_of(const Part& part) const {
    return values_.part(part.first_value, part.last_value);
  }

  /// How many of its values the part's i-th point sees.
  int64_t seen(const Part& part, int64_t point) const {
    return std::clamp(counts_[point], part.first_value, part.last_value) - part.first_value;
  }
  bool sees_nothing(const Part& part) const {
    return part.points() == 0 || counts_[part.last_point - 1] <= part.first_value;
  }
  bool sees_everything(const Part& part) const {
    return part.points() > 0 && counts_[part.first_point] >= part.last_value;
  }
  /// How many pairs boxes would spare: all, or of about half of them half.
  double pairs_spared(const Part& part) const {
    const double all = static_cast<double>(part.values()) * static_cast<double>(part.points());
    return sees_everything(part) ? all : all / 4;
  }

  /// What a part is cut into: upper points see all lower values, lower points no upper ones.
  struct Halves {
    Part lower, upper;

    /// The upper points with the lower values.
    Part across() const {
      return {lower.first_value, lower.last_value, upper.first_point, upper.last_point};
    }
  };

  /// At the count of a point that is nearest to the middle of the values, for a part of which some
  /// points see something and some not everything: so neither half is all of it.
  Halves halves(const Part& part) const {
    const int64_t *begin = counts_ + part.first_point, *end = counts_ + part.last_point;
    const int64_t middle = part.first_value + (part.values() + 1) / 2;
    const int64_t* above = std::lower_bound(begin, end, middle);
    int64_t cut = above == end ? above[-1] : std::min(*above, part.last_value);
    if (above != begin && above[-1] > part.first_value && middle - above[-1] < cut - middle) {
      cut = above[-1];
    }
    const int64_t point = std::lower_bound(begin, end, cut) - counts_;
    return {{part.first_value, cut, part.first_point, point},
            {cut, part.last_value, point, part.last_point}};
  }

  template <class Visit>
  void for_parts_of_points(const ParallelFor& parallel_for, const Visit& visit) const {
    constexpr int64_t kPairsWorthAThread = 1 << 17;
    parallel_for(points_.count, std::max<int64_t>(kPairsWorthAThread / values_.count, 1), visit);
  }

  // Pair by pair

  template <int kOrder>
  void pairwise(const ParallelFor& parallel_for) const {
    std::fill_n(sums_, points_.count, 0.0);
    for_parts_of_points(parallel_for, [&](int64_t begin, int64_t end) {
      add_pairs<kOrder>({0, values_.count, begin, end});
    });
  }

  template <int kOrder>
  void add_pairs(const Part& part) const {
    constexpr int64_t kBlock = 64;
    for (int64_t first = part.first_point; first < part.last_point; first += kBlock) {
      const int64_t last = std::min(first + kBlock, part.last_point);
      double counts[kBlock];
      for (int64_t i = first; i < last; ++i) {
        counts[i - first] = static_cast<double>(seen(part, i));
      }
      add_sums_of_pairs<Cdf, kPrecision, kOrder, true>(strength_, points_.part(first, last), counts,
                                                       values_of(part), weights_ + part.first_value,
                                                       sums_ + first);
    }
  }

  // One grid

  /// A thread's grid, and the moments and series of what it halves.
  struct OnGrid {
    WeightedGrid<Cdf, kPrecision> grid;
    std::vector<std::vector<double>> moments, local;  // of each depth

    /// Moments that are 0, and room for a series.
    void begin(size_t depth, double*& own, double*& of_upper) {
      if (depth == moments.size()) {
        moments.emplace_back();
        local.emplace_back();
      }
      moments[depth].assign(grid.numbers(), 0.0);
      local[depth].resize(grid.numbers());
      own = moments[depth].data();
      of_upper = local[depth].data();
    }
  };

  template <int kOrder>
  void on_one_grid(const ParallelFor& parallel_for) {
    // Of a long list, parts as wide as this, whatever threads there are.
    constexpr int64_t kValuesWorthAPart = 1 << 15;
    const int64_t parts = std::max<int64_t>(values_.count / kValuesWorthAPart, 1);
    OnGrid& first = on_grid_;
    first.grid.set_extent(extent_.minimum, extent_.maximum, strength_);
    const int64_t numbers = first.grid.numbers();
    boxes_cost_ = cost_.of_boxes(static_cast<double>(first.grid.boxes()),
                                 reach() / Cdf::box_grid[kPrecision].width);
    moments_.assign(parts * numbers, 0.0);
    local_.assign(parts * numbers, 0.0);
    if (parts == 1) {
      return descend<kOrder>({0, values_.count, 0, points_.count}, 0, local_.data(),
                             moments_.data(), first);
    }
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const Part part = part_at(i, parts);
        first.grid.add_moments(values_of(part), weights_ + part.first_value,
                               moments_.data() + i * numbers);
      }
    });
    for (int64_t i = numbers; i < parts * numbers; ++i) moments_[i] += moments_[i - numbers];
    for (int64_t i = 1; i < parts; ++i) {
      first.grid.template set_moments<kOrder>(moments_.data() + (i - 1) * numbers, reach());
      first.grid.template local_series<kOrder>(local_.data() + i * numbers, parallel_for);
    }
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      OnGrid own;
      own.grid.set_extent(extent_.minimum, extent_.maximum, strength_);
      for (int64_t i = begin; i < end; ++i) {
        descend<kOrder>(part_at(i, parts), 0, local_.data() + i * numbers,
                        moments_.data() + i * numbers, own);
      }
    });
  }

  /// One of so many parts, with the points whose counts end in it.
  Part part_at(int64_t index, int64_t parts) const {
    const int64_t begin = values_.count * index / parts;
    const int64_t end = values_.count * (index + 1) / parts;
    const auto first_point = [&](int64_t count) {
      return std::lower_bound(counts_, counts_ + points_.count, count) - counts_;
    };
    return {begin, end, index == 0 ? 0 : first_point(begin),
            index + 1 == parts ? points_.count : first_point(end)};
  }

  double reach() const { return Cdf::box_grid[kPrecision].reach_of_tails; }

  /// Sums at the points of a part, with the series of what all of them see before it, and adds the
  /// moments of its values.
  template <int kOrder>
  void descend(const Part& part, size_t depth, const double* local, double* moments,
               OnGrid& on_grid) const {
    const WeightedGrid<Cdf, kPrecision>& grid = on_grid.grid;
    if (sees_nothing(part) || pairs_spared(part) * cost_.pair <= boxes_cost_) {
      grid.evaluate(points_of(part), local, sums_ + part.first_point, in_this_thread);
      if (!sees_nothing(part)) add_pairs<kOrder>(part);
      return grid.add_moments(values_of(part), weights_ + part.first_value, moments);
    }
    double *own, *of_upper;
    on_grid.begin(depth, own, of_upper);
    if (sees_everything(part)) {
      grid.add_moments(values_of(part), weights_ + part.first_value, own);
      add_series<kOrder>(own, local, of_upper, on_grid);
      grid.evaluate(points_of(part), of_upper, sums_ + part.first_point, in_this_thread);
    } else {
      const Halves half = halves(part);
      descend<kOrder>(half.lower, depth + 1, local, own, on_grid);
      add_series<kOrder>(own, local, of_upper, on_grid);
      descend<kOrder>(half.upper, depth + 1, of_upper, own, on_grid);
    }
    for (int64_t i = 0; i < grid.numbers(); ++i) moments[i] += own[i];
  }

  /// The series of moments beside that of others.
  template <int kOrder>
  void add_series(const double* moments, const double* others, double* local,
                  OnGrid& on_grid) const {
    std::copy_n(others, on_grid.grid.numbers(), local);
    on_grid.grid.template set_moments<kOrder>(moments, reach());
    on_grid.grid.template add_local_series<kOrder>(local);
  }

  // Lists of their own

  /// Parts of one depth have no point in common.
  template <int kOrder>
  void in_lists(const ParallelFor& parallel_for) {
    std::fill_n(sums_, points_.count, 0.0);
    std::vector<Part> parts = {{0, values_.count, 0, points_.count}};
    while (!parts.empty()) {
      std::vector<Part> next, whole, small;
      for (const Part& part : parts) {
        if (sees_nothing(part)) continue;
        if (sees_everything(part)) {
          whole.push_back(part);
        } else if (is_small<kOrder>(part)) {
          small.push_back(part);
        } else {
          const Halves half = halves(part);
          whole.push_back(half.across());
          next.push_back(half.lower);
          next.push_back(half.upper);
        }
      }
      parallel_for(static_cast<int64_t>(whole.size()), 1, [&](int64_t begin, int64_t end) {
        SumAtPoints<Cdf, kPrecision> of_list;
        std::vector<double> sums;
        for (int64_t i = begin; i < end; ++i) add_list<kOrder>(whole[i], of_list, sums);
      });
      parallel_for(static_cast<int64_t>(small.size()), 16, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) add_pairs<kOrder>(small[i]);
      });
      parts = std::move(next);
    }
  }

  /// Whether half of it, as wide as the whole list, would be summed pair by pair anyway.
  template <int kOrder>
  bool is_small(const Part& part) const {
    return sum_at_points_form<Cdf>(kPrecision, Tails::kOfAll, kOrder, part.points() / 2,
                                   part.values() / 2, spread()) == SumAtPointsForm::kPairwise;
  }

  template <int kOrder>
  void add_list(const Part& part, SumAtPoints<Cdf, kPrecision>& list,
                std::vector<double>& sums) const {
    list.set_lists(points_of(part), values_of(part), strength_);
    sums.resize(part.points());
    list.template sum<kOrder>(weights_ + part.first_value, sums.data(), in_this_thread);
    for (int64_t i = 0; i < part.points(); ++i) sums_[part.first_point + i] += sums[i];
  }

  Numbers points_, values_;
  const int64_t* counts_;
  double strength_;
  Extent<double> extent_;
  const double* weights_;
  double* sums_;
  SumAtPointsCost cost_;
  double boxes_cost_;  // of one more series
  OnGrid on_grid_;
  std::vector<double> moments_, local_;  // [part][box][term]
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
