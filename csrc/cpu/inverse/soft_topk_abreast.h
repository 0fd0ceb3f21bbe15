#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/inverse/soft_topk_step.h"
#include "cpu/aligned_array.h"
#include "cpu/inverse/quantiles_abreast.h"
#include "cpu/inverse/sorted_group.h"
#include "cpu/isa/vector.h"
#include "cpu/row/rows.h"
#include "cpu/sum/tails.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft top-k masks of as many short rows at once as a vector has lanes, as cpu/soft_topk.h says,
/// of rows that lie one after the other.
template <class Cdf, class Scalar>
class TopKAbreast {
  using Group = SortedGroup<Cdf, Scalar>;

 public:
  static constexpr int kRows = Group::kRows;
  static constexpr bool kServes = Group::kServes;

  static bool suits(const SoftBatch<Scalar>& batch) { return Group::suits(batch); }

  TopKAbreast(int64_t size, double regularization_strength)
      : size_(size), group_(size, regularization_strength) {
    doubles_.make_room(4 * size * kRows);
    from_ = doubles_.data();
    distances_ = from_ + size * kRows;
    shares_ = distances_ + size * kRows;
    densities_ = shares_ + size * kRows;
  }

  /// Takes in kRows rows, or refuses them.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    constexpr double kItemsABox = 2.5;  // as benchmarks/sorting.py measured it
    return group_.set_rows(input, first_row, kItemsABox);
  }

  /// False, and nothing is written, where all or none of a row are chosen.
  bool choose(const Rows<double>& k, int64_t first_row, Scalar* chosen, double* densities) {
    const double size = static_cast<double>(size_);
    double wanted[kRows], levels[kRows], thresholds[kRows];
    for (int row = 0; row < kRows; ++row) {
      wanted[row] = k.row(first_row + row)[0];
      levels[row] = size - wanted[row];
      if (!(0 < levels[row] && levels[row] < size)) return false;
    }
    quantiles_.set_rows(group_.sorted(), group_.strength());
    quantiles_.solve(levels, 1, thresholds);
    share_out(thresholds, wanted);
    for (int row = 0; row < kRows; ++row) {
      for (int64_t i = 0; i < size_; ++i) {
        chosen[row * size_ + i] = static_cast<Scalar>(shares_[i * kRows + row]);
      }
      for (int64_t i = 0; i < size_; ++i) {
        densities[row * size_ + i] = densities_[i * kRows + row];
      }
    }
    return true;
  }

 private:
  /// As TopKRow does it (soft_topk_row.h): the rounding of a threshold, and what its series leave,
  /// show in the sum of shares; steps of Newton's method take that out.
  void share_out(const double* thresholds, const double* wanted) {
    double steps[kRows] = {}, last[kRows] = {};
    for (int i = 0; i < topk_step::kMost; ++i) {
      double shares[kRows], sum[kRows], largest = 0;
      evaluate(thresholds, steps, shares, sum);
      for (int row = 0; row < kRows; ++row) {
        const double excess = shares[row] - wanted[row];
        const bool is_there =
            std::abs(excess) <= topk_step::kRounding * static_cast<double>(size_) ||
            !(sum[row] > topk_step::kFlat);
        last[row] = is_there ? 0 : excess / sum[row];
        largest = std::max(largest, std::abs(last[row]));
      }
      if (largest == 0) return;
      if (largest <= topk_step::kTiny) break;
      for (int row = 0; row < kRows; ++row) steps[row] += last[row];
    }
    for (int64_t i = 0; i < size_ * kRows; i += kRows) {
      for (int row = 0; row < kRows; ++row) {
        const double share = shares_[i + row] - last[row] * densities_[i + row];
        shares_[i + row] = std::min(std::max(share, 0.0), 1.0);
      }
    }
  }

  /// shares_ = F(d) and densities_ = F'(d) for d = α (x - threshold) - step, and their sums.
  void evaluate(const double* thresholds, const double* steps, double* shares, double* densities) {
    const Scalar* const values = reinterpret_cast<const Scalar*>(group_.values());
    const double strength = group_.strength();
    const int64_t numbers = size_ * kRows;
    for (int64_t i = 0; i < numbers; i += kRows) {
      for (int row = 0; row < kRows; ++row) {
        const double from = (values[i + row] - thresholds[row]) * strength - steps[row];
        from_[i + row] = from;
        distances_[i + row] = std::abs(from);
      }
    }
    tails<Cdf>(distances_, numbers, shares_, densities_);
    constexpr int kParts = 16;  // of each sum, so that fewer roundings add up
    double share_parts[kParts * kRows] = {}, density_parts[kParts * kRows] = {};
    for (int64_t i = 0; i < numbers; i += kRows) {
      const int64_t part = i % (kParts * kRows);
      for (int row = 0; row < kRows; ++row) {
        const double tail = shares_[i + row];
        shares_[i + row] = from_[i + row] > 0 ? 1 - tail : tail;
        share_parts[part + row] += shares_[i + row];
        density_parts[part + row] += densities_[i + row];
      }
    }
    for (int half = kParts / 2; half > 0; half /= 2) {
      for (int i = 0; i < half * kRows; ++i) {
        share_parts[i] += share_parts[i + half * kRows];
        density_parts[i] += density_parts[i + half * kRows];
      }
    }
    std::copy_n(share_parts, kRows, shares);
    std::copy_n(density_parts, kRows, densities);
  }

  int64_t size_;
  Group group_;
  AlignedArray<double> doubles_;
  double *from_, *distances_, *shares_, *densities_;  // [item][row]
  QuantilesAbreast<Cdf, Scalar> quantiles_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
