#pragma once

// The operators of rank_relax as C++ functions. They rank along the last dimension, have
// derivatives of every order, and throw c10::ValueError or c10::TypeError for arguments that make
// no sense. docs/cpp.md says how to link with them, docs/semantics.md what they return.

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <optional>
#include <string_view>

namespace rank_relax {
namespace detail {

/// An operator with one tensor or more, the strength, the method and the mask.
template <class... Tensors>
auto find(const char* name) {
  using Schema = at::Tensor(Tensors..., double, std::string_view, const std::optional<at::Tensor>&);
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<Schema>();
}

}  // namespace detail

/// Soft ranks in [0, 1], nearest 0 for the smallest item of a list: `input` and result are [...,
/// n]. `mask`, bool, is true where an item counts.
inline at::Tensor soft_rank(const at::Tensor& input, double regularization_strength = 1.0,
                            std::string_view method = "sigmoid",
                            const std::optional<at::Tensor>& mask = std::nullopt) {
  static const auto op = detail::find<const at::Tensor&>("rank_relax::soft_rank");
  return op.call(input, regularization_strength, method, mask);
}

/// The Jacobian of soft_rank, which is symmetric, times `grad_output`.
inline at::Tensor soft_rank_backward(const at::Tensor& grad_output, const at::Tensor& input,
                                     double regularization_strength = 1.0,
                                     std::string_view method = "sigmoid",
                                     const std::optional<at::Tensor>& mask = std::nullopt) {
  static const auto op =
      detail::find<const at::Tensor&, const at::Tensor&>("rank_relax::soft_rank_backward");
  return op.call(grad_output, input, regularization_strength, method, mask);
}

/// Hard ranks of items of any real dtype, ties averaged, in [0, 1] or from 0 to n - 1: [..., n]
/// gives
/// [..., n]. Not differentiable. `dtype` is that of the result: by default the input's, and torch's
/// default dtype for integers.
inline at::Tensor hard_rank(const at::Tensor& input, bool descending = false, bool normalize = true,
                            const std::optional<at::Tensor>& mask = std::nullopt,
                            std::optional<at::ScalarType> dtype = std::nullopt) {
  using Schema = at::Tensor(const at::Tensor&, bool, bool, const std::optional<at::Tensor>&,
                            std::optional<at::ScalarType>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("rank_relax::hard_rank", "").typed<Schema>();
  return op.call(input, descending, normalize, mask, dtype);
}

/// One minus Spearman's correlation of soft ranks of the predictions and hard ranks of the targets:
/// [..., n] and [..., n] give one loss a list, [...]. With `target_ranks` "soft" both are soft.
inline at::Tensor spearman_loss(const at::Tensor& predictions, const at::Tensor& targets,
                                double regularization_strength = 1.0,
                                std::string_view method = "sigmoid",
                                const std::optional<at::Tensor>& mask = std::nullopt,
                                std::string_view target_ranks = "hard") {
  using Schema = at::Tensor(const at::Tensor&, const at::Tensor&, double, std::string_view,
                            const std::optional<at::Tensor>&, std::string_view);
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("rank_relax::spearman_loss", "")
                             .typed<Schema>();
  return op.call(predictions, targets, regularization_strength, method, mask, target_ranks);
}

/// Softly sorted values, ascending: [..., n] gives [..., n].
inline at::Tensor soft_sort(const at::Tensor& input, double regularization_strength = 1.0,
                            std::string_view method = "sigmoid",
                            const std::optional<at::Tensor>& mask = std::nullopt) {
  static const auto op = detail::find<const at::Tensor&>("rank_relax::soft_sort");
  return op.call(input, regularization_strength, method, mask);
}

/// Soft quantiles: `input` [..., n] and `q` in [0, 1], [L] or [..., L], give [..., L].
inline at::Tensor soft_quantile(const at::Tensor& input, const at::Tensor& q,
                                double regularization_strength = 1.0,
                                std::string_view method = "sigmoid",
                                const std::optional<at::Tensor>& mask = std::nullopt) {
  static const auto op =
      detail::find<const at::Tensor&, const at::Tensor&>("rank_relax::soft_quantile");
  return op.call(input, q, regularization_strength, method, mask);
}

/// A soft mask of the k largest items, which adds up to k: `input` [..., n] and `k`, one number or
/// [...], give [..., n].
inline at::Tensor soft_topk(const at::Tensor& input, const at::Tensor& k,
                            double regularization_strength = 1.0,
                            std::string_view method = "sigmoid",
                            const std::optional<at::Tensor>& mask = std::nullopt) {
  static const auto op =
      detail::find<const at::Tensor&, const at::Tensor&>("rank_relax::soft_topk");
  return op.call(input, k, regularization_strength, method, mask);
}

}  // namespace rank_relax
