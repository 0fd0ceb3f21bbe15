#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/correlation.h"
#include "core/row/grid_placement.h"
#include "core/row/kind.h"
#include "core/row/one_box_placement.h"
#include "core/row/row_counts.h"
#include "core/row/row_form.h"
#include "core/row/scaled_spread.h"
#include "cuda/launch/block.cuh"
#include "cuda/series/series_tables.h"
#include "cuda/soft_rank.h"

namespace rank_relax::cuda {

constexpr int kSeriesDirections = kSeriesOrders - 1;  // at most, in all forms but the pairwise

/// `problem` has an `input` and a `mask`.
template <class Scalar, class Problem>
__device__ Kind load_item(const Problem& problem, int64_t row, int64_t i, Scalar& value) {
  value = 0;
  if (is_masked(problem.mask, row, i)) return Kind::kMasked;
  value = load<Scalar>(problem.input, row, i);
  return kind_of(value);
}

/// One direction of a derivative at the finite items: v is used as scale * v - center, which lies
/// in [-1, 1]. A derivative depends on differences alone, so the centre is free.
struct Direction {
  double scale;
  double center;

  __device__ double operator()(double value) const { return value * scale - center; }
};

/// What was found in a row, or in a part of one.
struct RowStatistics {
  double finite, below, above, unmasked, counted;
  double minimum, maximum;  // of finite values
  double reference;         // the row's first item, if that is finite, or 0
  double total;             // of (finite value - reference) / size of the row, if wanted
  double unfit;             // finite items at which a direction is not
  double sum[kSeriesDirections], lowest[kSeriesDirections], highest[kSeriesDirections];

  __device__ void clear() {
    const double infinity = std::numeric_limits<double>::infinity();
    finite = below = above = unmasked = counted = reference = total = unfit = 0;
    minimum = infinity;
    maximum = -infinity;
    for (int l = 0; l < kSeriesDirections; ++l) {
      sum[l] = 0;
      lowest[l] = infinity;
      highest[l] = -infinity;
    }
  }

  __device__ void take_in_direction(int l, double value, double per_size) {
    if (isfinite(value)) {
      sum[l] += value * per_size;  // in range, which a sum might not be
      lowest[l] = Smaller()(lowest[l], value);
      highest[l] = Larger()(highest[l], value);
    } else {
      unfit += 1;
    }
  }

  __device__ void take_in(const RowStatistics& other, int order) {
    finite += other.finite;
    below += other.below;
    above += other.above;
    unmasked += other.unmasked;
    counted += other.counted;
    reference = other.reference;  // which all parts of a row share
    total += other.total;
    unfit += other.unfit;
    minimum = Smaller()(minimum, other.minimum);
    maximum = Larger()(maximum, other.maximum);
    for (int l = 0; l < order; ++l) {
      sum[l] += other.sum[l];
      lowest[l] = Smaller()(lowest[l], other.lowest[l]);
      highest[l] = Larger()(highest[l], other.highest[l]);
    }
  }

  /// Over the threads of the block, for all of them.
  __device__ void reduce(int order, bool with_total = false) {
    finite = reduce_in_block(finite, Sum());
    below = reduce_in_block(below, Sum());
    above = reduce_in_block(above, Sum());
    unmasked = reduce_in_block(unmasked, Sum());
    counted = reduce_in_block(counted, Sum());
    if (with_total) total = reduce_in_block(total, Sum());
    minimum = reduce_in_block(minimum, Smaller());
    maximum = reduce_in_block(maximum, Larger());
    if (order > 0) unfit = reduce_in_block(unfit, Sum());
    for (int l = 0; l < order; ++l) {
      sum[l] = reduce_in_block(sum[l], Sum());
      lowest[l] = reduce_in_block(lowest[l], Smaller());
      highest[l] = reduce_in_block(highest[l], Larger());
    }
  }
};

/// By the threads of a block, for all of them: items [begin, end) of a row, and the `directions` of
/// the problem where it has an order.
template <class Scalar, int kOrder, bool kWithTotal = false, class Problem>
__device__ RowStatistics statistics_of(const Problem& problem, const ItemRange& items) {
  const int64_t row = items.row, end = items.end;
  RowStatistics found;
  found.clear();
  const double per_size = 1 / static_cast<double>(problem.size);
  if constexpr (kWithTotal) {  // nothing cancels in the total of a row that is far from 0
    Scalar first;
    if (load_item(problem, row, 0, first) == Kind::kFinite) found.reference = first;
  }
  unsigned unmasked = 0, undefined = 0, below = 0, above = 0;  // of this thread
  Scalar minimum = std::numeric_limits<Scalar>::infinity(), maximum = -minimum;
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    Scalar value;
    const Kind kind = load_item(problem, row, i, value);
    unmasked += kind != Kind::kMasked;
    undefined += kind == Kind::kNan;
    below += kind == Kind::kBelow;
    above += kind == Kind::kAbove;
    if (kind != Kind::kFinite) continue;
    minimum = value < minimum ? value : minimum;
    maximum = value > maximum ? value : maximum;
    if (kWithTotal) found.total += (value - found.reference) * per_size;
    if constexpr (kOrder > 0) {
#pragma unroll
      for (int l = 0; l < kOrder; ++l) {
        found.take_in_direction(l, load<Scalar>(problem.directions[l], row, i), per_size);
      }
    }
  }
  found.unmasked = unmasked;
  found.counted = unmasked - undefined;
  found.below = below;
  found.above = above;
  found.finite = unmasked - undefined - below - above;
  found.minimum = minimum;
  found.maximum = maximum;
  found.reduce(kOrder, kWithTotal);
  return found;
}

/// The ways to sum a row; docs/algorithm.md explains them.
enum class Form { kDone, kOneBox, kManyBoxes, kSorted, kPairwise };

/// Everything about a row that its sums and its results need.
struct RowPlan {
  Form form;
  int terms, which;  // of the one-box series, and its place in the tables
  double strength;
  double finite, below, above, others;
  bool several;  // n > 1
  bool constant;
  bool counts;  // ranks, and not about their mean: sums of order 0 are relative to those below
  double base;  // added to sums of order 0 before they are rounded, which then count those below
  double reference, total;  // of (finite value - reference), where the statistics have it
  int capacity;             // the finite items are 2^capacity or fewer
  bool undefined;           // a direction is not finite at a finite item
  double minimum, maximum;
  double unit;            // 2 where maximum - minimum overflows: values are divided by it
  double center, rest;    // of the one box, and what the centre was rounded by
  double per_half_width;  // of the one box, in units of 1/α
  GridPlacement grid;
  double boxes;
  double factor;
  double scale;  // of a derivative's sums
  Direction directions[kSeriesDirections];
};

/// scale * v - center for finite v between the two, with this mean. A power of two and its
/// multiple.
__device__ inline Direction direction_between(double lowest, double highest, double mean) {
  mean = Larger()(lowest, Smaller()(highest, mean));
  const double half = Larger()(highest / 2 - mean / 2, mean / 2 - lowest / 2);
  if (!(half > 0)) return {0, 0};
  const int bits = ilogb(half) + 2;
  const double scale = ldexp(1.0, -(bits < -1000 ? -1000 : bits));
  return {scale, mean * scale};
}

__device__ inline double scaled_spread(const RowPlan& plan) {
  return rank_relax::scaled_spread(plan.minimum, plan.maximum, plan.strength);
}

/// What does not depend on the form. `plan` is in shared memory, by one thread, where more than
/// these numbers is asked of it: a copy of one's own would be in local memory.
__device__ inline void make_plan(const KernelSum& problem, const RowStatistics& found,
                                 double factor, bool with_directions, RowPlan& plan) {
  plan.form = Form::kDone;
  plan.finite = found.finite;
  plan.below = found.below;
  plan.above = found.above;
  plan.others = found.counted > 1 ? found.counted - 1 : 1;
  plan.several = found.counted > 1;
  plan.minimum = found.finite > 0 ? found.minimum : 0;
  plan.maximum = found.finite > 0 ? found.maximum : 0;
  plan.constant = plan.minimum == plan.maximum;
  plan.counts = problem.order == 0 && problem.shift > 0 && plan.several;
  plan.base =
      plan.counts ? RowCounts{found.finite, found.below, found.above}.finite_from_zero() : 0;
  plan.reference = found.reference;
  plan.total = found.total * static_cast<double>(problem.size);
  plan.capacity = found.finite > 1 ? ilogb(found.finite - 1) + 1 : 0;
  plan.undefined = found.unfit > 0;
  plan.unit = isfinite(plan.maximum - plan.minimum) ? 1 : 2;
  double strength = problem.regularization_strength;
  // Beside an infinity the ranks are not linear in the finite values, however narrow these are.
  if (problem.for_correlation && found.below + found.above == 0) {
    strength = correlation_strength(strength, plan.maximum - plan.minimum, problem.linear_spread);
  }
  plan.strength = strength;
  plan.factor = factor;
  double scale = factor / plan.others;
  for (int l = 0; l < problem.order; ++l) scale *= strength;
#pragma unroll
  for (int l = 0; l < kSeriesDirections; ++l) {  // unrolled, so that `found` stays in registers
    if (!with_directions || l >= problem.order) continue;
    const double mean = found.sum[l] * static_cast<double>(problem.size) / found.finite;
    plan.directions[l] = direction_between(found.lowest[l], found.highest[l], mean);
    if (plan.directions[l].scale > 0) scale /= plan.directions[l].scale;
  }
  plan.scale = scale;
}

template <class Scalar>
__device__ double factor_of(const KernelSum& problem, int64_t row) {
  return problem.factor.data == nullptr ? 1.0 : load<Scalar>(problem.factor, row, 0);
}

/// Most boxes of a long row's grid, which its memory is for. An order with several sets of weights
/// asks for as many times the items a box, so that the memory is O(1) an item.
RANK_RELAX_HOST_DEVICE inline int64_t most_boxes(Precision precision, int order, int64_t size) {
  constexpr int64_t kFewestItemsABoxInSingle = 20, kFewestItemsABoxInDouble = 40;
  return size /
         ((precision == kSingle ? kFewestItemsABoxInSingle : kFewestItemsABoxInDouble) << order);
}

/// Whether a series over the whole row is precise at its ends. F(-d) is convex, so that its mean
/// over the items is at least F(-d) at their mean distance d from an end: the lower end, or for
/// derivatives the one that they are farther from. Where the statistics have no total, the spread
/// stands in for the mean distance, which is no larger.
template <class Scalar, int kOrder>
__device__ bool one_box_is_precise(const SeriesTables& tables, const RowPlan& plan,
                                   bool has_total) {
  constexpr Precision kPrecision = precision_of<Scalar>;
  constexpr double kFewItems = kPrecisionOfEnds[kPrecision] / kPairError[kPrecision];
  if (kOrder > 1 || (kOrder == 0 && !plan.counts) || plan.finite <= kFewItems) return true;
  if (!has_total) return scaled_spread(plan) <= tables.most_mean_distance;
  const double from_lowest = plan.total - (plan.minimum - plan.reference) * plan.finite;
  const double from_highest = (plan.maximum - plan.reference) * plan.finite - plan.total;
  const double farther = kOrder == 0 ? from_lowest : Larger()(from_lowest, from_highest);
  return farther * plan.strength <= tables.most_mean_distance * plan.finite;
}

/// What a row's form is chosen from.
struct FormChoice {
  const SeriesTables& tables;
  int64_t most_boxes;  // that there is memory for
  bool has_total;      // of the row's values
};

/// The form of a row whose order has series. By a warp.
template <class Scalar, int kOrder>
__device__ void choose_form(const FormChoice& choice, RowPlan& plan) {
  const SeriesTables& tables = choice.tables;
  if (plan.finite == 0 || plan.undefined || (plan.constant && kOrder % 2 == 0)) return;
  const double spread = scaled_spread(plan);
  static_assert(kTermCounts <= kWarp);
  const int which =
      __popc(__ballot_sync(kAllLanes, lane() < kTermCounts && spread > tables.widest[lane()]));
  __syncwarp();  // the plan is read before it changes
  if (lane() != 0) return;
  plan.which = which;
  const bool has_one_box = which < kTermCounts;
  constexpr double kWidest = kWidestOneBox[precision_of<Scalar>];
  const bool has_grid = tables.box_width > 0;
  const bool is_precise = one_box_is_precise<Scalar, kOrder>(tables, plan, choice.has_total);
  const bool one_box_serves = has_one_box && spread <= kWidest && is_precise;
  if (!one_box_serves && has_grid && plan.unit == 1 &&
      spread / tables.box_width + 2 <= static_cast<double>(choice.most_boxes)) {
    plan.grid = grid_placement(plan.minimum, plan.maximum, tables.box_width, plan.strength);
    plan.boxes = plan.grid.last - plan.grid.first + 1;
    plan.form = Form::kManyBoxes;
  } else if (has_one_box && (has_grid || is_precise)) {
    plan.terms = kFewestTerms + which * kTermStep;
    const OneBoxPlacement<double> middle(plan.minimum, plan.maximum);
    plan.center = middle.center;
    plan.rest = middle.rest;
    plan.per_half_width = 1 / tables.half_width[which];
    plan.form = Form::kOneBox;
  } else {
    plan.form = has_grid ? Form::kSorted : Form::kPairwise;
  }
}

/// Writes an item's result; `sum` is its kernel sum with the plan's base, if it is finite.
template <class Scalar>
__device__ void write_result(const KernelSum& problem, const RowPlan& plan, int64_t row, int64_t i,
                             Kind kind, double sum) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const double shift = plan.several ? problem.shift : 0;
  double result = 0;
  if (kind == Kind::kNan) {
    result = kNan;
  } else if (problem.order == 0) {
    const RowCounts counts = {plan.finite, plan.below, plan.above};
    const double centered = kind == Kind::kFinite  ? sum + counts.finite_from_middle()
                            : kind == Kind::kBelow ? counts.below_from_middle()
                                                   : counts.above_from_middle();
    const double rank = centered / plan.others;
    if (plan.counts && kind == Kind::kFinite) {
      result = Larger()(0, Smaller()(1, sum / plan.others));
    } else if (plan.counts && kind == Kind::kBelow) {
      result = counts.rank_below() / plan.others;  // nothing is lost beside the middle
    } else if (kind != Kind::kMasked) {
      result = shift + Larger()(-0.5, Smaller()(0.5, rank));
    }
  } else if (kind == Kind::kFinite) {
    // A saturated row stays 0 though α^k may overflow.
    result = plan.undefined ? kNan : (sum == 0 && isfinite(plan.factor) ? 0 : sum * plan.scale);
  }
  if (problem.spread_nan && kind != Kind::kMasked &&
      isnan(load<Scalar>(problem.directions[0], row, i))) {
    result = kNan;
  }
  store(problem.output, row * problem.size + i, result);
}

}  // namespace rank_relax::cuda
