#pragma once

#include <cmath>
#include <cstdint>

#include "core/host_device.h"
#include "core/row/scaled_difference.h"

namespace rank_relax {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) of ascending values where
/// F(-d) = e^-d/2. Between x_i and x_(i+1), with m = i + 1 items at or below,
///
///     G(y) = m - A e^-t + B e^-(g - t)       t = α (y - x_i), g = α (x_(i+1) - x_i)
///     A = Σ_{j <= i} e^-α(x_i - x_j)/2,      B = Σ_{j > i} e^-α(x_j - x_(i+1))/2,
///
/// and A and B of all intervals are scans. A level m + h has a quadratic equation for e^-t, or for
/// e^-(g - t), of which the one is solved in which nothing cancels or overflows.
template <class Scalar>
struct ExponentialLevels {
  const Scalar* values;  // ascending
  const double* below;   // A of the interval that an item begins
  const double* above;   // B of the interval that it ends
  int64_t count;
  double strength;

  /// G(x_i)
  RANK_RELAX_HOST_DEVICE double count_at(int64_t i) const {
    return static_cast<double>(i) - (below[i] - 0.5) + above[i];
  }

  /// The item that ends the interval of a level, 0 < level < count: the first at which G is not
  /// below it. O(log count).
  RANK_RELAX_HOST_DEVICE int64_t next_of(double level) const {
    int64_t begin = 0, end = count;
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

  /// y with G(y) = level, in the interval that the item `next` ends; none does after the last item.
  RANK_RELAX_HOST_DEVICE double point_of(double level, int64_t next) const {
    const double h = level - static_cast<double>(next);
    if (next == 0) return value(0) + std::log(level / above[0]) / strength;
    const double a = below[next - 1], lower = value(next - 1);
    if (next == count) return lower - std::log(-h / a) / strength;
    const double b = above[next], upper = value(next);
    double point = lower / 2 + upper / 2 + std::log(a / b) / strength / 2;
    if (h != 0) {
      const double root = std::sqrt(h * h + 4 * a * b * decay(lower, upper));
      point = h > 0 ? upper + std::log((h + root) / (2 * b)) / strength
                    : lower - std::log((root - h) / (2 * a)) / strength;
    }
    return point < lower ? lower : (point > upper ? upper : point);
  }

  /// Σ_j F'(α (y - x_j))
  RANK_RELAX_HOST_DEVICE double density_at(double y, int64_t next) const {
    double density = 0;
    if (next > 0) density += below[next - 1] * decay(value(next - 1), y);
    if (next < count) density += above[next] * decay(y, value(next));
    return density;
  }

 private:
  RANK_RELAX_HOST_DEVICE double value(int64_t i) const { return static_cast<double>(values[i]); }

  /// e^-α(b - a), no more than 1: a point is rounded.
  RANK_RELAX_HOST_DEVICE double decay(double a, double b) const {
    const double distance = scaled_difference(strength, b, a);
    return std::exp(distance > 0 ? -distance : 0);
  }
};

}  // namespace rank_relax
