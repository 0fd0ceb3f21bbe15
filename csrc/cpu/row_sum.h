#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/smooth_cdf.h"
#include "cpu/finite_row.h"
#include "cpu/kernel_sum.h"
#include "cpu/parallel.h"
#include "cpu/row_statistics.h"
#include "cpu/rows.h"

namespace rank_relax::cpu {

/// How an item enters its row. Masked items and NaN are left out of every comparison and of the
/// count; infinities compare with everything in the same way whatever its value, so they need
/// only be counted; the kernel sums run over the finite values alone.
enum class Kind : uint8_t { kMasked, kNan, kBelow, kAbove, kFinite };

/// Soft ranks and their derivatives, of one row after another, with the memory they need.
template <class Isa, class Scalar>
class RowSum {
  static constexpr Scalar kNan = std::numeric_limits<Scalar>::quiet_NaN();

 public:
  /// Takes in a row of `size` items, which must stay as it is. `mask` may be absent (null data).
  void set_row(Row<Scalar> input, Row<uint8_t> mask, int64_t size,
               const ParallelFor& parallel_for) {
    size_ = size;
    below_ = above_ = 0;
    if (input.stride == 1 && mask.data == nullptr && size > 0) {
      const Extent<Scalar> row = extent<Isa>(input.data, size, parallel_for);
      if (row.all_finite) {
        packed_ = false;
        counted_ = unmasked_ = size;
        finite_ = {input.data, size, row.minimum, row.maximum};
        return;
      }
    }
    pack(input, mask);
  }

  bool masked(int64_t i) const { return packed_ && kinds_[i] == Kind::kMasked; }

  /// Items that are neither masked nor NaN: the n of every formula.
  int64_t counted() const { return counted_; }
  int64_t unmasked() const { return unmasked_; }
  bool has_infinities() const { return below_ + above_ > 0; }

  /// Largest less smallest finite value; inf if that overflows, 0 without any.
  double spread() const {
    return static_cast<double>(finite_.maximum) - static_cast<double>(finite_.minimum);
  }

  /// ranks[i] = C_i + shift with the centred rank C_i = 1/(n-1) Σ_{j≠i} F(α(x_i - x_j)) - 1/2,
  /// which is 0 if n is 1; 0 if the item is masked, NaN where the input is.
  template <class Cdf>
  void centered_ranks(double regularization_strength, Scalar shift, Scalar* ranks,
                      const ParallelFor& parallel_for) {
    const double others = static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    const double from_infinities = (static_cast<double>(below_) - static_cast<double>(above_)) / 2;
    const Scalar lowest = shift - Scalar(0.5), highest = shift + Scalar(0.5);
    const Scalar scale = static_cast<Scalar>(1 / others);
    const Scalar offset = static_cast<Scalar>(shift + from_infinities / others);
    Scalar* finite = packed_ ? results() : ranks;
    kernel_sum<Cdf>(regularization_strength, nullptr, 0, {finite, scale, offset, lowest, highest},
                    parallel_for);
    if (!packed_) return;
    const double below = -static_cast<double>(counted_ - below_) / 2 / others;
    const double above = static_cast<double>(counted_ - above_) / 2 / others;
    scatter(static_cast<Scalar>(shift + below), static_cast<Scalar>(shift + above), ranks);
  }

  /// output[i] = factor α^k/(n-1) Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(α(x_i - x_j)), k = `order` of at
  /// least 1. Infinities have derivative 0, and so have masked items; NaN where the input is, and
  /// in all of the row where a direction is not finite at a finite item. `directions` holds the v_l
  /// and is read at finite items alone.
  template <class Cdf>
  void derivative(double regularization_strength, const Row<Scalar>* directions, int order,
                  double factor, Scalar* output, const ParallelFor& parallel_for) {
    Scalar* finite = packed_ ? results() : output;
    if (finite_.count > 0) {
      finite_derivative<Cdf>(regularization_strength, directions, order, factor, finite,
                             parallel_for);
    }
    if (packed_) scatter(0, 0, output);
  }

  /// Makes output[i] NaN where values[i] is, but for masked items.
  void spread_nan(Row<Scalar> values, Scalar* output) const {
    if (!packed_) return;  // a derivative of finite items has done so
    for (int64_t i = 0; i < size_; ++i) {
      if (kinds_[i] != Kind::kMasked && std::isnan(values[i])) output[i] = kNan;
    }
  }

 private:
  static Kind kind_of(Scalar value) {
    if (std::isfinite(value)) return Kind::kFinite;
    if (std::isnan(value)) return Kind::kNan;
    return value < 0 ? Kind::kBelow : Kind::kAbove;
  }

  void pack(Row<Scalar> input, Row<uint8_t> mask) {
    packed_ = true;
    kinds_.resize(size_);
    values_.resize(size_);
    counted_ = unmasked_ = 0;
    Scalar minimum = std::numeric_limits<Scalar>::infinity(), maximum = -minimum;
    int64_t count = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const Scalar value = input[i];
      const bool masked = mask.data != nullptr && mask[i] == 0;
      const Kind kind = masked ? Kind::kMasked : kind_of(value);
      kinds_[i] = kind;
      unmasked_ += kind != Kind::kMasked;
      counted_ += kind != Kind::kMasked && kind != Kind::kNan;
      below_ += kind == Kind::kBelow;
      above_ += kind == Kind::kAbove;
      if (kind != Kind::kFinite) continue;
      values_[count++] = value;
      minimum = std::min(minimum, value);
      maximum = std::max(maximum, value);
    }
    if (count == 0) minimum = maximum = 0;
    finite_ = {values_.data(), count, minimum, maximum};
  }

  Scalar* results() {
    results_.resize(finite_.count);
    return results_.data();
  }

  template <class Cdf>
  void kernel_sum(double regularization_strength, const Direction<Scalar>* directions, int order,
                  const Output<Scalar>& output, const ParallelFor& parallel_for) {
    if (finite_.count == 0) return;
    if (finite_.minimum == finite_.maximum && order % 2 == 0) {  // exactly constant
      const Scalar value = std::clamp(output.shift, output.lowest, output.highest);
      std::fill_n(output.values, finite_.count, value);
      return;
    }
    kernel_sum_.template sum<Cdf>(finite_, regularization_strength, directions, order, output,
                                  parallel_for);
  }

  template <class Cdf>
  void finite_derivative(double regularization_strength, const Row<Scalar>* rows, int order,
                         double factor, Scalar* finite, const ParallelFor& parallel_for) {
    constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();
    std::array<Direction<Scalar>, SmoothCdfs::kMaxOrder> directions;
    weights_.resize(order);
    double unscale = 1;
    for (int l = 0; l < order; ++l) {
      const Scalar* values = direction_values(rows[l], weights_[l]);
      const Size size = size_of<Isa>(values, finite_.count, parallel_for);
      double mean = size.sum / static_cast<double>(finite_.count);
      if (!std::isfinite(mean)) {  // not finite, or so large that the sum overflows
        mean = 0;
        for (int64_t i = 0; i < finite_.count; ++i) {
          mean += values[i] / static_cast<double>(finite_.count);
        }
      }
      if (!std::isfinite(mean)) return std::fill_n(finite, finite_.count, kNan), void();
      // Sums stay in range, and the largest product above underflow, for any directions.
      constexpr double kComfortable = 1e12;
      double scale = 1;
      if (size.largest > kComfortable || size.largest < 1 / kComfortable) {
        constexpr int kMostBits = sizeof(Scalar) == 4 ? 100 : 900;
        const int bits = size.largest > 0 ? std::ilogb(size.largest) : 0;
        scale = std::exp2(-std::clamp(bits, -kMostBits, kMostBits));
      }
      directions[l] = {values, static_cast<Scalar>(scale), static_cast<Scalar>(mean * scale)};
      unscale /= scale;
    }
    const double others = static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    double scale = factor / others * unscale;
    for (int l = 0; l < order; ++l) scale *= regularization_strength;
    // A scale that float32 holds well is applied on the way, any other to the sums in double.
    const bool in_range = scale == 0 || (1e-25 < std::abs(scale) && std::abs(scale) < 1e25);
    kernel_sum<Cdf>(regularization_strength, directions.data(), order,
                    {finite, in_range ? static_cast<Scalar>(scale) : 1, 0, -kInfinity, kInfinity},
                    parallel_for);
    if (in_range) return;
    for (int64_t i = 0; i < finite_.count; ++i) {
      const double sum = finite[i];
      // A saturated row stays 0 though α^k may overflow.
      finite[i] = static_cast<Scalar>(sum == 0 && std::isfinite(factor) ? 0 : scale * sum);
    }
  }

  /// The direction at the finite items, contiguous: where it lies, or copied to `packed`.
  const Scalar* direction_values(Row<Scalar> direction, std::vector<Scalar>& packed) const {
    if (!packed_ && direction.stride == 1) return direction.data;
    packed.resize(finite_.count);
    Scalar* to = packed.data();
    for (int64_t i = 0; i < size_; ++i) {
      if (!packed_ || kinds_[i] == Kind::kFinite) *to++ = direction[i];
    }
    return packed.data();
  }

  void scatter(Scalar below, Scalar above, Scalar* output) const {
    const Scalar* result = results_.data();
    for (int64_t i = 0; i < size_; ++i) {
      switch (kinds_[i]) {
        case Kind::kFinite:
          output[i] = *result++;
          break;
        case Kind::kBelow:
          output[i] = below;
          break;
        case Kind::kAbove:
          output[i] = above;
          break;
        case Kind::kMasked:
          output[i] = 0;
          break;
        case Kind::kNan:
          output[i] = kNan;
          break;
      }
    }
  }

  int64_t size_ = 0, counted_ = 0, unmasked_ = 0, below_ = 0, above_ = 0;
  FiniteRow<Scalar> finite_ = {nullptr, 0, 0, 0};
  bool packed_ = false;  // some items don't count, or lie apart: the finite ones are copied
  std::vector<Kind> kinds_;
  std::vector<Scalar> values_, results_;
  std::vector<std::vector<Scalar>> weights_;
  KernelSum<Isa, Scalar> kernel_sum_;
};

}  // namespace rank_relax::cpu
