#pragma once

#include <limits>
#include <type_traits>

#include "core/precision.h"

namespace rank_relax {

// What a CDF can do, which follows from the members that it has. Kernel sums and their inverses
// choose among the forms by these; docs/adding/cdf.md says what each needs.

namespace capabilities {

template <class Cdf, class = void>
constexpr bool kHasSeriesSpread = false;
template <class Cdf>
constexpr bool kHasSeriesSpread<Cdf, std::void_t<decltype(Cdf::series_spread)>> = true;

template <class Cdf, class = void>
constexpr bool kHasBoxGrid = false;
template <class Cdf>
constexpr bool kHasBoxGrid<Cdf, std::void_t<decltype(Cdf::box_grid)>> = true;

template <class Cdf, class = void>
constexpr bool kHasTailIntegral = false;
template <class Cdf>
constexpr bool kHasTailIntegral<Cdf, std::void_t<decltype(Cdf::integral_of_tail(1.0))>> = true;

template <class Cdf, class = void>
struct ExponentialOrders {
  static constexpr int kMost = -1;
  static constexpr bool kIsExact = false;
};
template <class Cdf>
struct ExponentialOrders<Cdf, std::void_t<typename Cdf::ExponentialTail>> {
  static constexpr int kMost = Cdf::ExponentialTail::kMaxOrder;
  static constexpr bool kIsExact = Cdf::ExponentialTail::terms(kDouble, 0) == 1;
};

}  // namespace capabilities

/// `series_spread`: F is analytic around 0, and rows that are narrow enough are one box.
template <class Cdf>
constexpr bool kHasOneBox = capabilities::kHasSeriesSpread<Cdf>;

/// F is not analytic at 0: the derivatives of one side are not those of the other.
template <class Cdf>
constexpr bool kHasKink = !kHasOneBox<Cdf>;

/// `box_grid`: F is analytic around the real axis, and a step beyond a reach: broad rows are many
/// boxes, and sorts march through them.
template <class Cdf>
constexpr bool kHasGrid = capabilities::kHasBoxGrid<Cdf>;

/// `integral_of_tail`: the integral of F is one of the kernels of sums at points.
template <class Cdf>
constexpr bool kHasIntegral = capabilities::kHasTailIntegral<Cdf>;

/// `ExponentialTail`: the largest order whose tail is a short sum of powers of e^-d, so that sums
/// over sorted items are scans; -1 if there is none.
template <class Cdf>
constexpr int kMostScannedOrder = capabilities::ExponentialOrders<Cdf>::kMost;

/// F(-d) = e^-d/2 exactly, for d >= 0.
template <class Cdf>
constexpr bool kIsExponential = capabilities::ExponentialOrders<Cdf>::kIsExact;

/// The tail falls by e^-d or faster.
template <class Cdf>
constexpr bool kFallsExponentially = kHasGrid<Cdf> || kMostScannedOrder<Cdf> >= 0;

template <class Cdf>
constexpr double tail_reach() {
  if constexpr (kHasGrid<Cdf>) return Cdf::box_grid[kDouble].reach_of_tails;
  if constexpr (kFallsExponentially<Cdf>) return 52;
  return std::numeric_limits<double>::infinity();
}

/// Beyond it, in units of 1/α, the tails of 2^32 items are nothing beside one half.
template <class Cdf>
constexpr double kTailReach = tail_reach<Cdf>();

}  // namespace rank_relax
