#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "core/cdf/smooth_cdfs.h"
#include "torch/cdf/of_tensor.h"

namespace rank_relax {

/// function(OfTensor<Cdf>()) for the CDF that a method names; an undefined tensor if it names none.
template <class Function>
at::Tensor of_cdf(std::string_view method, const Function& function) {
  at::Tensor result;
  SmoothCdfs::visit(method, [&](auto cdf) { result = function(OfTensor<decltype(cdf)>()); });
  return result;
}

}  // namespace rank_relax
