#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string_view>
#include <tuple>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// Where the lists in a row of values end, and those in a row of points: int64 [*, L + 1] both, or
/// absent both where a row is one list.
struct Offsets {
  const std::optional<Tensor>& of_values;
  const std::optional<Tensor>& of_points;

  using InSchema = SchemaTypes<const std::optional<Tensor>&, const std::optional<Tensor>&>;
  auto parts() const { return std::tie(of_values, of_points); }
};

/// The order of values, [*, n], and of points, [*, m], by which each point counts the values of
/// smaller keys alone: int64, float64 or float32, absent both where it counts all.
struct Keys {
  const std::optional<Tensor>& of_values;
  const std::optional<Tensor>& of_points;

  using InSchema = SchemaTypes<const std::optional<Tensor>&, const std::optional<Tensor>&>;
  auto parts() const { return std::tie(of_values, of_points); }
};

/// points [*, m], values [*, n] and weights [*, n] give [*, m]; weights [*, K, n] give [*, K, m].
/// By a smooth CDF.
struct SoftCount : Declaration {
  static constexpr auto name = "soft_count";
  static constexpr auto schema =
      "(Tensor points, Tensor values, Tensor? weights=None, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None, int order=0, Tensor? offsets=None, "
      "Tensor? point_offsets=None, Tensor? keys=None, Tensor? point_keys=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kDecomposed;
  static constexpr auto lists = "values";
  static constexpr int autocast = 2;
  using Function = Tensor(const Tensor& points, const Tensor& values,
                          const std::optional<Tensor>& weights, const Options& options,
                          int64_t order, const Offsets& offsets, const Keys& keys);
  static Check<Function> check;
};
inline constexpr Operator<SoftCount> soft_count{};

/// Which derivative of F is summed, and how sharply values are compared with points.
struct Kernel {
  double regularization_strength;
  std::string_view method;
  int64_t order;

  using InSchema = SchemaTypes<double, std::string_view, int64_t>;
  auto parts() const { return std::tie(regularization_strength, method, order); }
};

/// weights [*, K, n] give [*, K, m]: α^p Σ_j w_j K(α (t_i - x_j)) with the kernel of order p
/// (core/sum/kernel_at.h), the p-th derivative of that of order 0 in t.
struct KernelSum : Declaration {
  static constexpr auto name = "_kernel_sum";
  static constexpr auto schema =
      "(Tensor points, Tensor values, Tensor weights, float regularization_strength, str method, "
      "int order, Tensor? offsets, Tensor? point_offsets, Tensor? keys=None, "
      "Tensor? point_keys=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr auto lists = "values";
  using Function = Tensor(const Tensor& points, const Tensor& values, const Tensor& weights,
                          const Kernel& kernel, const Offsets& offsets, const Keys& keys);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<KernelSum> kernel_sum{};

}  // namespace rank_relax::operators
