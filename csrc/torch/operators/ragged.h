#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <tuple>
#include <vector>

#include "torch/composite/function_call.h"
#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// A function of lists that lie one behind the other: [*, N] with `offsets` (int64, [*, L + 1]),
/// where those in each row end. `level` is the q [*, L, number of them] or the k [*, L]. Of the
/// dtype of the function's own operator; of _in_float64's where the call is one of that.
struct Ragged : Declaration {
  static constexpr auto name = "_ragged";
  static constexpr auto schema =
      "(Tensor input, Tensor? targets, Tensor? level, Tensor? strength, str function, "
      "float number, bool standardize, float regularization_strength, str method, Tensor? mask, "
      "Tensor offsets) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const FunctionCall& call, const Options& options, const Tensor& offsets);
  static Check<Function> check;
  static Function outputs;
  /// What the kernel computes, as operators that autograd sees. `ends` are the offsets.
  static Tensor value(const FunctionCall& call, const Options& options,
                      const std::vector<int64_t>& ends);
};
inline constexpr Operator<Ragged> ragged{};

/// Of input, targets and strength; what is not needed is empty.
struct RaggedBackward : Declaration {
  static constexpr auto name = "_ragged_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, Tensor? targets, Tensor? level, Tensor? strength, "
      "str function, float number, bool standardize, bool[3] needed, "
      "float regularization_strength, str method, Tensor? mask, Tensor offsets) -> "
      "(Tensor grad_input, Tensor grad_targets, Tensor grad_strength)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& grad_output,
                                                      const FunctionCall& call,
                                                      std::array<bool, 3> needed,
                                                      const Options& options,
                                                      const Tensor& offsets);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<RaggedBackward> ragged_backward{};

}  // namespace rank_relax::operators
