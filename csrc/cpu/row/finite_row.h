#pragma once

#include <cstdint>

#include "core/row/scaled_spread.h"

namespace rank_relax::cpu {

/// The finite values of one row, at least one, one after the other.
template <class Scalar>
struct FiniteRow {
  const Scalar* values;
  int64_t count;
  Scalar minimum;
  Scalar maximum;
};

template <class Scalar>
double scaled_spread(const FiniteRow<Scalar>& row, double regularization_strength) {
  return rank_relax::scaled_spread(row.minimum, row.maximum, regularization_strength);
}

/// One direction of a derivative, item by item beside the values: scale * values[i] - center. A
/// derivative depends on differences alone, so the centre is free, and chosen to keep sums small;
/// the scale is a power of two that keeps them in range.
template <class Scalar>
struct Direction {
  const Scalar* values = nullptr;
  Scalar scale = 1;
  Scalar center = 0;

  Scalar operator()(int64_t i) const { return scale * values[i] - center; }
};

/// What a kernel sum is taken over, and how sharply its items are compared. A sum of order k has k
/// directions.
template <class Scalar>
struct Summands {
  FiniteRow<Scalar> row;
  double regularization_strength;
  const Direction<Scalar>* directions = nullptr;

  double spread() const { return scaled_spread(row, regularization_strength); }
};

/// Where a sum goes: values[i] = scale * sum_i + shift, kept between `lowest` and `highest`. Sums
/// of order 0 become unit * (sum_i + base) first, in double: with half the number of items they
/// count those below, and keep their relative precision where these are few.
template <class Scalar>
struct Output {
  Scalar* values;
  Scalar scale;
  Scalar shift;
  Scalar lowest;
  Scalar highest;
  double base = 0;
  double unit = 1;
  bool counts = false;  // the base is there for that: precision is relative to the items below
};

}  // namespace rank_relax::cpu
