#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// Integers, compared exactly: float64 scores (core/integer_scores.h) that have the soft ranks of
/// the integers, up to a factor for each list that no correlation sees, at strengths (float64) [*,
/// 1].
struct IntegerScores : Declaration {
  static constexpr auto name = "_integer_scores";
  static constexpr auto schema =
      "(Tensor input, Tensor strengths, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(const Tensor& input, const Tensor& strengths, std::string_view method,
                          const std::optional<Tensor>& mask);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<IntegerScores> integer_scores{};

/// The soft ranks of such scores less 1/2.
struct CenteredIntegerRank : Declaration {
  static constexpr auto name = "_centered_integer_rank";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength, str method, Tensor? mask, ScalarType dtype) "
      "-> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(const Tensor& input, const Options& options, at::ScalarType dtype);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<CenteredIntegerRank> centered_integer_rank{};

}  // namespace rank_relax::operators
