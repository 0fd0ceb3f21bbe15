#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/pairwise_sum.h"
#include "core/smooth_cdf.h"
#include "cpu/rows.h"

namespace rank_relax::cpu {

/// How an item enters its row. Masked items and NaN are left out of every comparison and of the
/// count; infinities compare with everything in the same way whatever its value, so they need
/// only be counted; the kernel sums run over the finite values alone.
enum class Kind : uint8_t { kMasked, kNan, kBelow, kAbove, kFinite };

/// The kernel sums of one row after another, with the memory they need.
template <class Scalar>
class RowSum {
 public:
  /// Takes in a row of `size` items. `mask` may be absent (null data). Each item is read once: what
  /// follows is safe though another thread should write to the input meanwhile.
  void set_row(Row<Scalar> input, Row<uint8_t> mask, int64_t size) {
    kinds_.resize(size);
    values_.clear();
    counted_ = unmasked_ = below_ = above_ = 0;
    minimum_ = std::numeric_limits<double>::infinity();
    maximum_ = -minimum_;
    for (int64_t i = 0; i < size; ++i) {
      const double value = input[i];
      const bool masked = mask.data != nullptr && mask[i] == 0;
      const Kind kind = masked ? Kind::kMasked : kind_of(value);
      kinds_[i] = kind;
      unmasked_ += kind != Kind::kMasked;
      counted_ += kind != Kind::kMasked && kind != Kind::kNan;
      below_ += kind == Kind::kBelow;
      above_ += kind == Kind::kAbove;
      if (kind != Kind::kFinite) continue;
      values_.push_back(value);
      minimum_ = std::min(minimum_, value);
      maximum_ = std::max(maximum_, value);
    }
  }

  Kind kind(int64_t i) const { return kinds_[i]; }

  /// Items that are neither masked nor NaN: the n of every formula.
  int64_t counted() const { return counted_; }
  int64_t unmasked() const { return unmasked_; }
  bool has_infinities() const { return below_ + above_ > 0; }

  /// Largest less smallest finite value; inf if that overflows, 0 without any.
  double spread() const { return values_.empty() ? 0 : maximum_ - minimum_; }

  /// write(i, kind, C_i) for every i: the centred rank C_i = 1/(n-1) Σ_{j≠i} F(α(x_i - x_j)) - 1/2,
  /// 0 if n is 1 or the item is masked, NaN where the input is.
  template <class Cdf, class Write>
  void centered_ranks(double regularization_strength, const Write& write) {
    sum_over_finite<Cdf>(regularization_strength, nullptr, 0);
    const double others = static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    const double from_infinities = (static_cast<double>(below_) - static_cast<double>(above_)) / 2;
    const double below = -static_cast<double>(counted_ - below_) / 2 / others;
    const double above = static_cast<double>(counted_ - above_) / 2 / others;
    scatter(below, above, [&](double sum) { return (sum + from_infinities) / others; }, write);
  }

  /// write(i, kind, y_i) for every i: y_i = α^k/(n-1) Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(α(x_i -
  /// x_j)), k = `order` of at least 1. Infinities have derivative 0, and so have masked items; NaN
  /// where the input is. `directions` holds the v_l and is read at finite items alone.
  template <class Cdf, class Write>
  void derivative(double regularization_strength, const Row<Scalar>* directions, int order,
                  const Write& write) {
    sum_over_finite<Cdf>(regularization_strength, directions, order);
    const double others = static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    const auto scale = [&](double sum) {
      if (sum == 0) return sum;  // a saturated row stays 0 though α^k may overflow
      double scaled = sum / others;
      for (int k = 0; k < order; ++k) scaled *= regularization_strength;
      return scaled;
    };
    scatter(0, 0, scale, write);
  }

 private:
  static Kind kind_of(double value) {
    if (std::isfinite(value)) return Kind::kFinite;
    if (std::isnan(value)) return Kind::kNan;
    return value < 0 ? Kind::kBelow : Kind::kAbove;
  }

  template <class Cdf>
  void sum_over_finite(double regularization_strength, const Row<Scalar>* directions, int order) {
    sums_.resize(values_.size());
    if (values_.empty()) return;
    workspace_.resize(values_.size());
    const int64_t count = static_cast<int64_t>(values_.size());
    weights_.resize(static_cast<size_t>(order) * values_.size());
    for (int l = 0; l < order; ++l) {
      double* weights = weights_.data() + l * count;
      weight_rows_[l] = weights;
      for (size_t i = 0; i < kinds_.size(); ++i) {
        if (kinds_[i] == Kind::kFinite) *weights++ = directions[l][i];
      }
    }
    pairwise_sum<Cdf>({values_.data(), count, minimum_, maximum_}, regularization_strength,
                      weight_rows_.data(), order, workspace_.data(), sums_.data());
  }

  template <class Finite, class Write>
  void scatter(double below, double above, const Finite& finite, const Write& write) const {
    const double* sum = sums_.data();
    for (int64_t i = 0; i < static_cast<int64_t>(kinds_.size()); ++i) {
      const Kind item = kinds_[i];
      switch (item) {
        case Kind::kFinite:
          write(i, item, finite(*sum++));
          break;
        case Kind::kBelow:
          write(i, item, below);
          break;
        case Kind::kAbove:
          write(i, item, above);
          break;
        case Kind::kMasked:
          write(i, item, 0.0);
          break;
        case Kind::kNan:
          write(i, item, std::numeric_limits<double>::quiet_NaN());
          break;
      }
    }
  }

  std::vector<Kind> kinds_;
  int64_t counted_ = 0, unmasked_ = 0, below_ = 0, above_ = 0;
  double minimum_ = 0, maximum_ = 0;
  std::vector<double> values_, workspace_, sums_, weights_;
  std::array<const double*, SmoothCdfs::kMaxOrder> weight_rows_{};
};

}  // namespace rank_relax::cpu
