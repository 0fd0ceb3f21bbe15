#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// The middle of values in one box around them all, in two parts: the centre is rounded to a
/// Scalar, which matters in a row that spans a few of these, and the rest makes up for it.
template <class Scalar>
struct OneBoxPlacement {
  Scalar center, rest;

  RANK_RELAX_HOST_DEVICE OneBoxPlacement(Scalar minimum, Scalar maximum)
      : center(minimum / 2 + maximum / 2), rest(((minimum - center) + (maximum - center)) / 2) {}
};

}  // namespace rank_relax
