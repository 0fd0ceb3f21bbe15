#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace rank_relax {

/// A batch of lists in float64. One whose finite items that count lie close together beside their
/// distance from 0 is taken around their middle: a point among them is then not rounded to what
/// that distance leaves. No item is rounded. Infinities and NaN stay.
struct Centered {
  at::Tensor values;
  at::Tensor center;  // [*, 1], a constant to autograd; 0 for another list
};

Centered centered(const at::Tensor& input, const std::optional<at::Tensor>& mask);

}  // namespace rank_relax
