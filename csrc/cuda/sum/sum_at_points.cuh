#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <type_traits>

#include "core/cdf/capabilities.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/row/scaled_difference.h"
#include "core/sum/kernel_at.h"
#include "cuda/launch/block.cuh"
#include "cuda/soft_count.h"
#include "cuda/sum/kernel_of_pair.cuh"

namespace rank_relax::cuda {

// Sums at points, pair by pair: a thread takes a point, or, where points are few, a warp, whose
// lanes share the values of its list. Lists that are float32 or a half are summed in float, eight
// pairs at a time, and these in double; but for a CDF of heavy tails, whose far terms float may not
// hold, and for the integral and orders above 2.

constexpr int kPointThreads = 128, kPointBlocks = 4;  // of a multiprocessor, with registers enough
constexpr int kHigherOrder = kSeriesOrders;           // stands for all from here on
template <int kOrder>
constexpr int kSetsAtOnce = kOrder < kHigherOrder ? 4 : 1;  // as registers hold

/// A key as an integer that orders as it does. NaN is the last of values and the first of points:
/// none is smaller than another.
__device__ inline int64_t ordered_key(const Keys& keys, int64_t row, int64_t i, bool of_value) {
  const int64_t at = row * keys.row_stride + i * keys.item_stride;
  if (keys.type == Keys::Type::kInt64) return static_cast<const int64_t*>(keys.data)[at];
  double key = keys.type == Keys::Type::kFloat64
                   ? static_cast<const double*>(keys.data)[at]
                   : static_cast<double>(static_cast<const float*>(keys.data)[at]);
  if (isnan(key)) {
    return of_value ? std::numeric_limits<int64_t>::max() : std::numeric_limits<int64_t>::min();
  }
  if (key == 0) key = 0;  // -0 too
  int64_t bits;
  memcpy(&bits, &key, sizeof bits);
  return bits < 0 ? bits ^ std::numeric_limits<int64_t>::max() : bits;
}

/// The list that item i of a row is in: the last that begins there or before.
__device__ inline int64_t list_of(const Ends& ends, int64_t lists, int64_t row, int64_t i) {
  int64_t here = 0, behind = lists;
  while (behind - here > 1) {
    const int64_t middle = (here + behind) / 2;
    (ends.at(row, middle) <= i ? here : behind) = middle;
  }
  return here;
}

/// Whether the kernel of a pair is taken in float.
template <class Cdf, class Scalar, int kOrder>
constexpr bool kSumsInFloat =
    sizeof(Scalar) == 4 && kFallsExponentially<Cdf> && 0 <= kOrder && kOrder < kHigherOrder;

/// K(α (t - x)) of finite or infinite items; of equal ones d = 0.
template <class Cdf, class Scalar, int kOrder>
struct KernelAtPoint {
  using Number = std::conditional_t<kSumsInFloat<Cdf, Scalar, kOrder>, float, double>;

  /// In place of what only the orders above 2 need.
  struct NoRatio {
    __device__ explicit NoRatio(int) {}
  };
  using Ratio = std::conditional_t<kOrder == kHigherOrder, typename Cdf::Ratio, NoRatio>;

  double strength;
  bool in_range;  // of floats is the strength
  Ratio ratio;

  __device__ KernelAtPoint(double strength, int order)
      : strength(strength), in_range(1e-30 < strength && strength < 1e30), ratio(order) {}

  __device__ Number operator()(Scalar point, Scalar value) const {
    if (point == value) return kOrder > 0 && !isfinite(point) ? 0 : at(0);
    if constexpr (kSumsInFloat<Cdf, Scalar, kOrder>) {
      const float difference = point - value;
      if (in_range && isfinite(difference)) return at(static_cast<float>(strength) * difference);
    }
    return at(static_cast<Number>(scaled_difference(strength, point, value)));
  }

 private:
  __device__ Number at(Number d) const {
    if constexpr (kSumsInFloat<Cdf, Scalar, kOrder>) {
      constexpr float kFar = 1000;  // where nothing is left of a tail
      const float near = d > kFar ? kFar : (d < -kFar ? -kFar : d);
      if (kOrder == 2 && d == 0) return 0;  // F'' is odd
      const float kernel = fast_kernel_of_pair<Cdf, kOrder>(near);
      if constexpr (kOrder == 0) return d < 0 ? kernel : 1 - kernel;
      return kernel;
    } else if constexpr (kOrder < kHigherOrder) {
      if (kOrder > 0 && !isfinite(d)) return 0;
      if (kOrder < 0 && !isfinite(d)) return d > 0 ? d : 0;  // though no tail have an integral
      return kernel_at<Cdf, kOrder>(d);
    } else {
      if (!(fabs(d) <= Cdf::farthest[kDouble])) return 0;
      const double q = Cdf::coordinate(d), density = Cdf::first_derivative(q);
      return density == 0 ? 0 : ratio(q) * density;
    }
  }
};

/// Σ w_j K_j of one set of weights.
template <int kOrder, class Number>
struct WeightedSum {
  Number few = 0;  // of some pairs, in the type of their kernels
  double sum = 0;
  double at_infinity = 0;  // the weights of infinite kernels, which may cancel

  /// With `shows` a weight that is not finite makes the sum NaN.
  template <class Scalar>
  __device__ void add(Scalar weight, Number kernel, bool shows) {
    // A float holds eight products of such weights, to its full precision.
    constexpr double kMost = sizeof(Number) == 4 ? 1e30 : std::numeric_limits<double>::max();
    constexpr double kLeast = sizeof(Number) == 4 ? 1e-20 : 0;
    const auto size = fabs(static_cast<Number>(weight));
    const bool is_usual = static_cast<Number>(kLeast) < size && size <= static_cast<Number>(kMost);
    if (is_usual && (kOrder >= 0 || isfinite(kernel))) {
      few += static_cast<Number>(weight) * kernel;
    } else if (shows && !isfinite(weight)) {
      sum = std::numeric_limits<double>::quiet_NaN();
    } else if (kOrder < 0 && !isfinite(kernel)) {
      at_infinity += weight;
    } else if (weight != 0 && kernel != 0) {
      sum += static_cast<double>(weight) * kernel;
    }
  }

  __device__ void end_few() {
    sum += few;
    few = 0;
  }
};

/// `lanes` of a warp for each point, 1 or all; `scale` is α^p. If `wrong` is given, rows that it
/// marks get NaN.
template <class Cdf, class Scalar, int kOrder>
__global__ void __launch_bounds__(kPointThreads, kPointBlocks)
    sum_at_points(PointSums problem, double scale, int lanes, const uint8_t* wrong) {
  constexpr int kPairsAtOnce = 8, kSets = kSetsAtOnce<kOrder>;
  using Kernel = KernelAtPoint<Cdf, Scalar, kOrder>;
  using Number = typename Kernel::Number;
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t all = lanes == kWarp ? thread / kWarp : thread;
  if (all >= problem.rows * problem.points) return;  // a whole warp, where it shares a point
  const int64_t row = all / problem.points, i = all - row * problem.points;
  const int own = lanes == kWarp ? lane() : 0;
  const bool has_keys = problem.value_keys.data != nullptr;
  const auto point = load<Scalar>(problem.of_points, row, i);
  const bool is_wrong = wrong != nullptr && wrong[row] != 0;
  int64_t begin = 0, end = problem.values;
  if (is_wrong) end = 0;
  if (wrong != nullptr && !is_wrong) {
    const int64_t list = list_of(problem.point_ends, problem.lists, row, i);
    begin = problem.value_ends.at(row, list);
    end = problem.value_ends.at(row, list + 1);
    // Within the row though another kernel should write to the ends meanwhile.
    if (begin < 0) begin = 0;
    if (end > problem.values) end = problem.values;
  }
  const Kernel kernel(problem.regularization_strength, problem.order);
  const int64_t key = has_keys ? ordered_key(problem.point_keys, row, i, false) : 0;
  for (int64_t first = 0; first < problem.sets; first += kSets) {
    WeightedSum<kOrder, Number> sums[kSets];
    for (int64_t j = begin + own; j < end;) {
      for (int pair = 0; pair < kPairsAtOnce && j < end; ++pair, j += lanes) {
        const auto value = load<Scalar>(problem.of_values, row, j);
        if (isnan(value) && !has_keys) continue;
        if (has_keys && ordered_key(problem.value_keys, row, j, true) >= key) continue;
        const Number of_pair = isnan(value) ? 0 : kernel(point, value);
        const bool shows = has_keys || (isfinite(point) && isfinite(value));
#pragma unroll
        for (int set = 0; set < kSets; ++set) {
          if (first + set >= problem.sets) continue;
          const auto weight = load<Scalar>(problem.weights, row * problem.sets + first + set, j);
          sums[set].add(weight, of_pair, shows);
        }
      }
#pragma unroll
      for (int set = 0; set < kSets; ++set) sums[set].end_few();
    }
#pragma unroll
    for (int set = 0; set < kSets; ++set) {
      if (first + set >= problem.sets) continue;
      double sum = sums[set].sum, at_infinity = sums[set].at_infinity;
      if (lanes == kWarp) {
        sum = reduce_in_warp(sum, Sum());
        if (kOrder < 0) at_infinity = reduce_in_warp(at_infinity, Sum());
      }
      if (at_infinity != 0) sum += at_infinity * std::numeric_limits<double>::infinity();
      if (sum != 0) sum *= scale;
      if (isnan(point) || is_wrong) sum = kNan;
      const int64_t at = (row * problem.sets + first + set) * problem.points + i;
      if (own == 0) store(problem.output, at, sum);
    }
  }
}

}  // namespace rank_relax::cuda
