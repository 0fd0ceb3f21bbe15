#pragma once

#include <type_traits>

#include "core/cdf/capabilities.h"
#include "core/cdf/members.h"
#include "core/method_list.h"
#include "core/series/series_spread.h"

namespace rank_relax {

namespace cdf_list {

/// `Kept`, and of the others those that have a grid.
template <class Kept, class... Others>
struct WithGrid {
  using List = Kept;
};
template <class... Kept, class Cdf, class... Others>
struct WithGrid<MethodList<Kept...>, Cdf, Others...>
    : WithGrid<std::conditional_t<kHasGrid<Cdf>, MethodList<Kept..., Cdf>, MethodList<Kept...>>,
               Others...> {};

}  // namespace cdf_list

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
  using WithGrid = typename cdf_list::WithGrid<MethodList<>, Cdfs...>::List;
};

}  // namespace rank_relax
