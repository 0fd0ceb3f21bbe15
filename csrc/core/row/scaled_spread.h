#pragma once

#include "core/host_device.h"
#include "core/row/scaled_difference.h"

namespace rank_relax {

/// max - min in units of 1/α.
RANK_RELAX_HOST_DEVICE inline double scaled_spread(double minimum, double maximum,
                                                   double regularization_strength) {
  return scaled_difference(regularization_strength, maximum, minimum);
}

}  // namespace rank_relax
