#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// How many of a row's items are finite, -inf and inf: together the n of every formula. And the
/// ranks that follow from that alone, in items: a rank in [0, 1] is one of these over n - 1. Ranks
/// are counted from 0, or from the middle of all n, where nothing cancels about it.
struct RowCounts {
  double finite, below, above;

  RANK_RELAX_HOST_DEVICE double counted() const { return finite + below + above; }
  RANK_RELAX_HOST_DEVICE double others() const { return counted() > 1 ? counted() - 1 : 1; }

  // Equal items share their ranks: an infinity has the mean of those that all of its sign take.
  RANK_RELAX_HOST_DEVICE double rank_below() const { return (below - 1) / 2; }
  RANK_RELAX_HOST_DEVICE double rank_above() const { return counted() - 1 - (above - 1) / 2; }
  RANK_RELAX_HOST_DEVICE double below_from_middle() const { return (below - counted()) / 2; }
  RANK_RELAX_HOST_DEVICE double above_from_middle() const { return (counted() - above) / 2; }

  /// What a finite item's kernel sum, which is about the middle of the finite items, lacks to its
  /// rank, counted from 0 or from the middle of all.
  RANK_RELAX_HOST_DEVICE double finite_from_zero() const { return below + (finite - 1) / 2; }
  RANK_RELAX_HOST_DEVICE double finite_from_middle() const { return (below - above) / 2; }
};

}  // namespace rank_relax
