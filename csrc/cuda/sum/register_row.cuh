#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/correlation.h"
#include "core/row/one_box_placement.h"
#include "core/row/row_counts.h"
#include "core/row/scaled_spread.h"
#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"
#include "cuda/sum/fast_float.cuh"
#include "cuda/sum/kernel_of_pair.cuh"

namespace rank_relax::cuda {

// Ranks and first derivatives of a row of few items in float32, pair by pair, by a warp: a lane has
// one item, two or four in its registers, and takes all finite ones, which are in shared memory, in
// their order. A sum of 16 pairs is a float's; those are added with what they are rounded by.
//
// Where a pair has factors (core/cdf/sigmoid.h), one reciprocal r = 1/(a_i + a_j) is all that it
// takes: F = a_i r, F' = a_i r · a_j r. Else it takes the tail F(-|d|), or F' by its formula.
//
// A count is Σ F over the pairs that differ, and half of each that does not: so few items below one
// keep their relative precision, and equal items have equal bits. A sum about the middle is that of
// F - 1/2, to the relative precision of a narrow row.

constexpr int64_t kLongestRegisterRow = 128;
constexpr int kRegisterRowsABlock = 4;

/// A sum of floats with what it was rounded by (Knuth's two-sum).
struct FloatAndRest {
  float sum = 0, rest = 0;

  __device__ void add(float term) {
    const float next = sum + term, of_term = next - sum;
    rest += (sum - (next - of_term)) + (term - of_term);
    sum = next;
  }
  __device__ double value() const { return static_cast<double>(sum) + static_cast<double>(rest); }
};

struct alignas(16) FourFloats {
  float of[4];
};

/// The finite items of one row, one after the other.
template <int kItems>
struct RegisterRowItems {
  FourFloats points[kItems * kWarp / 4];      // factors, or the values
  FourFloats directions[kItems * kWarp / 4];  // of order 1

  __device__ float& point(int j) { return points[j / 4].of[j % 4]; }
  __device__ float& direction(int j) { return directions[j / 4].of[j % 4]; }
};

/// A lane's items of a row: lane, lane + 32, ...
template <int kItems>
struct OwnItems {
  float values[kItems], points[kItems], directions[kItems];
  Kind kinds[kItems];
};

/// totals[m] = Σ_j term(m, x_j, v_j) over the finite items.
template <int kOrder, int kItems, class Term>
__device__ void sum_over_register_row(const RegisterRowItems<kItems>& items, int count,
                                      const Term& term, FloatAndRest (&totals)[kItems]) {
  constexpr int kChunk = 16;
  [[maybe_unused]] constexpr int kFoursAtOnce = kItems < 4 ? 2 / kItems : 1;
  const auto add_four = [&](int four, int number, float (&sums)[kItems]) {
    const FourFloats points = items.points[four];
    FourFloats directions = {};
    if constexpr (kOrder > 0) directions = items.directions[four];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (k >= number) break;
#pragma unroll
      for (int m = 0; m < kItems; ++m) sums[m] += term(m, points.of[k], directions.of[k]);
    }
  };
  for (int first = 0; first < count; first += kChunk) {
    float sums[kItems] = {};
    const int left = count - first;
    if (left >= kChunk) {
#pragma unroll(kFoursAtOnce)
      for (int four = 0; four < kChunk / 4; ++four) add_four(first / 4 + four, 4, sums);
    } else {
#pragma unroll 1
      for (int done = 0; done < left; done += 4) add_four((first + done) / 4, left - done, sums);
    }
#pragma unroll
    for (int m = 0; m < kItems; ++m) totals[m].add(sums[m]);
  }
}

/// Whether pairs have factors. They are those of F = (1 + q)/2, which is a_i r where the factors
/// have no offset.
template <class Cdf>
constexpr bool kHasShares = (Cdf::factored_spread > 0);

/// What is known of a row, alike in all lanes.
struct RegisterRow {
  double strength, middle, rest;
  int finite;
  bool has_factors;  // in a spread in which they are numbers
  bool in_float;     // the strength and differences are
};

/// How the pairs of a row are summed: by the factors, which points are, or from differences of
/// values, which these are then.
template <class Cdf, int kOrder, int kItems>
struct RegisterRowPairs {
  const RegisterRowItems<kItems>& items;
  const OwnItems<kItems>& own;
  const RegisterRow& row;

  /// Calls use(difference) with difference(m, x) = α (x_i - x).
  template <class Use>
  __device__ void in_differences(const Use& use) const {
    const double strength = row.strength;
    const auto rounded = static_cast<float>(strength);
    if (row.in_float) {
      use([&](int m, float other) { return rounded * (own.points[m] - other); });
    } else {
      use([&](int m, float other) {
        return static_cast<float>(
            strength * (static_cast<double>(own.points[m]) - static_cast<double>(other)));
      });
    }
  }

  /// Σ F over the other items.
  __device__ void count(double (&sums)[kItems]) const {
    FloatAndRest totals[kItems];
    int equal[kItems] = {};
    const auto differs = [&](int m, float other) {
      const bool yes = other != own.points[m];
      equal[m] += yes ? 0 : 1;
      return yes;
    };
    if (kHasShares<Cdf> && row.has_factors) {
      add([&](int m, float other,
              float) { return differs(m, other) ? reciprocal(own.points[m] + other) : 0; },
          totals);
    } else {
      in_differences([&](const auto& difference) {
        add(
            [&](int m, float other, float) {
              const float tail = Cdf::upper_tail(FastFloat(std::fabs(difference(m, other)))).value;
              return differs(m, other) ? (other > own.points[m] ? tail : 1 - tail) : 0;
            },
            totals);
      });
    }
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      const double factor = row.has_factors ? own.points[m] : 1;
      sums[m] = factor * totals[m].value() + static_cast<double>(equal[m] - 1) / 2;
    }
  }

  /// Σ F - 1/2, for factors with an offset.
  __device__ void sum_about_middle(double offset, double (&sums)[kItems]) const {
    if (kHasShares<Cdf> && row.has_factors) {
      const auto between = static_cast<float>(offset);
      return sum(
          [&](int m, float other, float) {
            return (own.points[m] - other) / 2 * reciprocal(between + (own.points[m] + other));
          },
          sums);
    }
    in_differences([&](const auto& difference) {
      sum(
          [&](int m, float other, float) -> float {
            const float d = difference(m, other);
            if constexpr (kHasShares<Cdf>) {  // a wide row
              const float half = 0.5f - Cdf::upper_tail(FastFloat(std::fabs(d))).value;
              return d < 0 ? -half : half;
            } else {
              return Cdf::centered(FastFloat(d)).value;
            }
          },
          sums);
    });
  }

  /// Σ (v_i - v_j) F'.
  __device__ void differentiate(double (&sums)[kItems]) const {
    if (kHasShares<Cdf> && row.has_factors) {
      return sum(
          [&](int m, float other, float direction) {
            const float per_sum = reciprocal(own.points[m] + other);
            return (own.directions[m] - direction) *
                   ((own.points[m] * per_sum) * (other * per_sum));
          },
          sums);
    }
    if constexpr (!kFallsExponentially<Cdf>) {
      if (!row.in_float) return differentiate_in_double(sums);
    }
    in_differences([&](const auto& difference) {
      sum(
          [&](int m, float other, float direction) {
            return (own.directions[m] - direction) *
                   fast_kernel_of_pair<Cdf, 1>(difference(m, other));
          },
          sums);
    });
  }

 private:
  __device__ void differentiate_in_double(double (&sums)[kItems]) const {
    for (double& sum : sums) sum = 0;
    for (int j = 0; j < row.finite; ++j) {
      const FourFloats points = items.points[j / 4], directions = items.directions[j / 4];
      const double other = points.of[j % 4], direction = directions.of[j % 4];
#pragma unroll
      for (int m = 0; m < kItems; ++m) {
        const double d = row.strength * (static_cast<double>(own.points[m]) - other);
        sums[m] += (static_cast<double>(own.directions[m]) - direction) *
                   Cdf::first_derivative(Cdf::coordinate(d));
      }
    }
  }

  template <class Term>
  __device__ void add(const Term& term, FloatAndRest (&totals)[kItems]) const {
    sum_over_register_row<kOrder>(items, row.finite, term, totals);
  }
  template <class Term>
  __device__ void sum(const Term& term, double (&sums)[kItems]) const {
    FloatAndRest totals[kItems];
    add(term, totals);
    for (int m = 0; m < kItems; ++m) sums[m] = totals[m].value();
  }
};

/// Loads a row, and says in `plan` what it holds. `row` gets what its pairs are summed with.
template <class Cdf, int kOrder, int kItems>
__device__ void load_register_row(const KernelSum& problem, int64_t number,
                                  RegisterRowItems<kItems>& items, OwnItems<kItems>& own,
                                  RowPlan& plan, RegisterRow& row, double& offset) {
  const float infinity = std::numeric_limits<float>::infinity();
  RowStatistics found;
  found.clear();
  float minimum = infinity, maximum = -infinity, lowest = infinity, highest = -infinity;
  bool is_undefined = false;
  int finite = 0, unmasked = 0, undefined = 0, below = 0, above = 0, places[kItems];
#pragma unroll
  for (int m = 0; m < kItems; ++m) {
    const int64_t i = lane() + m * kWarp;
    own.values[m] = 0;
    own.kinds[m] = i < problem.size ? load_item(problem, number, i, own.values[m]) : Kind::kMasked;
    const Kind kind = own.kinds[m];
    const unsigned is_finite = __ballot_sync(kAllLanes, kind == Kind::kFinite);
    places[m] = finite + __popc(is_finite & ((1U << lane()) - 1));
    finite += __popc(is_finite);
    unmasked += __popc(__ballot_sync(kAllLanes, kind != Kind::kMasked));
    undefined += __popc(__ballot_sync(kAllLanes, kind == Kind::kNan));
    below += __popc(__ballot_sync(kAllLanes, kind == Kind::kBelow));
    above += __popc(__ballot_sync(kAllLanes, kind == Kind::kAbove));
    own.directions[m] = 0;
    if (kind != Kind::kFinite) continue;
    minimum = own.values[m] < minimum ? own.values[m] : minimum;
    maximum = own.values[m] > maximum ? own.values[m] : maximum;
    if constexpr (kOrder > 0) {
      const auto direction = load<float>(problem.directions[0], number, i);
      own.directions[m] = direction;
      if (!isfinite(direction)) {
        is_undefined = true;
        continue;
      }
      lowest = direction < lowest ? direction : lowest;
      highest = direction > highest ? direction : highest;
    }
  }
  const auto smaller = [](float a, float b) { return b < a ? b : a; };
  const auto larger = [](float a, float b) { return b > a ? b : a; };
  found.minimum = reduce_in_warp(minimum, smaller);
  found.maximum = reduce_in_warp(maximum, larger);
  found.finite = finite;
  found.unmasked = unmasked;
  found.counted = unmasked - undefined;
  found.below = below;
  found.above = above;
  if constexpr (kOrder > 0) {
    found.unfit = __ballot_sync(kAllLanes, is_undefined) != 0 ? 1 : 0;
    found.lowest[0] = reduce_in_warp(lowest, smaller);
    found.highest[0] = reduce_in_warp(highest, larger);
    found.sum[0] = 0;  // any centre between the two will do, since differences are summed
  }
  make_plan(problem, found, factor_of<float>(problem, number), kOrder > 0, plan);

  const double spread = scaled_spread(plan);
  const OneBoxPlacement<double> placement(plan.minimum, plan.maximum);
  row.strength = plan.strength;
  row.middle = placement.center;
  row.rest = placement.rest;
  row.finite = finite;
  row.has_factors = false;
  // A tail that falls as a power of d counts where the square of d is no float any more.
  constexpr double kWidest = kFallsExponentially<Cdf> ? 3e38 : 1e15;
  row.in_float = plan.unit == 1 && 1e-30 < plan.strength && plan.strength < 1e30 &&
                 spread < kWidest && isfinite(static_cast<float>(plan.maximum - plan.minimum));
  offset = 0;
  if constexpr (kHasShares<Cdf>) {
    row.has_factors = spread <= Cdf::factored_spread;
    if (kOrder == 0 && !plan.counts) offset = Cdf::factor_offset(spread);
  }
#pragma unroll
  for (int m = 0; m < kItems; ++m) {
    own.points[m] = own.values[m];
    if (own.kinds[m] != Kind::kFinite) continue;
    if constexpr (kHasShares<Cdf>) {
      if (row.has_factors) {
        const double from_middle = (own.values[m] - row.middle) - row.rest;
        own.points[m] = static_cast<float>(Cdf::factor(from_middle * row.strength, offset));
      }
    }
    items.point(places[m]) = own.points[m];
    if constexpr (kOrder > 0) {
      own.directions[m] = static_cast<float>(plan.directions[0](own.directions[m]));
      items.direction(places[m]) = own.directions[m];
    }
  }
  __syncwarp();
}

/// Registers for each thread, by how many blocks share a multiprocessor: more of them where pairs
/// are summed in double too.
template <class Cdf, int kOrder, int kItems>
constexpr int kRegisterRowBlocks = kItems == 4 || (kOrder > 0 && !kFallsExponentially<Cdf>) ? 4 : 6;

/// Rows of up to kItems * 32 items, a warp each.
template <class Cdf, int kOrder, int kItems>
__global__ void __launch_bounds__(kRegisterRowsABlock* kWarp,
                                  (kRegisterRowBlocks<Cdf, kOrder, kItems>))
    sum_rows_in_registers(KernelSum problem) {
  __shared__ RegisterRowItems<kItems> of_warps[kRegisterRowsABlock];
  RegisterRowItems<kItems>& items = of_warps[warp()];
  const int64_t step = static_cast<int64_t>(gridDim.x) * kRegisterRowsABlock;
  for (int64_t number = static_cast<int64_t>(blockIdx.x) * kRegisterRowsABlock + warp();
       number < problem.rows; number += step) {
    OwnItems<kItems> own;
    RowPlan plan;
    RegisterRow row;
    double offset;
    load_register_row<Cdf, kOrder, kItems>(problem, number, items, own, plan, row, offset);
    const RegisterRowPairs<Cdf, kOrder, kItems> pairs{items, own, row};
    double sums[kItems];
    if constexpr (kOrder > 0) {
      pairs.differentiate(sums);
    } else if (plan.counts) {
      pairs.count(sums);
    } else {
      pairs.sum_about_middle(offset, sums);
    }
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      const int64_t i = lane() + m * kWarp;
      if (i >= problem.size) continue;
      const double sum = kOrder == 0 && plan.counts ? sums[m] + plan.below : sums[m];
      write_result<float>(problem, plan, number, i, own.kinds[m], sum);
    }
    __syncwarp();
  }
}

}  // namespace rank_relax::cuda
