#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

struct SoftSort : Declaration {
  static constexpr auto name = "soft_sort";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  static constexpr int autocast = 1;
  using Function = Tensor(const Tensor& input, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftSort> soft_sort{};

/// By a smooth CDF. `points` are the values before they are rounded, `densities` the slopes of the
/// smoothed count there, in units of the strength; 0 where no finite value stands. Both are
/// float64, as its bits (torch/any_device/float64.h), which any device can hold. Constants to
/// autograd, which finds their derivatives from the input.
struct QuantileSortForward : Declaration {
  static constexpr auto name = "_quantile_sort_forward";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength, str method, Tensor? mask) -> "
      "(Tensor values, Tensor points, Tensor densities)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& input, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<QuantileSortForward> quantile_sort_forward{};

struct QuantileSortBackward : Declaration {
  static constexpr auto name = "_quantile_sort_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& grad_output, const Tensor& input, const Tensor& points,
                          const Tensor& densities, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<QuantileSortBackward> quantile_sort_backward{};

struct QuantileSortTangent : Declaration {
  static constexpr auto name = "_quantile_sort_tangent";
  static constexpr auto schema =
      "(Tensor direction, Tensor input, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& direction, const Tensor& input, const Tensor& points,
                          const Tensor& densities, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<QuantileSortTangent> quantile_sort_tangent{};

/// By projection, methods "l2" and "kl". `permutation` (int64) is the item at each place of the
/// sorted row, `blocks` (int32) its block: constant between the points where sorted values have no
/// derivative.
struct PermutahedronSortForward : Declaration {
  static constexpr auto name = "_permutahedron_sort_forward";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength, str method, Tensor? mask) -> "
      "(Tensor values, Tensor permutation, Tensor blocks)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& input, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<PermutahedronSortForward> permutahedron_sort_forward{};

struct PermutahedronSortBackward : Declaration {
  static constexpr auto name = "_permutahedron_sort_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, Tensor permutation, Tensor blocks, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& grad_output, const Tensor& input, const Tensor& permutation,
                          const Tensor& blocks, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<PermutahedronSortBackward> permutahedron_sort_backward{};

struct PermutahedronSortTangent : Declaration {
  static constexpr auto name = "_permutahedron_sort_tangent";
  static constexpr auto schema =
      "(Tensor direction, Tensor input, Tensor permutation, Tensor blocks, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(const Tensor& direction, const Tensor& input, const Tensor& permutation,
                          const Tensor& blocks, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<PermutahedronSortTangent> permutahedron_sort_tangent{};

}  // namespace rank_relax::operators
