#pragma once

#include "core/cdf/smooth_cdf_members.h"
#include "core/method_list.h"

namespace rank_relax {

template <class... Cdfs>
struct SmoothCdfList : MethodList<Cdfs...> {
  static_assert((SmoothCdfMembers<Cdfs>::kAllThere && ...));

  static constexpr int kMaxOrder = [] {
    int order = 1 << 30;
    ((order = Cdfs::Derivative::kMaxOrder < order ? Cdfs::Derivative::kMaxOrder : order), ...);
    return order;
  }();

  /// The most boxes that the tails of sorts and quantiles reach on a grid in double.
  static constexpr int kMostBoxesOfTails = [] {
    int most = 0;
    const auto take_in = [&](const BoxGrid& grid) {
      const int boxes = boxes_of_reach(grid.reach_of_tails, grid.width);
      most = boxes > most ? boxes : most;
    };
    (take_in(Cdfs::box_grid[1]), ...);
    return most;
  }();
};

}  // namespace rank_relax
