#pragma once

#include <string_view>

#include "core/cdf/smooth_cdfs.h"
#include "core/projection/permutahedron.h"

namespace rank_relax {

// Integers as float64 scores with the same soft ranks. Ranks depend on α times differences, which
// are taken as integers first, so that no item is rounded before it is compared. Differences that
// float64 cannot hold come from gaps between sorted neighbours that are wider than any method sees:
// cut down to its reach, they leave every rank as it is, and the rest exact while the gaps add up
// to no more than 2^53. Beyond that, n cut gaps make n times that reach at most, and scores are
// rounded to 2^-53 of it; their order stays exact, but for neighbours that become equal by that.

constexpr double kExactIntegers = 0x1p53;  // up to which float64 holds all of them

/// The gap between sorted neighbours, times α, from which on its width has no influence: F is 0 or
/// 1 to the last bit of float64, tails included, or within 7e-9 of that where the tail does not
/// fall exponentially, which is also what float64 leaves of so many units of 1/α; and a block of a
/// projection, whose items lie within n of one another (core/projection/permutahedron.h), doesn't
/// reach across.
inline double reach_of_gaps(std::string_view method, double count) {
  constexpr double kNoTail = 750, kHeavyTail = 5e7;  // e^-750 = 0
  double reach = kNoTail;
  SmoothCdfs::visit(method, [&](auto cdf) {
    if (!kFallsExponentially<decltype(cdf)>) reach = kHeavyTail;
  });
  return Projections::contains(method) && count > reach ? count : reach;
}

}  // namespace rank_relax
