#pragma once

#include <algorithm>

#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Whether the inverse of items abreast, which takes points as distances from items, serves items
/// between these at a strength.
inline bool in_range_abreast(double lowest, double highest, double strength) {
  constexpr double kFar = 1e9;         // times α: a double shows where a point has its density
  constexpr double kSharpest = 1e200;  // distances of points from items are not flushed to 0
  return 1 / kFar < strength && strength < kSharpest &&
         std::max(-lowest, highest) < kFar / strength;
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
