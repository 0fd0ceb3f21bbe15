#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace rank_relax {

/// A batch of lists in float64, each around the middle of its finite items that count: a point
/// among them is then not rounded to what the distance from 0 leaves. Infinities and NaN stay.
struct Centered {
  at::Tensor values;
  at::Tensor center;  // [*, 1], a constant to autograd; 0 for a list with no such item
};

Centered centered(const at::Tensor& input, const std::optional<at::Tensor>& mask);

}  // namespace rank_relax
