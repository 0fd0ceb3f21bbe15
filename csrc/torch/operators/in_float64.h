#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <tuple>

#include "torch/composite/in_float64.h"
#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// A function in float64 inside, float64 for float64 and else float32. `level` is the q [*, L] or
/// the k [*], or `number` is.
struct InFloat64 : Declaration {
  static constexpr auto name = "_in_float64";
  static constexpr auto schema =
      "(Tensor input, Tensor? targets, Tensor? level, Tensor? strength, str function, "
      "float number, bool standardize, float regularization_strength, str method, Tensor? mask) -> "
      "Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Float64Call& call, const Options& options);
  static Check<Function> check;
  static Function outputs;
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
                                                      const Float64Call& call,
                                                      std::array<bool, 3> needed,
                                                      const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<InFloat64Backward> in_float64_backward{};

}  // namespace rank_relax::operators
