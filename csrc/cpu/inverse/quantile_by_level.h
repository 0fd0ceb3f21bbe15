#pragma once

#include <cstdint>
#include <vector>

#include "cpu/inverse/quantile_search.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count at many ascending levels, none of them whole, each searched
/// for above the one before: O(count) a step, for CDFs that no faster way serves.
template <class Cdf, class Scalar>
class QuantileByLevel {
 public:
  void set_sorted(const Scalar* sorted, int64_t count, double regularization_strength) {
    values_.assign(sorted, sorted + count);
    strength_ = regularization_strength;
  }

  /// store(i, 1, point, density) for all i in [begin, end): y with G(y) = level_at(i), and
  /// Σ_j F'(α (y - x_j)) there if wanted.
  template <bool with_densities, class LevelAt, class Store>
  void solve(int64_t begin, int64_t end, const LevelAt& level_at, const Store& store) const {
    const auto count = static_cast<int64_t>(values_.size());
    const ParallelFor alone = in_this_thread;
    const QuantileSearch<Cdf, double> search(
        {values_.data(), count, values_.front(), values_.back()}, strength_, alone);
    double point = 0;
    for (int64_t i = begin; i < end; ++i) {
      point = i == begin ? search(level_at(i)) : search.above(point, level_at(i));
      const double density = with_densities ? search.density_at(point) : 0;
      store(i, 1, &point, &density);
    }
  }

 private:
  std::vector<double> values_;
  double strength_ = 1;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
