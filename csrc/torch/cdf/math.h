#pragma once

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/atan.h>
#include <ATen/ops/atan2.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/erf.h>
#include <ATen/ops/erfc.h>
#include <ATen/ops/exp.h>
#include <ATen/ops/expm1.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/log1p.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sign.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/where.h>

#include "core/cdf/math.h"

namespace rank_relax {

/// Functions of tensors, which autograd differentiates.
template <>
struct Math<at::Tensor> {
  using Tensor = at::Tensor;

  static Tensor constant(const Tensor& like, double value) { return at::full_like(like, value); }
  static Tensor select(const Tensor& condition, const Tensor& yes, const Tensor& no) {
    return at::where(condition, yes, no);
  }
  static Tensor size(const Tensor& x) { return at::where(x < 0, -x, x); }
  static Tensor absolute(const Tensor& x) { return at::abs(x); }
  static Tensor clamp(const Tensor& x, double lowest, double highest) {
    return at::clamp(x, lowest, highest);
  }
  static Tensor sign(const Tensor& x) { return at::sign(x); }
  static Tensor exp(const Tensor& x) { return at::exp(x); }
  static Tensor expm1(const Tensor& x) { return at::expm1(x); }
  static Tensor log1p(const Tensor& x) { return at::log1p(x); }
  static Tensor log1p_of_share(const Tensor& x) { return at::log1p(x); }
  static Tensor erf(const Tensor& x) { return at::erf(x); }
  static Tensor erfc(const Tensor& x) { return at::erfc(x); }
  static Tensor atan(const Tensor& x) { return at::atan(x); }
  static Tensor atan_of_inverse(const Tensor& x) { return at::atan2(at::ones_like(x), x); }
  static Tensor tanh_of_half(const Tensor& x) { return at::tanh(x / 2); }
};

}  // namespace rank_relax
