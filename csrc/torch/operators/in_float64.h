#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <tuple>

#include "torch/composite/function_call.h"
#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// A function whose way to the result is in float64 whatever the dtype of the lists, strengths that
/// are tensors and lists in units of their standard deviation: float64 for float64 and else
/// float32. For lists of a lower precision it is one operator, so that nothing of float64 lies on a
/// device that has none, and nothing is kept for the backward but what was given. `level` is the q
/// [*, L] or the k [*], or `number` is.
struct InFloat64 : Declaration {
  static constexpr auto name = "_in_float64";
  static constexpr auto schema =
      "(Tensor input, Tensor? targets, Tensor? level, Tensor? strength, str function, "
      "float number, bool standardize, float regularization_strength, str method, Tensor? mask) -> "
      "Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const FunctionCall& call, const Options& options);
  static Check<Function> check;
  static Function outputs;
  /// What the kernel computes, as operators that autograd sees.
  static Function value;
};
inline constexpr Operator<InFloat64> in_float64{};

/// Of input, targets and strength; what is not needed is empty.
struct InFloat64Backward : Declaration {
  static constexpr auto name = "_in_float64_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, Tensor? targets, Tensor? level, Tensor? strength, "
      "str function, float number, bool standardize, bool[3] needed, "
      "float regularization_strength, str method, Tensor? mask) -> (Tensor grad_input, "
      "Tensor grad_targets, Tensor grad_strength)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& grad_output,
                                                      const FunctionCall& call,
                                                      std::array<bool, 3> needed,
                                                      const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<InFloat64Backward> in_float64_backward{};

}  // namespace rank_relax::operators
