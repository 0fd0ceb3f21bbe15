#pragma once

#include <ATen/core/Tensor.h>

#include "torch/declaration/options.h"

namespace rank_relax::quantile_sort {

// Products with the Jacobian of soft sorted values y, by the implicit function theorem on
// Σ_j F(α (y_k - x_j)) = k - 1/2:
//
//     dy_k/dx_j = F'(α (y_k - x_j)) / D_k,    D_k = Σ_j F'(α (y_k - x_j))
//
// Their sums over values at points and over points at values are parts of one derivative of a soft
// rank, that of the list which holds the values and the points: so they take O(n) time wherever
// soft ranks do, and are differentiable if the tensors are.

struct Point {
  at::Tensor input;      // float64
  at::Tensor points;     // float64
  at::Tensor densities;  // the D_k, and 0 where no finite value stands
  at::Tensor known;      // bool: where one stands
};

/// With the points that the forward returned, and the densities where they lie once rounded.
Point known_point(const at::Tensor& input, const at::Tensor& points, const at::Tensor& densities,
                  const Options& options);

/// With points and densities that are functions of the input again.
Point differentiable_point(const at::Tensor& input, const at::Tensor& densities,
                           const Options& options);

/// Σ_k g_k dy_k/dx_j, float64; 0 at infinities and masked items, NaN at NaN.
at::Tensor backward(const at::Tensor& grad_output, const Point& point, const Options& options);

/// Σ_j dy_k/dx_j v_j, float64; 0 at infinities and masked items, NaN at NaN.
at::Tensor tangent(const at::Tensor& direction, const Point& point, const Options& options);

}  // namespace rank_relax::quantile_sort
