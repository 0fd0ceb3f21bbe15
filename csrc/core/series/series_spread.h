#pragma once

#include "core/precision.h"

namespace rank_relax {

constexpr int kSeriesOrders = 3;  // kernels F - 1/2, F', F''
constexpr int kLowestOrder = -1;  // and of sums at points the integral of F as well
constexpr int kTermStep = 4;      // one-box series have a multiple of 4 terms,
constexpr int kFewestTerms = 8;   // at least 8
constexpr int kMostTerms = 64;    // and at most 64
constexpr int kTermCounts = (kMostTerms - kFewestTerms) / kTermStep + 1;

/// What a CDF says of its series in one box: [precision][order][number of terms / 4 - 2], the
/// widest scaled spread at which a pair's truncation error is below 4e-8, 2e-8 and 1e-8 for the
/// three orders (Gaussian F'': 2e-8) in float32, and 4e-15 in float64.
struct SeriesSpread {
  double spread[2][kSeriesOrders][kTermCounts];
};

/// What a CDF says of its grid of many boxes, for each precision: the width of a box, such that a
/// series of kGridTerms powers is exact to rounding, and the reach |d| beyond which F is a step to
/// rounding; and the reach beyond which the tails of 2^32 items are nothing beside one half,
/// further than which neither quantiles look nor ranks.
///
/// Between boxes F is a series of its tail F(-d), whose error is relative to the tail: so a sum of
/// tails keeps its relative precision however many items lie on the other side.
struct BoxGrid {
  double width;
  double reach;
  double reach_of_tails;
};

/// How many boxes of a width it takes to reach so far.
constexpr int boxes_of_reach(double reach, double width) {
  int boxes = 0;
  while (boxes * width < reach) ++boxes;
  return boxes;
}

/// So many items at a grid's reach weigh together 1e-5, or 1e-13, of one that is near.
constexpr double kItemsWithinReach = 512;

constexpr int kGridTerms[] = {8, 16};  // for each precision

/// A box of the grid is cut into cells, so narrow that within one an item needs fewer powers.
constexpr int kCellsABox[] = {8, 1};
constexpr int kCellTerms[] = {4, 16};

}  // namespace rank_relax
