#pragma once

#include <array>
#include <cmath>

#include "core/cdf/upper_tail.h"
#include "core/host_device.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The logistic CDF, F(d) = 1 / (1 + e^-d).
///
/// In the coordinate q = tanh(d/2) = 2 F(d) - 1 everything is a polynomial:
/// F - 1/2 = q/2, F' = (1 - q^2)/4, and F^(k) = F' Q_k(-q), where
/// Q_1 = 1, Q_{k+1}(m) = m Q_k(m) - (1 - m^2)/2 Q_k'(m).
struct Sigmoid {
  static constexpr const char* name = "sigmoid";

  static constexpr SeriesSpread series_spread = {
      {{{1.3, 2.9, 4.5, 6.3, 7.9, 9.5, 10.9, 12.5, 14.1, 15.5, 17.1, 18.5, 20.1, 21.6, 23.2},
        {0.9, 2.3, 3.7, 5.1, 6.5, 7.9, 9.3, 10.7, 11.9, 13.3, 14.7, 15.9, 17.3, 18.7, 19.9},
        {0.7, 1.9, 3.3, 4.5, 5.7, 6.9, 8.1, 9.3, 10.5, 11.7, 12.9, 14.1, 15.3, 16.4, 17.6}},
       {{0.1, 0.7, 1.5, 2.3, 3.1, 4.1, 4.9, 5.7, 6.5, 7.3, 8.1, 8.9, 9.7, 10.6, 11.4},
        {0.1, 0.5, 1.3, 2.1, 2.9, 3.7, 4.5, 5.3, 5.9, 6.7, 7.5, 8.3, 8.9, 9.7, 10.4},
        {0.1, 0.5, 1.1, 1.9, 2.7, 3.3, 4.1, 4.9, 5.5, 6.3, 6.9, 7.7, 8.3, 9.0, 9.7}}}};
  static constexpr bool kTailsInSingle = true;  // their series keep what float32 shows of them
  static constexpr BoxGrid box_grid[] = {{1.0, 18, 34}, {1.25, 36, 52}};

  /// The coordinate of one difference, to full relative precision however small d is.
  RANK_RELAX_HOST_DEVICE static double coordinate(double d) {
    const double grown = std::expm1(-std::abs(d));  // in [-1, 0]
    return std::copysign(grown / (2 + grown), d);
  }

  /// In a row of spread at most this, q of a pair is (a_i - a_j) / (offset + a_i + a_j) with one
  /// factor a for each point: one division a pair and no exponential. In a narrow row a = e^x - 1
  /// and offset = 2, so that differences keep their relative precision; in a wider one a = e^x and
  /// offset = 0, so that sums do.
  static constexpr double factored_spread = 32;
  RANK_RELAX_HOST_DEVICE static double factor_offset(double spread) { return spread <= 1 ? 2 : 0; }
  RANK_RELAX_HOST_DEVICE static double factor(double point, double offset) {
    return offset == 0 ? std::exp(point) : std::expm1(point);
  }
  RANK_RELAX_HOST_DEVICE static double factored_coordinate(double factor_i, double factor_j,
                                                           double offset) {
    return (factor_i - factor_j) / (offset + (factor_i + factor_j));
  }

  RANK_RELAX_HOST_DEVICE static double centered(double q) { return q / 2; }
  RANK_RELAX_HOST_DEVICE static double first_derivative(double q) { return (1 - q) * (1 + q) / 4; }
  RANK_RELAX_HOST_DEVICE static double second_derivative(double q) {
    return -q * first_derivative(q);
  }

  /// F(-d) for d >= 0, to full relative precision, and its logarithm beyond where it underflows.
  RANK_RELAX_HOST_DEVICE static double upper_tail(double d) { return tail(d).mass; }
  RANK_RELAX_HOST_DEVICE static double log_upper_tail(double d) {
    return -d - std::log1p(std::exp(-d));
  }
  /// F(-d) and F'(d), together.
  RANK_RELAX_HOST_DEVICE static UpperTail tail(double d) {
    const double decay = std::exp(-d), mass = decay / (1 + decay);
    return {mass, mass / (1 + decay)};
  }
  /// Where the tails of so many items have fallen to what that of one is at `reach`.
  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return reach + std::log(count);
  }
  /// F'(d) / F(-d): how fast the tail falls.
  RANK_RELAX_HOST_DEVICE static double hazard(double d) { return 1 / (1 + std::exp(-d)); }

  /// F^(order) for any order from 1 to kMaxOrder: the coefficients of Q_order, lowest first.
  class Derivative {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Derivative(int order) : degree_(order - 1) {
      coefficients_[0] = 1;
      for (int k = 1; k < order; ++k) {
        std::array<double, kMaxOrder + 1> next{};
        for (int power = 0; power < k; ++power) {
          const double c = coefficients_[power];
          next[power + 1] += c + power * c / 2;
          if (power > 0) next[power - 1] -= power * c / 2;
        }
        coefficients_ = next;
      }
    }

    RANK_RELAX_HOST_DEVICE double operator()(double q) const {
      double polynomial = coefficients_[degree_];
      for (int power = degree_; power-- > 0;) {
        polynomial = coefficients_[power] - q * polynomial;
      }
      return polynomial * first_derivative(q);
    }

   private:
    int degree_;
    std::array<double, kMaxOrder + 1> coefficients_{};
  };
};

}  // namespace rank_relax
