#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"

namespace rank_relax {

/// From so many boxes away from 0 on, the position of a value in units of the width is rounded to
/// more than 1/128 of a box, and what is taken for the nearest box may not be it.
constexpr double kMostBoxesFromZero = 1LL << 46;

/// Where a grid lies over a row: box b, or cell, covers the values around anchor + b * width, where
/// b = first .. last. The anchor 0 makes the remainder of a value exact, without which the place in
/// a box would be no better than the rounding of (x - x_min) α. Where values are too far from 0
/// beside their spread for that, they are so close to one another that their difference from the
/// minimum is exact, and that is the anchor.
struct GridPlacement {
  double strength, per_scaled_width;  // their product, boxes for a unit of x, may overflow
  double width, width_rest;           // the width in x, in two parts
  double anchor;
  double first, last;

  RANK_RELAX_HOST_DEVICE int64_t boxes() const { return static_cast<int64_t>(last - first) + 1; }
};

RANK_RELAX_HOST_DEVICE inline GridPlacement grid_placement(double minimum, double maximum,
                                                           double scaled_width,
                                                           double regularization_strength) {
  GridPlacement grid;
  grid.strength = regularization_strength;
  grid.per_scaled_width = 1 / scaled_width;
  grid.width = scaled_width / regularization_strength;
  grid.width_rest =
      std::fma(-grid.width, regularization_strength, scaled_width) / regularization_strength;
  const double below = std::abs(minimum), above = std::abs(maximum);
  const double farthest = (below < above ? above : below) * grid.strength * grid.per_scaled_width;
  grid.anchor = farthest < kMostBoxesFromZero ? 0 : minimum;
  grid.first = std::rint((minimum - grid.anchor) * grid.strength * grid.per_scaled_width);
  grid.last = std::rint((maximum - grid.anchor) * grid.strength * grid.per_scaled_width);
  return grid;
}

}  // namespace rank_relax
