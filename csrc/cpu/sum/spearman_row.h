#pragma once

#include <cstdint>
#include <limits>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/row/targets.h"
#include "cpu/sum/correlation.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// 1 - ρ of the centred ranks of one row's predictions and targets, whose gradients with respect to
/// these ranks go to `of_predictions` and `of_targets`: NaN, as the loss, where an item that isn't
/// masked has no rank.
///
/// `ranker` has the row's predictions when it is called. It has set_row(values), rank(output),
/// masked(i), unmasked() and all_ranked(), whether no unmasked item is NaN.
template <class Scalar, class Ranker>
Scalar spearman_loss_of_row(Ranker& ranker, const TargetsOfRow<Scalar>& targets, int64_t size,
                            Scalar* of_predictions, Scalar* of_targets,
                            const ParallelFor& parallel_for) {
  const auto masked = [&](int64_t i) { return ranker.masked(i); };
  // The ranks lie where their gradients go, which take their place.
  ranker.rank(of_predictions);
  bool defined = ranker.all_ranked();
  if (targets.are_ranks) {
    defined = copy_ranks(targets.items, size, masked, of_targets) && defined;
  } else {
    ranker.set_row(targets.items);
    ranker.rank(of_targets);
    defined = ranker.all_ranked() && defined;
  }
  if (!defined) {
    make_undefined(size, masked, of_predictions);
    make_undefined(size, masked, of_targets);
    return std::numeric_limits<Scalar>::quiet_NaN();
  }
  const double loss = Correlation<Scalar>::loss(of_predictions, of_targets, size, parallel_for);
  return ranker.unmasked() > 1 ? static_cast<Scalar>(loss) : Scalar(0);
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
