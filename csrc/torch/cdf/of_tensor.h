#pragma once

namespace rank_relax {

/// A smooth CDF as functions of a tensor of differences d, differentiable by autograd, for devices
/// without kernels and for masks. Every CDF of core/cdf/smooth_cdfs.h has its own in a file beside
/// this one, with the members
///
///     cdf(d)                  F
///     centered(d)             F - 1/2, to full relative precision
///     density(d)              F'
///     derivative(d, order)    F^(order), order >= 1; d is at most 1000 in size
///     log_density(d, items)   log F' less anything that is the same for all d of a list, such that
///                             the largest among `items` is near 0 however far away they are
template <class Cdf>
struct OfTensor {
  static_assert(!sizeof(Cdf), "a smooth CDF needs a specialisation of OfTensor in torch/cdf/");
};

}  // namespace rank_relax
