#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/sub.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>

#include <utility>
#include <vector>

#include "core/cdf/sigmoid.h"
#include "torch/cdf/of_tensor.h"

namespace rank_relax {

template <>
struct OfTensor<Sigmoid> {
  using Tensor = at::Tensor;

  static Tensor cdf(const Tensor& d) { return at::sigmoid(d); }
  static Tensor centered(const Tensor& d) { return at::tanh(d / 2) / 2; }
  static Tensor density(const Tensor& d) { return at::sigmoid(d) * at::sigmoid(-d); }

  /// F' Q(-q) with q = tanh(d/2) and the polynomials of core/cdf/sigmoid.h.
  static Tensor derivative(const Tensor& d, int order) {
    if (order == 1) return density(d);
    const std::vector<double> coefficients = polynomial(order);
    const Tensor m = at::tanh(d / 2).neg();
    Tensor value = at::full_like(m, coefficients.back());
    for (size_t power = coefficients.size() - 1; power-- > 0;) {
      value = value * m + coefficients[power];
    }
    return value * density(d);
  }

  /// -|d| - 2 log(1 + exp(-|d|)), which is even and smooth: either sign has its derivatives at 0,
  /// where those of abs are 0. Not by softplus, which rounds the last items of a tensor in another
  /// way than the rest, nor by log_sigmoid, whose derivative a DTensor does not know.
  static Tensor log_density(const Tensor& d, const Tensor&) {
    const Tensor below = at::where(d < 0, d, -d);
    return at::sub(below, at::log1p(at::exp(below)), 2);
  }

 private:
  /// Q_order, lowest coefficient first: Q_1 = 1, Q_{k+1}(m) = m Q_k(m) - (1 - m²)/2 Q_k'(m).
  static std::vector<double> polynomial(int order) {
    std::vector<double> coefficients = {1};
    for (int k = 1; k < order; ++k) {
      std::vector<double> next(k + 1);
      for (int power = 0; power < k; ++power) {
        const double c = coefficients[power];
        next[power + 1] += c + power * c / 2;
        if (power > 0) next[power - 1] -= power * c / 2;
      }
      coefficients = std::move(next);
    }
    return coefficients;
  }
};

}  // namespace rank_relax
