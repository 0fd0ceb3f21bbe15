#pragma once

#include "core/cdf/cauchy.h"
#include "core/cdf/gaussian.h"
#include "core/cdf/laplace.h"
#include "core/cdf/sigmoid.h"
#include "core/cdf/smooth_cdf_list.h"

namespace rank_relax {

/// The CDFs that a method name may stand for. A new one is a file beside sigmoid.h that says what F
/// is and what it can do, and its name here.
using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian, Laplace, Cauchy>;

}  // namespace rank_relax
