#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>
#include <tuple>

#include "torch/declaration/schema_types.h"

namespace rank_relax {

/// The arguments that nearly every operator takes after its tensors. Borrowed for the length of a
/// call.
struct Options {
  double regularization_strength;
  std::string_view method;
  const std::optional<at::Tensor>& mask;

  using InSchema = SchemaTypes<double, std::string_view, const std::optional<at::Tensor>&>;
  auto parts() const { return std::tie(regularization_strength, method, mask); }
};

}  // namespace rank_relax
