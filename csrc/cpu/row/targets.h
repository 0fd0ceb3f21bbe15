#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// What the predictions of a row are compared with: scores, or ranks of whatever kind that add up
/// to zero.
template <class Scalar>
struct TargetsOfRow {
  Row<Scalar> items;
  bool are_ranks;
};

template <class Scalar>
struct Targets {
  Rows<Scalar> rows;
  bool are_ranks = false;

  TargetsOfRow<Scalar> row(int64_t index) const { return {rows.row(index), are_ranks}; }
};

/// Copies given ranks, 0 where masked(i); false if one that counts is NaN.
template <class Scalar, class Masked>
bool copy_ranks(const Row<Scalar>& ranks, int64_t size, const Masked& masked, Scalar* copy) {
  bool defined = true;
  for (int64_t i = 0; i < size; ++i) {
    copy[i] = masked(i) ? Scalar(0) : ranks[i];
    defined = defined && !std::isnan(copy[i]);
  }
  return defined;
}

/// Fills a row with NaN, but with 0 where masked(i).
template <class Scalar, class Masked>
void make_undefined(int64_t size, const Masked& masked, Scalar* values) {
  for (int64_t i = 0; i < size; ++i) {
    values[i] = masked(i) ? Scalar(0) : std::numeric_limits<Scalar>::quiet_NaN();
  }
}

}  // namespace rank_relax::cpu
