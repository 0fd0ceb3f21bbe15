#pragma once

#include <ATen/core/Tensor.h>

#include "torch/declaration/options.h"

namespace rank_relax {

/// The points at level q (n - 1) + 1/2 of the n items that count, in float64: among sorted values,
/// whose levels are k - 1/2, q is where torch.quantile has it. NaN, as there, for a list that holds
/// one, and for a q outside of [0, 1]. q is [L] or [*, L]; differentiable if the input is.
at::Tensor quantile(const at::Tensor& input, const at::Tensor& q, const Options& options);

}  // namespace rank_relax
