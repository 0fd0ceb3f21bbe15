#pragma once

#include <ATen/core/Tensor.h>

#include "torch/declaration/options.h"

namespace rank_relax::soft_quantile {

/// A batch around the centres of its lists, in float64, and the levels [*, L] of its smoothed
/// counts that are asked for: q (n - 1) + 1/2 of the n items that count.
struct Lists {
  at::Tensor values;
  at::Tensor center;  // [*, 1], a constant to autograd
  at::Tensor levels;  // NaN where there is no quantile

  /// The points at these levels, differentiable if the values are.
  at::Tensor points(const Options& options) const;
};

/// q is [*, L], or [1] for all lists.
Lists lists_of(const at::Tensor& input, const at::Tensor& q, const Options& options);

}  // namespace rank_relax::soft_quantile
