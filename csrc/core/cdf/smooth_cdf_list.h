#pragma once

#include <string>
#include <string_view>

#include "core/cdf/capabilities.h"
#include "core/cdf/members.h"
#include "core/method_list.h"
#include "core/series/series_spread.h"

namespace rank_relax {

template <class... Cdfs>
struct SmoothCdfList : MethodList<Cdfs...> {
  static_assert((CdfMembers<Cdfs>::kAllThere && ...));

  static constexpr int kMaxOrder = [] {
    int order = 1 << 30;
    ((order = Cdfs::Ratio::kMaxOrder < order ? Cdfs::Ratio::kMaxOrder : order), ...);
    return order;
  }();

  /// The most boxes that the tails of sorts and quantiles reach on a grid in double.
  static constexpr int kMostBoxesOfTails = [] {
    int most = 0;
    const auto take_in = [&](auto cdf) {
      using Cdf = decltype(cdf);
      if constexpr (kHasGrid<Cdf>) {
        const BoxGrid grid = Cdf::box_grid[kDouble];
        const int boxes = boxes_of_reach(grid.reach_of_tails, grid.width);
        most = boxes > most ? boxes : most;
      }
    };
    (take_in(Cdfs()), ...);
    return most;
  }();

  /// Those that a grid of boxes serves at any spread: what lists over several processes need.
  static bool has_grid(std::string_view name) {
    return ((name == Cdfs::name && kHasGrid<Cdfs>) || ...);
  }
  template <class Visitor>
  static bool visit_with_grid(std::string_view name, const Visitor& visitor) {
    const auto visit_one = [&](auto cdf) {
      if constexpr (kHasGrid<decltype(cdf)>) {
        if (name == decltype(cdf)::name) return visitor(cdf), true;
      }
      return false;
    };
    return (visit_one(Cdfs()) || ...);
  }
  static std::string names_with_grid() {
    std::string list;
    const auto add = [&](auto cdf) {
      if (kHasGrid<decltype(cdf)>) {
        list += (list.empty() ? "'" : ", '") + std::string(decltype(cdf)::name) + "'";
      }
    };
    (add(Cdfs()), ...);
    return list;
  }

  /// The scaled spread of a row below which F - 1/2 is linear in its values, to rounding.
  static double linear_spread(std::string_view name) {
    double spread = 0;
    ((name == Cdfs::name && (spread = Cdfs::linear_spread, true)) || ...);
    return spread;
  }
};

}  // namespace rank_relax
