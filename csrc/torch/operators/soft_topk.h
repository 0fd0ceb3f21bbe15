#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// k is one number, or one for each list: [*]. By a smooth CDF.
struct SoftTopK : Declaration {
  static constexpr auto name = "soft_topk";
  static constexpr auto schema =
      "(Tensor input, Tensor k, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kDecomposed;
  static constexpr int shared_dims = 0;
  static constexpr int autocast = 1;
  using Function = Tensor(const Tensor& input, const Tensor& k, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftTopK> soft_topk{};

/// k is [*, 1]. `densities` (float64, as its bits) are the slopes of the mask by each item, the
/// threshold being held, in units of the strength. Constants to autograd, which finds their
/// derivatives from the input.
struct SoftTopKForward : Declaration {
  static constexpr auto name = "_soft_topk_forward";
  static constexpr auto schema =
      "(Tensor input, Tensor k, float regularization_strength, str method, Tensor? mask) -> "
      "(Tensor chosen, Tensor densities)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor>(const Tensor& input, const Tensor& k,
                                              const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SoftTopKForward> soft_topk_forward{};

/// The Jacobian of the mask, which is symmetric, times `grad_output`.
struct SoftTopKBackward : Declaration {
  static constexpr auto name = "_soft_topk_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, Tensor k, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& grad_output, const Tensor& input, const Tensor& k,
                          const Tensor& densities, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftTopKBackward> soft_topk_backward{};

}  // namespace rank_relax::operators
