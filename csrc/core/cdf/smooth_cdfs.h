#pragma once

#include "core/cdf/gaussian.h"
#include "core/cdf/sigmoid.h"
#include "core/cdf/smooth_cdf_list.h"

namespace rank_relax {

/// The smooth CDFs that a method name may stand for. A new one is a file beside sigmoid.h that
/// gives the same members, and its name here; and its form as functions of a tensor in torch/cdf/.
using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian>;

}  // namespace rank_relax
