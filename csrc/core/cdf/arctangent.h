#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// arctan x for x >= 0, within 2 ulp. Its cases are factors 0 and 1, not branches, so that loops
/// over it fill vector registers, which std::atan does not: with π/2 - arctan(1/x) from tan 3π/8
/// on, and π/4 + arctan((x - 1)/(x + 1)) from tan π/8 on, arctan is a rational function of a small
/// argument (S. L. Moshier, Cephes, atan.c).
RANK_RELAX_HOST_DEVICE inline double arctangent(double x) {
  constexpr double kQuarterPi = 0.78539816339744830962, kFarthest = 1e300;
  const double within = x > kFarthest ? kFarthest : x;  // NaN stays
  const double is_large = static_cast<double>(within > 2.41421356237309504880);
  const double is_not_small = static_cast<double>(within > 0.41421356237309504880);
  const double t =
      (within * (1 - is_large) - is_not_small) / (within * is_not_small + 1 - is_large);
  const double z = t * t;
  double p = -8.750608600031904122785e-1;
  p = p * z - 1.615753718733365076637e1;
  p = p * z - 7.500855792314704667340e1;
  p = p * z - 1.228866684490136173410e2;
  p = p * z - 6.485021904942025371773e1;
  double q = z + 2.485846490142306297962e1;
  q = q * z + 1.650270098316988542046e2;
  q = q * z + 4.328810604912902668951e2;
  q = q * z + 4.853903996359136964868e2;
  q = q * z + 1.945506571482613964425e2;
  return kQuarterPi * (is_large + is_not_small) + (t + t * (z * p / q));
}

}  // namespace rank_relax
