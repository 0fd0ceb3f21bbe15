#pragma once

#include <array>
#include <cmath>

#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/correlation.h"
#include "core/host_device.h"
#include "core/precision.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The logistic CDF, F(d) = 1 / (1 + e^-d).
///
/// In the coordinate q = tanh(d/2) = 2 F(d) - 1 everything is a polynomial:
/// F - 1/2 = q/2, F' = (1 - q^2)/4, and F^(k) = F' Q_k(-q), where
/// Q_1 = 1, Q_{k+1}(m) = m Q_k(m) - (1 - m^2)/2 Q_k'(m).
struct Sigmoid {
  static constexpr const char* name = "sigmoid";
  static constexpr double linear_spread = kLinearSpread;
  static constexpr double farthest[] = {1000, 1000};

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
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number coordinate(const Number& d) {
    return Math<Number>::tanh_of_half(d);
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

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number centered(const Number& q) {
    return q / 2;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number first_derivative(const Number& q) {
    return (1 - q) * (1 + q) / 4;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number second_derivative(const Number& q) {
    return -q * first_derivative(q);
  }

  /// With u = e^-d, F(-d) = u/(1+u), F'(d) = u/(1+u)² and F''(d) = F'(d) (2 F(-d) - 1).
  template <class Number>
  RANK_RELAX_HOST_DEVICE static UpperTail<Number> tail(const Number& d) {
    const Number decay = Math<Number>::exp(-d);
    const Number share = 1 / (1 + decay);
    return {decay * share, decay * share * share};
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number upper_tail(const Number& d) {
    const Number decay = Math<Number>::exp(-d);
    return decay / (1 + decay);
  }
  /// log(1 + u)
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number integral_of_tail(const Number& d) {
    return Math<Number>::log1p_of_share(Math<Number>::exp(-d));
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number slope(const Number&, const UpperTail<Number>& tail) {
    return tail.density * (2 * tail.mass - 1);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number density(const Number& d) {
    return tail(Math<Number>::size(d)).density;
  }
  /// log F' = -|d| - 2 log(1 + e^-|d|). Not by softplus, which rounds the last items of a tensor in
  /// another way than the rest, nor by log_sigmoid, whose derivative a DTensor does not know.
  template <class Number, class Nearest>
  RANK_RELAX_HOST_DEVICE static Number log_density(const Number& d, const Nearest&) {
    const Number below = -Math<Number>::size(d);
    return below - 2 * Math<Number>::log1p(Math<Number>::exp(below));
  }

  RANK_RELAX_HOST_DEVICE static double log_upper_tail(double d) {
    return -d - std::log1p(std::exp(-d));
  }
  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return reach + std::log(count);
  }
  RANK_RELAX_HOST_DEVICE static double hazard(double d) { return 1 / (1 + std::exp(-d)); }

  /// The tail in powers of u; the nearest pole is at u = -1, so that each term gains a factor
  /// 3 + √8. Largest error, and largest error relative to the kernel:
  ///
  ///              order 0             order 1             order 2
  ///     float    2.5e-8, 5.0e-8      6.5e-9, 2.6e-8      1.1e-8, 2.5e-7
  ///     double   3.1e-15, 6.4e-15    8.1e-15, 3.3e-14    2.9e-14, 2.9e-14/d
  struct ExponentialTail {
    static constexpr int kMaxOrder = 2;

    static constexpr int terms(Precision precision, int order) {
      constexpr int kTerms[2][3] = {{10, 12, 13}, {19, 20, 21}};
      return kTerms[precision][order];
    }

    static constexpr int zeros(int order) { return order == 2 ? 1 : 0; }

    static constexpr double smooth_factor(int order, double u) {
      const double inverse = 1 / (1 + u);
      if (order == 0) return inverse;
      return order == 1 ? inverse * inverse : -inverse * inverse * inverse;
    }
  };

  /// F^(order)/F' for any order from 1 to kMaxOrder: the coefficients of Q_order, lowest first.
  class Ratio {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Ratio(int order) : degree_(order - 1) {
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

    template <class Number>
    RANK_RELAX_HOST_DEVICE Number operator()(const Number& q) const {
      Number polynomial = Math<Number>::constant(q, coefficients_[degree_]);
      for (int power = degree_; power-- > 0;) {
        polynomial = coefficients_[power] - q * polynomial;
      }
      return polynomial;
    }

   private:
    int degree_;
    std::array<double, kMaxOrder + 1> coefficients_{};
  };
};

}  // namespace rank_relax
