#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// Of items of any real dtype, ties averaged. Not differentiable. `dtype` is that of the result: by
/// default the input's, torch's default dtype for integers.
struct HardRank : Declaration {
  static constexpr auto name = "hard_rank";
  static constexpr auto schema =
      "(Tensor input, bool descending=False, bool normalize=True, Tensor? mask=None, "
      "ScalarType? dtype=None) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(const Tensor& input, bool descending, bool normalize,
                          const std::optional<Tensor>& mask, std::optional<at::ScalarType> dtype);
  static Check<Function> check;
  static Function outputs;
  static at::ScalarType result_dtype(const Tensor& input, std::optional<at::ScalarType> dtype);
};
inline constexpr Operator<HardRank> hard_rank{};

/// Counts less (n - 1)/2: they add up to zero.
struct CenteredHardRank : Declaration {
  static constexpr auto name = "_centered_hard_rank";
  static constexpr auto schema = "(Tensor input, Tensor? mask, ScalarType dtype) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  using Function = Tensor(const Tensor& input, const std::optional<Tensor>& mask,
                          at::ScalarType dtype);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<CenteredHardRank> centered_hard_rank{};

}  // namespace rank_relax::operators
