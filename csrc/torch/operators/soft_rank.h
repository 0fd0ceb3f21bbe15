#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

struct SoftRank : Declaration {
  static constexpr auto name = "soft_rank";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr int autocast = 1;
  using Function = Tensor(const Tensor& input, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftRank> soft_rank{};

/// The Jacobian of soft_rank, which is symmetric, times `grad_output`.
struct SoftRankBackward : Declaration {
  static constexpr auto name = "soft_rank_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor input, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(const Tensor& grad_output, const Tensor& input, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftRankBackward> soft_rank_backward{};

/// Along so many directions, and without any the ranks less 1/2 (torch/autograd/soft_rank.cpp).
struct SoftRankDerivative : Declaration {
  static constexpr auto name = "_soft_rank_derivative";
  static constexpr auto schema =
      "(Tensor[] directions, Tensor input, float regularization_strength, str method, "
      "Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(at::TensorList directions, const Tensor& input, const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SoftRankDerivative> soft_rank_derivative{};

/// By projection, methods "l2" and "kl". `blocks` (int32) is constant between the points where
/// ranks have no derivative: the number of each item's block, or why it is in none
/// (cpu/projection/permutahedron.h).
struct PermutahedronRankForward : Declaration {
  static constexpr auto name = "_permutahedron_rank_forward";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength, str method, Tensor? mask) -> "
      "(Tensor rank, Tensor blocks)";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = std::tuple<Tensor, Tensor>(const Tensor& input, const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<PermutahedronRankForward> permutahedron_rank_forward{};

struct PermutahedronRankDerivative : Declaration {
  static constexpr auto name = "_permutahedron_rank_derivative";
  static constexpr auto schema =
      "(Tensor[] directions, Tensor input, Tensor blocks, float regularization_strength, "
      "str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kOnTheHost;
  using Function = Tensor(at::TensorList directions, const Tensor& input, const Tensor& blocks,
                          const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<PermutahedronRankDerivative> permutahedron_rank_derivative{};

}  // namespace rank_relax::operators
