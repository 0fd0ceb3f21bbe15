#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// Where the finite values of a list are taken around: the middle of those that lie close together
/// beside their distance from 0, so that a point among them is not rounded to what that distance
/// leaves; else 0. No value is less than half of it or more than twice it, and differences from it
/// are exact. In tensors: torch/composite/centered.h.
template <class Scalar>
RANK_RELAX_HOST_DEVICE Scalar center_of(Scalar minimum, Scalar maximum) {
  const bool is_far_from_0 =
      (minimum > 0 && maximum <= 3 * minimum) || (maximum < 0 && minimum >= 3 * maximum);
  return is_far_from_0 ? minimum / 2 + maximum / 2 : 0;
}

}  // namespace rank_relax
