#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

/// For rank_relax.torchsort.
struct RankFromOne : Declaration {
  static constexpr auto name = "_rank_from_one";
  static constexpr auto schema =
      "(Tensor input, float regularization_strength, str method) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kDecomposed;
  using Function = Tensor(const Tensor& input, double regularization_strength,
                          std::string_view method);
  static Check<Function> check;
};

}  // namespace rank_relax::operators
