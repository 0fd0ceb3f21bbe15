#pragma once

#include "torch/operators.h"

// The operators that rank targets, or compare with ranks of theirs. Those that take other arguments
// than Options are the dispatcher's own handles.

namespace rank_relax::operators {

template <class Schema>
c10::TypedOperatorHandle<Schema> handle(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").template typed<Schema>();
}

inline const auto& hard_rank() {
  static const auto op = handle<Tensor(const Tensor&, bool, bool, const std::optional<Tensor>&,
                                       std::optional<at::ScalarType>)>("rank_relax::hard_rank");
  return op;
}

inline const auto& centered_hard_rank() {
  static const auto op =
      handle<Tensor(const Tensor&, const std::optional<Tensor>&, at::ScalarType)>(
          "rank_relax::_centered_hard_rank");
  return op;
}

inline const auto& centered_integer_rank() {
  static const auto op =
      handle<Tensor(const Tensor&, double, std::string_view, const std::optional<Tensor>&,
                    at::ScalarType)>("rank_relax::_centered_integer_rank");
  return op;
}

inline const auto& spearman_loss() {
  static const auto op =
      handle<Tensor(const Tensor&, const Tensor&, double, std::string_view,
                    const std::optional<Tensor>&, std::string_view)>("rank_relax::spearman_loss");
  return op;
}

inline const auto& spearman_loss_at_ranks_forward() {
  static const Operator<std::tuple<Tensor, Tensor>, const Tensor&, const Tensor&> op(
      "rank_relax::_spearman_loss_at_ranks_forward");
  return op;
}

inline const auto& spearman_loss_at_ranks_backward() {
  static const Operator<Tensor, const Tensor&, const Tensor&, const Tensor&, const Tensor&> op(
      "rank_relax::_spearman_loss_at_ranks_backward");
  return op;
}

}  // namespace rank_relax::operators
