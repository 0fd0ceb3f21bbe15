#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

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

/// q is [*, L]. `points` are the quantiles before they are rounded, from the centre of their list
/// (core/row/center.h), as the device's kernel has it, `densities` the slopes of the smoothed count
/// there, in units of the strength; 0 where that vanishes or is not known. Both are float64, as its
/// bits (torch/any_device/float64.h). Constants to autograd, which finds their derivatives from the
/// input.
struct SoftQuantileForward : Declaration {
  static constexpr auto name = "_soft_quantile_forward";
  static constexpr auto schema =
      "(Tensor input, Tensor q, float regularization_strength, str method, Tensor? mask) -> "
      "(Tensor quantiles, Tensor points, Tensor densities)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& input, const Tensor& q,
                                                      const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SoftQuantileForward> soft_quantile_forward{};

struct SoftQuantileBackward : Declaration {
  static constexpr auto name = "_soft_quantile_backward";
  static constexpr auto schema =
      "(Tensor grad_quantiles, Tensor input, Tensor q, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& grad_quantiles, const Tensor& input, const Tensor& q,
                          const Tensor& points, const Tensor& densities, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SoftQuantileBackward> soft_quantile_backward{};

struct SoftQuantileTangent : Declaration {
  static constexpr auto name = "_soft_quantile_tangent";
  static constexpr auto schema =
      "(Tensor direction, Tensor input, Tensor q, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& direction, const Tensor& input, const Tensor& q,
                          const Tensor& points, const Tensor& densities, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SoftQuantileTangent> soft_quantile_tangent{};

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
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
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
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& direction, const Tensor& input, const Tensor& levels,
                          const Tensor& points, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<QuantileAtLevelsTangent> quantile_at_levels_tangent{};

}  // namespace rank_relax::operators
