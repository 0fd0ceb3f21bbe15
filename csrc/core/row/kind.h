#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace rank_relax {

/// How an item enters its row. Masked items and NaN are left out of every comparison and of the
/// count; infinities compare with everything in the same way whatever its value, so they need
/// only be counted; the kernel sums run over the finite values alone.
enum class Kind : int8_t { kFinite = 0, kMasked = -1, kNan = -2, kBelow = -3, kAbove = -4 };

/// Of an item that is not masked.
template <class Scalar>
RANK_RELAX_HOST_DEVICE inline Kind kind_of(Scalar value) {
  if (value - value == 0) return Kind::kFinite;
  if (value != value) return Kind::kNan;
  return value < 0 ? Kind::kBelow : Kind::kAbove;
}

}  // namespace rank_relax
