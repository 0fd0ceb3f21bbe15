#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/row/scaled_difference.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/sum/exponential_decay.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) of ascending values at many
/// ascending levels where F(-d) = e^-d/2, O(1) a level: between x_i and x_(i+1) there are m = i + 1
/// items below,
///
///     G(y) = m - A e^-t + B e^-(g - t)       t = α (y - x_i), g = α (x_(i+1) - x_i)
///     A = Σ_{j <= i} e^-α(x_i - x_j)/2,      B = Σ_{j > i} e^-α(x_j - x_(i+1))/2,
///
/// and A and B of all intervals are scans. A level m + h has a quadratic equation for e^-t, or for
/// e^-(g - t), of which the one is solved in which nothing cancels or overflows.
template <class Scalar>
class QuantileScan {
 public:
  void set_sorted(const Scalar* sorted, int64_t count, double regularization_strength) {
    sorted_ = sorted;
    count_ = count;
    strength_ = regularization_strength;
    for (std::vector<double>* numbers : {&decays_, &below_, &above_}) numbers->resize(count);
    constexpr double kFarthest = 700;  // where e^-t is nothing beside A and B, but for whole levels
    for (int64_t i = 1; i < count; ++i) {
      const double gap = scaled_difference(strength_, value(i), value(i - 1));
      decays_[i] = exponential_decay(gap < kFarthest ? gap : kFarthest);
    }
    below_[0] = above_[count - 1] = 0.5;
    for (int64_t i = 1; i < count; ++i) below_[i] = 0.5 + below_[i - 1] * decays_[i];
    for (int64_t i = count - 1; i > 0; --i) above_[i - 1] = 0.5 + above_[i] * decays_[i];
  }

  /// store(i, 1, point, density) for all i in [begin, end): y with G(y) = level_at(i), and
  /// Σ_j F'(α (y - x_j)) at that double if wanted. Levels ascend, and lie between 0 and the number
  /// of items.
  template <bool with_densities, class LevelAt, class Store>
  void solve(int64_t begin, int64_t end, const LevelAt& level_at, const Store& store) const {
    if (begin == end) return;
    int64_t next = first_not_below(level_at(begin));  // the item that ends the level's interval
    for (int64_t i = begin; i < end; ++i) {
      const double level = level_at(i);
      while (next < count_ && count_at(next) < level) ++next;
      const double point = point_of(level, next);
      const double density = with_densities ? density_at(point, next) : 0;
      store(i, 1, &point, &density);
    }
  }

 private:
  double value(int64_t i) const { return static_cast<double>(sorted_[i]); }

  /// G(x_i)
  double count_at(int64_t i) const {
    const double tail_below = i > 0 ? below_[i - 1] * decays_[i] : 0;
    return static_cast<double>(i) - tail_below + above_[i];
  }

  int64_t first_not_below(double level) const {
    int64_t begin = 0, end = count_;
    while (begin < end) {
      const int64_t middle = begin + (end - begin) / 2;
      if (count_at(middle) < level) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }

  /// In the interval that the item `next` ends; none does after the last item.
  double point_of(double level, int64_t next) const {
    const double m = static_cast<double>(next), h = level - m;
    if (next == 0) return value(0) + std::log(level / above_[0]) / strength_;
    if (next == count_) return value(next - 1) - std::log(-h / below_[next - 1]) / strength_;
    const double lower = value(next - 1), upper = value(next);
    const double a = below_[next - 1], b = above_[next];
    double point = lower / 2 + upper / 2 + std::log(a / b) / (2 * strength_);
    if (h != 0) {
      const double root = std::sqrt(h * h + 4 * a * b * decays_[next]);
      point = h > 0 ? upper + std::log((h + root) / (2 * b)) / strength_
                    : lower - std::log((root - h) / (2 * a)) / strength_;
    }
    return std::min(std::max(point, lower), upper);
  }

  double density_at(double point, int64_t next) const {
    double density = 0;
    if (next > 0) {
      const double t = scaled_difference(strength_, point, value(next - 1));
      density += below_[next - 1] * std::exp(-std::max(t, 0.0));
    }
    if (next < count_) {
      const double t = scaled_difference(strength_, value(next), point);
      density += above_[next] * std::exp(-std::max(t, 0.0));
    }
    return density;
  }

  const Scalar* sorted_ = nullptr;
  int64_t count_ = 0;
  double strength_ = 1;
  std::vector<double> decays_;         // e^-α(x_i - x_(i-1))
  std::vector<double> below_, above_;  // A of the interval that an item begins, B of what it ends
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
