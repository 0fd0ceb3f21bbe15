#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <optional>
#include <string_view>

#include "torch/operators.h"

namespace rank_relax {

/// A call of one of the library's functions whose way to the result is in float64 whatever the
/// dtype of the lists: strengths that are tensors, lists in units of their standard deviation,
/// quantiles. For lists of a lower precision it is one operator, so that nothing of float64 lies on
/// a device that has none, and nothing is kept for the backward but what was given.
struct InFloat64 {
  std::string_view function;  // of rank_relax
  at::Tensor input;
  std::optional<at::Tensor> targets;  // of spearman_loss; constant ranks of _at_ranks
  std::optional<at::Tensor> level;    // [*, L] of soft_quantile, [*] of soft_topk; else `number` is
  double number;
  std::optional<at::Tensor> strength;  // with the first dimensions of the batch
  bool standardize;
  Options options;

  void check() const;

  bool is_float64() const { return input.scalar_type() == at::kDouble; }

  /// The result by operators of torch and of ours, differentiable: float64 for float64, else
  /// float32.
  at::Tensor value() const;

  /// What the gradient is wanted of: input, targets and strength; undefined if not given.
  std::array<at::Tensor, 3> differentiated() const;

  /// The product of grad_output with the Jacobian, where `needed`; else undefined. If
  /// `create_graph` a function of grad_output and of the tensors, which can be differentiated
  /// again.
  std::array<at::Tensor, 3> gradients(const at::Tensor& grad_output, std::array<bool, 3> needed,
                                      bool create_graph) const;
};

}  // namespace rank_relax
