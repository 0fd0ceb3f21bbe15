#pragma once

// When soft top-k takes a step of Newton's method from a threshold that is rounded to a double. The
// CPU's kernel and the formula in tensors decide alike.

namespace rank_relax::topk_step {

/// Sums of densities below it are those of a gap, in which there is nothing to take out.
constexpr double kFlat = 1e-6;

/// What the rounding of the sum of shares comes to, for each item.
constexpr double kRounding = 1e-15;

/// A step that leaves less than the rounding of a share: its square.
constexpr double kTiny = 1e-9;

/// How many steps are taken.
constexpr int kMost = 5;

}  // namespace rank_relax::topk_step
