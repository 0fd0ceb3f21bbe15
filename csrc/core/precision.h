#pragma once

namespace rank_relax {

/// What a kernel sum is good to: rounding of float32, or of float64.
enum Precision { kSingle, kDouble };

template <class Scalar>
constexpr Precision precision_of = sizeof(Scalar) == 4 ? kSingle : kDouble;

}  // namespace rank_relax
