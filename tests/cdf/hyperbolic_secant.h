#pragma once

#include <cmath>

#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/correlation.h"
#include "core/host_device.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The CDF of the hyperbolic secant distribution, F(d) = 2/π atan(e^d), which no user can ask for:
/// it is here to show what adding a CDF takes.
///
/// In the coordinate q = tanh(d/2), F - 1/2 = 2/π atan(q). With s = sech(d) = (1 - q²)/(1 + q²) and
/// t = tanh(d) = 2q/(1 + q²), F' = s/π, and F^(k+1) = s P_k(t)/π, where P_0 = 1 and
/// P_{k+1} = (1 - t²) P_k' - t P_k.
struct HyperbolicSecant {
  static constexpr const char* name = "hyperbolic secant";
  static constexpr double linear_spread = kLinearSpread;
  static constexpr double farthest[] = {1000, 1000};

  // As tests/cdf/print_series_spread.cpp finds it.
  static constexpr SeriesSpread series_spread = {
      {{{0.8, 1.8, 2.8, 3.8, 4.8, 5.7, 6.6, 7.5, 8.5, 9.4, 10.3, 11.2, 12.1, 13.1, 14.0},
        {0.6, 1.4, 2.2, 3.0, 3.8, 4.6, 5.3, 6.1, 6.8, 7.6, 8.4, 9.1, 9.9, 10.6, 11.4},
        {0.4, 1.1, 1.8, 2.5, 3.1, 3.8, 4.5, 5.1, 5.7, 6.4, 7.0, 7.6, 8.3, 8.9, 9.6}},
       {{0.1, 0.4, 0.9, 1.3, 1.8, 2.3, 2.8, 3.3, 3.7, 4.2, 4.6, 5.1, 5.5, 6.0, 6.4},
        {0.08, 0.3, 0.7, 1.2, 1.6, 2.0, 2.5, 2.9, 3.3, 3.7, 4.1, 4.5, 4.9, 5.3, 5.7},
        {0.06, 0.3, 0.6, 1.0, 1.4, 1.8, 2.2, 2.6, 3.0, 3.4, 3.7, 4.1, 4.5, 4.9, 5.2}}}};
  static constexpr bool kTailsInSingle = true;
  static constexpr BoxGrid box_grid[] = {{0.5, 18, 34}, {0.625, 36, 52}};

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number coordinate(const Number& d) {
    return Math<Number>::tanh_of_half(d);
  }
  static constexpr double factored_spread = 0;

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number centered(const Number& q) {
    return kTwoPerPi * Math<Number>::atan(q);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number first_derivative(const Number& q) {
    return sech(q) / kPi;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number second_derivative(const Number& q) {
    return -sech(q) * tanh(q) / kPi;
  }

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number upper_tail(const Number& d) {
    return kTwoPerPi * Math<Number>::atan(Math<Number>::exp(-d));
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static UpperTail<Number> tail(const Number& d) {
    const Number decay = Math<Number>::exp(-d);
    return {kTwoPerPi * Math<Number>::atan(decay), kTwoPerPi * decay / (1 + decay * decay)};
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number slope(const Number& d, const UpperTail<Number>& tail) {
    return -tanh(coordinate(d)) * tail.density;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number density(const Number& d) {
    return tail(Math<Number>::size(d)).density;
  }
  template <class Number, class Nearest>
  RANK_RELAX_HOST_DEVICE static Number log_density(const Number& d, const Nearest&) {
    const Number below = -Math<Number>::size(d);
    return below - Math<Number>::log1p(Math<Number>::exp(2 * below));
  }

  RANK_RELAX_HOST_DEVICE static double log_upper_tail(double d) {
    const double decay = std::exp(-d);
    return std::log(kTwoPerPi * atan_by_decay(decay)) - d;
  }
  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return reach + std::log(count);
  }
  RANK_RELAX_HOST_DEVICE static double hazard(double d) {
    const double decay = std::exp(-d);
    return 1 / (atan_by_decay(decay) * (1 + decay * decay));
  }

  class Ratio {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Ratio(int order) {
      coefficients_[0] = 1;
      for (int k = 1; k < order; ++k) {
        double next[kMaxOrder + 2] = {};
        for (int power = 0; power < k; ++power) {
          const double c = coefficients_[power];
          next[power + 1] -= (power + 1) * c;
          if (power > 0) next[power - 1] += power * c;
        }
        for (int power = 0; power <= kMaxOrder; ++power) coefficients_[power] = next[power];
      }
    }

    template <class Number>
    RANK_RELAX_HOST_DEVICE Number operator()(const Number& q) const {
      const Number t = tanh(q);
      Number polynomial = Math<Number>::constant(q, 0);
      for (int power = kMaxOrder; power >= 0; --power) {
        polynomial = polynomial * t + coefficients_[power];
      }
      return polynomial;
    }

   private:
    double coefficients_[kMaxOrder + 1] = {};
  };

 private:
  static constexpr double kPi = 3.14159265358979323846;
  static constexpr double kTwoPerPi = 2 / kPi;

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number sech(const Number& q) {
    return (1 - q) * (1 + q) / (1 + q * q);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number tanh(const Number& q) {
    return 2 * q / (1 + q * q);
  }
  /// atan(u)/u
  RANK_RELAX_HOST_DEVICE static double atan_by_decay(double u) {
    return u < 1e-9 ? 1 : std::atan(u) / u;
  }
};

}  // namespace rank_relax
