#pragma once

#include <string_view>
#include <type_traits>
#include <utility>

#include "core/cdf/capabilities.h"
#include "core/cdf/upper_tail.h"
#include "core/precision.h"
#include "core/series/series_spread.h"

namespace rank_relax {

// What a CDF must say of itself; docs/adding/cdf.md says what each member is and where its
// numbers come from. Whatever is missing is an error with its name, not another CDF in its place.

namespace cdf_members {

template <class Cdf>
using Name = decltype(std::string_view(Cdf::name));
template <class Cdf>
using LinearSpread = decltype(double(Cdf::linear_spread));
template <class Cdf>
using Farthest = decltype(double(Cdf::farthest[1]));
template <class Cdf>
using Coordinate = decltype(double(Cdf::coordinate(1.0)));
template <class Cdf>
using Centered = decltype(double(Cdf::centered(1.0)));
template <class Cdf>
using FirstDerivative = decltype(double(Cdf::first_derivative(1.0)));
template <class Cdf>
using SecondDerivative = decltype(double(Cdf::second_derivative(1.0)));
template <class Cdf>
using Ratio = decltype(double(typename Cdf::Ratio(Cdf::Ratio::kMaxOrder)(1.0)));
template <class Cdf>
using FactoredSpread = decltype(double(Cdf::factored_spread));
template <class Cdf>
using Factors =
    decltype(double(Cdf::factored_coordinate(Cdf::factor(1.0, Cdf::factor_offset(1.0)), 1.0, 1.0)));
template <class Cdf>
using TailMass = decltype(double(Cdf::upper_tail(1.0)));
template <class Cdf>
using Tail = decltype(UpperTail<double>(Cdf::tail(1.0)));
template <class Cdf>
using Slope = decltype(double(Cdf::slope(1.0, UpperTail<double>())));
template <class Cdf>
using Density = decltype(double(Cdf::density(1.0)));
template <class Cdf>
using LogDensity = decltype(double(Cdf::log_density(1.0, std::declval<double (*)()>())));
template <class Cdf>
using ReachOf = decltype(double(Cdf::reach_of(1.0, 1.0)));
template <class Cdf>
using LogTailMass = decltype(double(Cdf::log_upper_tail(1.0)));
template <class Cdf>
using Hazard = decltype(double(Cdf::hazard(1.0)));
template <class Cdf>
using TailsInSingle = std::bool_constant<Cdf::kTailsInSingle>;

template <class Cdf, template <class> class Member, class = void>
constexpr bool kHas = false;
template <class Cdf, template <class> class Member>
constexpr bool kHas<Cdf, Member, std::void_t<Member<Cdf>>> = true;

}  // namespace cdf_members

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
struct CdfMembers {
 private:
  template <template <class> class Member>
  static constexpr bool kHas = cdf_members::kHas<Cdf, Member>;

  static_assert(kHas<cdf_members::Name>, "a CDF needs `name`");
  static_assert(kHas<cdf_members::LinearSpread>, "a CDF needs `linear_spread`");
  static_assert(kHas<cdf_members::Farthest>, "a CDF needs `farthest`");
  static_assert(kHas<cdf_members::Coordinate>, "a CDF needs `coordinate(d)`");
  static_assert(kHas<cdf_members::Centered>, "a CDF needs `centered(q)`");
  static_assert(kHas<cdf_members::FirstDerivative>, "a CDF needs `first_derivative(q)`");
  static_assert(kHas<cdf_members::SecondDerivative>, "a CDF needs `second_derivative(q)`");
  static_assert(kHas<cdf_members::Ratio>,
                "a CDF needs `Ratio(order)`, its `kMaxOrder` and `operator()(q)`");
  static_assert(kHas<cdf_members::FactoredSpread>,
                "a CDF needs `factored_spread`, 0 if pairs have no factors");
  static_assert(kHas<cdf_members::TailMass>, "a CDF needs `upper_tail(d)`");
  static_assert(kHas<cdf_members::Tail>, "a CDF needs `tail(d)`");
  static_assert(kHas<cdf_members::Slope>, "a CDF needs `slope(d, tail)`");
  static_assert(kHas<cdf_members::Density>, "a CDF needs `density(d)`");
  static_assert(kHas<cdf_members::LogDensity>, "a CDF needs `log_density(d, nearest)`");
  static_assert(kHas<cdf_members::ReachOf>, "a CDF needs `reach_of(count, reach)`");

  /// What a capability needs besides the member that shows it.
  static constexpr bool kFalls = kFallsExponentially<Cdf>;
  static_assert(!kFalls || kHas<cdf_members::LogTailMass>,
                "a CDF whose tail falls exponentially needs `log_upper_tail(d)`");
  static_assert(!kFalls || kHas<cdf_members::Hazard>,
                "a CDF whose tail falls exponentially needs `hazard(d)`");
  static_assert(!kHasGrid<Cdf> || kHasOneBox<Cdf>, "a CDF with a `box_grid` needs `series_spread`");
  static_assert(!kHasGrid<Cdf> || kHas<cdf_members::TailsInSingle>,
                "a CDF with a `box_grid` needs `kTailsInSingle`");

  static_assert(kMostScannedOrder<Cdf> < 0 || kIsExponential<Cdf> || kHasGrid<Cdf>,
                "a CDF with an `ExponentialTail` of several terms needs a `box_grid`");
  static_assert(kIsExponential<Cdf> || kHasOneBox<Cdf>,
                "a CDF whose tail is not one exponential needs `series_spread`");

  static constexpr bool factors_are_there() {
    if constexpr (kHas<cdf_members::FactoredSpread>) {
      if constexpr (Cdf::factored_spread > 0) return kHas<cdf_members::Factors>;
    }
    return true;
  }
  static_assert(factors_are_there(),
                "a CDF with a `factored_spread` needs `factor_offset`, `factor` and "
                "`factored_coordinate`");

  static constexpr bool numbers_are_sound() {
    bool sound = true;
    if constexpr (kHasOneBox<Cdf>) sound = sound && ascends(Cdf::series_spread);
    if constexpr (kHasGrid<Cdf>) {
      for (const BoxGrid& grid : Cdf::box_grid) {
        sound =
            sound && 0 < grid.width && grid.width < grid.reach && grid.reach <= grid.reach_of_tails;
      }
    }
    return sound;
  }
  static_assert(numbers_are_sound(),
                "a CDF's `series_spread` ascends with the terms, and in its `box_grid` "
                "0 < width < reach <= reach_of_tails");

 public:
  static constexpr bool kAllThere = true;
};

}  // namespace rank_relax
