#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace rank_relax {

/// Lists whose relaxation by a strength of 1, or another plain one, is that of the given lists by a
/// strength that is a tensor, or in units of the lists' own standard deviation: those are functions
/// of α (x - c), so that the factor moves into the values. In float64: a product rounded to the
/// values' own dtype would move near neighbours of a wide list. Differentiable, with respect to the
/// strength too.
class ScaledList {
 public:
  /// `values` in float64. The dimensions of `strength`, if any, are the first ones of the batch;
  /// where it is not positive and finite, all that counts becomes NaN. With `standardize` the
  /// values are divided by the population standard deviation of those that count first.
  ScaledList(const at::Tensor& values, const std::optional<at::Tensor>& strength, bool standardize,
             const std::optional<at::Tensor>& mask);

  const at::Tensor& values() const { return values_; }

  /// Points [*, L] in the unit of the given lists, from those among values(). Infinities and NaN
  /// are what they are in either unit.
  at::Tensor restored(const at::Tensor& points) const;

 private:
  at::Tensor values_;
  at::Tensor center_, deviation_, factor_;  // [*, 1]; undefined if 0, 1 and 1
};

}  // namespace rank_relax
