#pragma once

#include <string_view>
#include <type_traits>

#include "core/cdf/upper_tail.h"
#include "core/precision.h"
#include "core/series/series_spread.h"

namespace rank_relax {

// What a smooth CDF must say of itself; docs/algorithm.md says what each member is and where its
// numbers come from. Whatever is missing is an error with its name, not another CDF in its place.

namespace smooth_cdf_members {

template <class Cdf>
using Name = decltype(std::string_view(Cdf::name));
template <class Cdf>
using Coordinate = decltype(double(Cdf::coordinate(1.0)));
template <class Cdf>
using Centered = decltype(double(Cdf::centered(1.0)));
template <class Cdf>
using FirstDerivative = decltype(double(Cdf::first_derivative(1.0)));
template <class Cdf>
using SecondDerivative = decltype(double(Cdf::second_derivative(1.0)));
template <class Cdf>
using Derivative = decltype(double(typename Cdf::Derivative(Cdf::Derivative::kMaxOrder)(1.0)));
template <class Cdf>
using FactoredSpread = decltype(double(Cdf::factored_spread));
template <class Cdf>
using Factors =
    decltype(double(Cdf::factored_coordinate(Cdf::factor(1.0, Cdf::factor_offset(1.0)), 1.0, 1.0)));
template <class Cdf>
using Series = decltype(double(Cdf::series_spread.spread[1][kSeriesOrders - 1][kTermCounts - 1]));
template <class Cdf>
using Grid = decltype(BoxGrid(Cdf::box_grid[1]));
template <class Cdf>
using TailMass = decltype(double(Cdf::upper_tail(1.0)));
template <class Cdf>
using LogTailMass = decltype(double(Cdf::log_upper_tail(1.0)));
template <class Cdf>
using Tail = decltype(UpperTail(Cdf::tail(1.0)));
template <class Cdf>
using Hazard = decltype(double(Cdf::hazard(1.0)));
template <class Cdf>
using ReachOf = decltype(double(Cdf::reach_of(1.0, 1.0)));
template <class Cdf>
using TailsInSingle = std::bool_constant<Cdf::kTailsInSingle>;

template <class Cdf, template <class> class Member, class = void>
constexpr bool kHas = false;
template <class Cdf, template <class> class Member>
constexpr bool kHas<Cdf, Member, std::void_t<Member<Cdf>>> = true;

}  // namespace smooth_cdf_members

/// More terms serve a wider box.
constexpr bool ascends(const SeriesSpread& series) {
  for (const auto& of_precision : series.spread) {
    for (const auto& of_order : of_precision) {
      double last = 0;
      for (const double spread : of_order) {
        if (!(last < spread)) return false;
        last = spread;
      }
    }
  }
  return true;
}

template <class Cdf>
struct SmoothCdfMembers {
 private:
  template <template <class> class Member>
  static constexpr bool kHas = smooth_cdf_members::kHas<Cdf, Member>;

  static_assert(kHas<smooth_cdf_members::Name>, "a smooth CDF needs `name`");
  static_assert(kHas<smooth_cdf_members::Coordinate>, "a smooth CDF needs `coordinate(d)`");
  static_assert(kHas<smooth_cdf_members::Centered>, "a smooth CDF needs `centered(q)`");
  static_assert(kHas<smooth_cdf_members::FirstDerivative>,
                "a smooth CDF needs `first_derivative(q)`");
  static_assert(kHas<smooth_cdf_members::SecondDerivative>,
                "a smooth CDF needs `second_derivative(q)`");
  static_assert(kHas<smooth_cdf_members::Derivative>,
                "a smooth CDF needs `Derivative(order)`, its `kMaxOrder` and `operator()(q)`");
  static_assert(kHas<smooth_cdf_members::FactoredSpread>,
                "a smooth CDF needs `factored_spread`, 0 if pairs have no factors");
  static_assert(kHas<smooth_cdf_members::Series>, "a smooth CDF needs `series_spread`");
  static_assert(kHas<smooth_cdf_members::Grid>, "a smooth CDF needs `box_grid`");
  static_assert(kHas<smooth_cdf_members::TailMass>, "a smooth CDF needs `upper_tail(d)`");
  static_assert(kHas<smooth_cdf_members::LogTailMass>, "a smooth CDF needs `log_upper_tail(d)`");
  static_assert(kHas<smooth_cdf_members::Tail>, "a smooth CDF needs `tail(d)`");
  static_assert(kHas<smooth_cdf_members::Hazard>, "a smooth CDF needs `hazard(d)`");
  static_assert(kHas<smooth_cdf_members::ReachOf>, "a smooth CDF needs `reach_of(count, reach)`");
  static_assert(kHas<smooth_cdf_members::TailsInSingle>, "a smooth CDF needs `kTailsInSingle`");

  static constexpr bool factors_are_there() {
    if constexpr (kHas<smooth_cdf_members::FactoredSpread>) {
      if constexpr (Cdf::factored_spread > 0) return kHas<smooth_cdf_members::Factors>;
    }
    return true;
  }
  static_assert(factors_are_there(),
                "a smooth CDF with a `factored_spread` needs `factor_offset`, `factor` and "
                "`factored_coordinate`");

  static constexpr bool numbers_are_sound() {
    bool sound = true;
    if constexpr (kHas<smooth_cdf_members::Series>) sound = sound && ascends(Cdf::series_spread);
    if constexpr (kHas<smooth_cdf_members::Grid>) {
      for (const BoxGrid& grid : Cdf::box_grid) {
        sound =
            sound && 0 < grid.width && grid.width < grid.reach && grid.reach <= grid.reach_of_tails;
      }
    }
    return sound;
  }
  static_assert(numbers_are_sound(),
                "a smooth CDF's `series_spread` ascends with the terms, and in its `box_grid` "
                "0 < width < reach <= reach_of_tails");

 public:
  static constexpr bool kAllThere = true;
};

}  // namespace rank_relax
