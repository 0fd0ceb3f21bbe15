#pragma once

#include "cpu/rows.h"

namespace rank_relax::cpu {

/// What predictions are compared with: scores, or ranks of whatever kind that add up to zero in
/// each row.
template <class Scalar>
struct Targets {
  Rows<Scalar> rows;
  bool are_ranks = false;
};

}  // namespace rank_relax::cpu
