#pragma once

#include <cstdint>
#include <vector>

#include "core/inverse/exponential_levels.h"
#include "core/row/scaled_difference.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count at many ascending levels where F(-d) = e^-d/2
/// (core/inverse/exponential_levels.h), O(1) a level.
template <class Scalar>
class QuantileScan {
 public:
  void set_sorted(const Scalar* sorted, int64_t count, double regularization_strength) {
    below_.resize(count);
    above_.resize(count);
    levels_ = {sorted, below_.data(), above_.data(), count, regularization_strength};
    constexpr double kFarthest = 700;  // where e^-t is nothing beside A and B
    for (int64_t i = 1; i < count; ++i) {
      const double gap = scaled_difference(regularization_strength, sorted[i], sorted[i - 1]);
      above_[i] = exponential_decay(gap < kFarthest ? gap : kFarthest);  // till it is overwritten
    }
    below_[0] = 0.5;
    for (int64_t i = 1; i < count; ++i) below_[i] = 0.5 + below_[i - 1] * above_[i];
    double above = 0.5;
    for (int64_t i = count - 1; i > 0; --i) {
      const double decay = above_[i];
      above_[i] = above;
      above = 0.5 + above * decay;
    }
    above_[0] = above;
  }

  /// store(i, 1, point, density) for all i in [begin, end): y with G(y) = level_at(i), and
  /// Σ_j F'(α (y - x_j)) at that double if wanted. Levels ascend, and lie between 0 and the number
  /// of items.
  template <bool with_densities, class LevelAt, class Store>
  void solve(int64_t begin, int64_t end, const LevelAt& level_at, const Store& store) const {
    if (begin == end) return;
    int64_t next = levels_.next_of(level_at(begin));
    for (int64_t i = begin; i < end; ++i) {
      const double level = level_at(i);
      while (next < levels_.count && levels_.count_at(next) < level) ++next;
      const double point = point_of(level, next);
      const double density = with_densities ? levels_.density_at(point, next) : 0;
      store(i, 1, &point, &density);
    }
  }

 private:
  /// In one copy, whose products are fused with sums or not: points have the same bits with
  /// densities and without.
  [[gnu::noinline]] double point_of(double level, int64_t next) const {
    return levels_.point_of(level, next);
  }

  ExponentialLevels<Scalar> levels_ = {};
  std::vector<double> below_, above_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
