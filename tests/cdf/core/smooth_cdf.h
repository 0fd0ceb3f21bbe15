#pragma once

// Stands before csrc/core/smooth_cdf.h in the include path: what the list is after a CDF has been
// added, so that every kernel and its tests are compiled for it too.

#include "../hyperbolic_secant.h"
#include "core/gaussian.h"
#include "core/sigmoid.h"
#include "core/smooth_cdf_list.h"

namespace rank_relax {

using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian, HyperbolicSecant>;

}  // namespace rank_relax
