#pragma once

// Stands before csrc/core/cdf/smooth_cdfs.h in the include path: what the list is after a CDF has
// been added, so that every kernel and its tests are compiled for it too.

#include "../../hyperbolic_secant.h"
#include "core/cdf/cauchy.h"
#include "core/cdf/gaussian.h"
#include "core/cdf/laplace.h"
#include "core/cdf/sigmoid.h"
#include "core/cdf/smooth_cdf_list.h"

namespace rank_relax {

using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian, Laplace, Cauchy, HyperbolicSecant>;

}  // namespace rank_relax
