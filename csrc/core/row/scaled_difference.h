#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// α (a - b). Halved, the difference of two finite values does not overflow.
RANK_RELAX_HOST_DEVICE inline double scaled_difference(double regularization_strength, double a,
                                                       double b) {
  return 2 * (regularization_strength * (a / 2 - b / 2));
}

}  // namespace rank_relax
