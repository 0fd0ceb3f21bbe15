#pragma once

#include <ATen/core/Tensor.h>

#include "torch/declaration/options.h"

namespace rank_relax::quantile_at_levels {

// Products with the Jacobian of points b at levels of the smoothed count, by the implicit function
// theorem on Σ_j F(α (b_l - x_j)) = level_l:
//
//     db_l/dx_j = W_lj = F'(α (b_l - x_j)) / Σ_i F'(α (b_l - x_i)) = softmax_j(log F'(α (b_l -
//     x_j)))
//
// As a softmax the weights have their limit even in a gap so wide that every F' is 0. They take
// O(n) time and memory a level, and are differentiable if the tensors are.

/// Σ_l g_l W_lj, of `points` and `input` in float64; 0 at infinities, NaN and masked items. NaN for
/// all other items of a list with a point that is NaN.
at::Tensor backward(const at::Tensor& grad_points, const at::Tensor& input,
                    const at::Tensor& points, const Options& options);

/// Σ_j W_lj v_j, of `points` and `input` in float64; 0 at an infinite point, NaN at NaN.
at::Tensor tangent(const at::Tensor& direction, const at::Tensor& input, const at::Tensor& points,
                   const Options& options);

}  // namespace rank_relax::quantile_at_levels
