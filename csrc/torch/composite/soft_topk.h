#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "torch/declaration/options.h"

namespace rank_relax::topk {

// A soft mask of the k largest items, m_i = F(α (x_i - c)) with c such that Σ_i m_i = k. With the
// densities f_i = F'(α (x_i - c)), by the implicit function theorem,
//
//     dm_i/dx_j = α f_i (δ_ij - f_j / Σ_l f_l),
//
// which is symmetric. Both results are differentiable if the tensors are; k is [*, 1].

/// The mask and the densities, in float64. Infinite items are all in or all out, unless k falls
/// among equal ones, which then share what there is; they and masked items have the density 0. NaN
/// items have NaN, for both.
std::tuple<at::Tensor, at::Tensor> forward(const at::Tensor& input, const at::Tensor& k,
                                           const Options& options);

/// α f_i (g_i - Σ_j f_j g_j / Σ_j f_j), float64; items without a density take no part, and NaN is
/// where their density is.
at::Tensor backward(const at::Tensor& grad_output, const at::Tensor& densities,
                    double regularization_strength);

}  // namespace rank_relax::topk
