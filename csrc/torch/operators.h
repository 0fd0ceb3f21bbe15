#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <array>
#include <optional>
#include <string_view>
#include <tuple>

namespace rank_relax {

/// The arguments that every operator takes after its tensors. Borrowed for the length of a call.
struct Options {
  double regularization_strength;
  std::string_view method;
  const std::optional<at::Tensor>& mask;
};

/// An operator of csrc/torch/schemas.cpp as a C++ function that goes through the dispatcher.
template <class Output, class... Tensors>
class Operator {
 public:
  explicit Operator(const char* name)
      : handle_(c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Schema>()) {}

  Output operator()(Tensors... tensors, const Options& options) const {
    return handle_.call(tensors..., options.regularization_strength, options.method, options.mask);
  }

  Output redispatch(c10::DispatchKeySet keys, Tensors... tensors, const Options& options) const {
    return handle_.redispatch(keys, tensors..., options.regularization_strength, options.method,
                              options.mask);
  }

 private:
  using Schema = Output(Tensors..., double, std::string_view, const std::optional<at::Tensor>&);
  c10::TypedOperatorHandle<Schema> handle_;
};

namespace operators {

using at::Tensor;

inline const auto& soft_rank() {
  static const Operator<Tensor, const Tensor&> op("rank_relax::soft_rank");
  return op;
}

inline const auto& soft_rank_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&> op("rank_relax::soft_rank_backward");
  return op;
}

inline const auto& soft_rank_derivative() {
  static const Operator<Tensor, at::TensorList, const Tensor&> op(
      "rank_relax::_soft_rank_derivative");
  return op;
}

inline const auto& permutahedron_rank_forward() {
  static const Operator<std::tuple<Tensor, Tensor>, const Tensor&> op(
      "rank_relax::_permutahedron_rank_forward");
  return op;
}

inline const auto& permutahedron_rank_derivative() {
  static const Operator<Tensor, at::TensorList, const Tensor&, const Tensor&> op(
      "rank_relax::_permutahedron_rank_derivative");
  return op;
}

inline const auto& soft_sort() {
  static const Operator<Tensor, const Tensor&> op("rank_relax::soft_sort");
  return op;
}

inline const auto& permutahedron_sort_forward() {
  static const Operator<std::tuple<Tensor, Tensor, Tensor>, const Tensor&> op(
      "rank_relax::_permutahedron_sort_forward");
  return op;
}

inline const auto& permutahedron_sort_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_permutahedron_sort_backward");
  return op;
}

inline const auto& permutahedron_sort_tangent() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_permutahedron_sort_tangent");
  return op;
}

inline const auto& soft_quantile() {
  static const Operator<Tensor, const Tensor&, const Tensor&> op("rank_relax::soft_quantile");
  return op;
}

inline const auto& soft_topk() {
  static const Operator<Tensor, const Tensor&, const Tensor&> op("rank_relax::soft_topk");
  return op;
}

inline const auto& soft_topk_forward() {
  static const Operator<std::tuple<Tensor, Tensor>, const Tensor&, const Tensor&> op(
      "rank_relax::_soft_topk_forward");
  return op;
}

inline const auto& soft_topk_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_soft_topk_backward");
  return op;
}

inline const auto& quantile_sort_forward() {
  static const Operator<std::tuple<Tensor, Tensor, Tensor>, const Tensor&> op(
      "rank_relax::_quantile_sort_forward");
  return op;
}

inline const auto& quantile_sort_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_quantile_sort_backward");
  return op;
}

inline const auto& quantile_sort_tangent() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_quantile_sort_tangent");
  return op;
}

inline const auto& quantile_at_levels() {
  static const Operator<Tensor, const Tensor&, const Tensor&> op("rank_relax::_quantile_at_levels");
  return op;
}

inline const auto& quantile_at_levels_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_quantile_at_levels_backward");
  return op;
}

inline const auto& quantile_at_levels_tangent() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_quantile_at_levels_tangent");
  return op;
}

inline const auto& in_float64() {
  static const Operator<Tensor, const Tensor&, const std::optional<Tensor>&,
                        const std::optional<Tensor>&, const std::optional<Tensor>&,
                        std::string_view, double, bool>
      op("rank_relax::_in_float64");
  return op;
}

inline const auto& in_float64_backward() {
  static const Operator<std::tuple<Tensor, Tensor, Tensor>, const Tensor&, const Tensor&,
                        const std::optional<Tensor>&, const std::optional<Tensor>&,
                        const std::optional<Tensor>&, std::string_view, double, bool,
                        std::array<bool, 3>>
      op("rank_relax::_in_float64_backward");
  return op;
}

inline const auto& spearman_loss_forward() {
  static const Operator<std::tuple<Tensor, Tensor, Tensor>, const Tensor&, const Tensor&> op(
      "rank_relax::_spearman_loss_forward");
  return op;
}

inline const auto& spearman_loss_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_spearman_loss_backward");
  return op;
}

}  // namespace operators
}  // namespace rank_relax
