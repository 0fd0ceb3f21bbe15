#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// max - min in units of 1/α. Halved, the difference of two finite values does not overflow.
RANK_RELAX_HOST_DEVICE inline double scaled_spread(double minimum, double maximum,
                                                   double regularization_strength) {
  return 2 * ((maximum / 2 - minimum / 2) * regularization_strength);
}

}  // namespace rank_relax
