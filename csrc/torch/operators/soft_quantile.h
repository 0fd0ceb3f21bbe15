#pragma once

#include <ATen/core/Tensor.h>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// input [*, n] and q [L] or [*, L] give [*, L]. By a smooth CDF.
struct SoftQuantile : Declaration {
  static constexpr auto name = "soft_quantile";
  static constexpr auto schema =
      "(Tensor input, Tensor q, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kDecomposed;
  static constexpr int shared_dims = 1;
  static constexpr int autocast = 1;
  using Function = Tensor(const Tensor& input, const Tensor& q, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftQuantile> soft_quantile{};

/// The points (float64) where the smoothed count of a list is `levels` (float64), [*, L]. Levels
/// have no derivative; `points` are constants to autograd, which finds their derivatives from the
/// input.
struct QuantileAtLevels : Declaration {
  static constexpr auto name = "_quantile_at_levels";
  static constexpr auto schema =
      "(Tensor input, Tensor levels, float regularization_strength, str method, Tensor? mask) -> "
      "Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& input, const Tensor& levels, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<QuantileAtLevels> quantile_at_levels{};

struct QuantileAtLevelsBackward : Declaration {
  static constexpr auto name = "_quantile_at_levels_backward";
  static constexpr auto schema =
      "(Tensor grad_points, Tensor input, Tensor levels, Tensor points, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kFormula;
  using Function = Tensor(const Tensor& grad_points, const Tensor& input, const Tensor& levels,
                          const Tensor& points, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<QuantileAtLevelsBackward> quantile_at_levels_backward{};

struct QuantileAtLevelsTangent : Declaration {
  static constexpr auto name = "_quantile_at_levels_tangent";
  static constexpr auto schema =
      "(Tensor direction, Tensor input, Tensor levels, Tensor points, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kFormula;
  using Function = Tensor(const Tensor& direction, const Tensor& input, const Tensor& levels,
                          const Tensor& points, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<QuantileAtLevelsTangent> quantile_at_levels_tangent{};

}  // namespace rank_relax::operators
