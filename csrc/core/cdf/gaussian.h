#pragma once

#include <cmath>

#include "core/cdf/in_differences.h"
#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/correlation.h"
#include "core/host_device.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The standard normal CDF, F(d) = Φ(d), as in SoftRank (Taylor et al. 2008).
///
/// F' = φ(d) = e^(-d²/2) / sqrt(2π), and F^(k) = (-1)^(k-1) He_{k-1}(d) φ(d) with the Hermite
/// polynomials He_0 = 1, He_1 = d, He_{k+1} = d He_k - k He_{k-1}.
struct Gaussian : InDifferences<Gaussian> {
  static constexpr const char* name = "gaussian";
  static constexpr double linear_spread = kLinearSpread;
  static constexpr double farthest[] = {1000, 1000};

  static constexpr SeriesSpread series_spread = {
      {{{0.9, 2.5, 4.1, 5.9, 7.7, 9.3, 11.1, 12.7, 14.3, 15.9, 17.5, 19.3, 20.9, 22.5, 24.0},
        {0.7, 2.1, 3.5, 5.1, 6.7, 8.3, 9.7, 11.3, 12.9, 14.3, 15.9, 17.3, 18.9, 20.3, 21.9},
        {0.7, 1.9, 3.3, 4.7, 6.3, 7.7, 9.3, 10.7, 12.1, 13.7, 14.9, 16.5, 17.9, 19.4, 20.8}},
       {{0.1, 0.5, 1.3, 2.3, 3.5, 4.5, 5.7, 6.9, 8.1, 9.3, 10.3, 11.5, 12.7, 13.7, 14.9},
        {0.1, 0.5, 1.3, 2.1, 3.1, 4.3, 5.3, 6.5, 7.5, 8.7, 9.7, 10.9, 11.9, 13.1, 14.1},
        {0.1, 0.5, 1.1, 2.1, 2.9, 4.1, 5.1, 6.1, 7.3, 8.3, 9.3, 10.5, 11.5, 12.5, 13.7}}}};
  static constexpr bool kTailsInSingle = false;  // they fall by e^-d in a unit: too fast for it
  static constexpr BoxGrid box_grid[] = {{0.8, 6, 8.5}, {1.25, 8.75, 10.5}};

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number centered(const Number& d) {
    return Math<Number>::erf(d * kInverseSqrt2) / 2;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number first_derivative(const Number& d) {
    const Number root = d * kInverseSqrt2;
    return kInverseSqrt2Pi * Math<Number>::exp(-root * root);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number second_derivative(const Number& d) {
    const Number near = within_density(d);
    return -near * first_derivative(near);
  }

  /// F(-d) = erfc(d/√2)/2 and F''(d) = -d F'(d).
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number upper_tail(const Number& d) {
    return Math<Number>::erfc(d * kInverseSqrt2) / 2;
  }
  /// F'(d) - d F(-d), which loses d² roundings.
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number integral_of_tail(const Number& d) {
    const Number near = within_density(d);
    return first_derivative(near) - near * upper_tail(near);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number slope(const Number& d, const UpperTail<Number>& tail) {
    return -within_density(d) * tail.density;
  }
  /// log F'(d) - log F'(nearest) = (nearest² - d²)/2.
  template <class Number, class Nearest>
  RANK_RELAX_HOST_DEVICE static Number log_density(const Number& d, const Nearest& nearest) {
    const Number of_nearest = nearest();
    return (d - of_nearest) * (d + of_nearest) / -2;
  }

  RANK_RELAX_HOST_DEVICE static double log_upper_tail(double d) {
    if (d < kFar) return std::log(upper_tail(d));
    const double per_square = 1 / (d * d);
    return std::log(kInverseSqrt2Pi / d) - d * d / 2 + std::log1p(-per_square * mills(per_square));
  }
  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return std::sqrt(reach * reach + 2 * std::log(count));
  }
  RANK_RELAX_HOST_DEVICE static double hazard(double d) {
    if (d < kFar) return first_derivative(d) / upper_tail(d);
    const double per_square = 1 / (d * d);
    return d / (1 - per_square * mills(per_square));
  }

  /// F^(order)/F' = (-1)^(order-1) He_{order-1}(d) for any order from 1 to kMaxOrder.
  class Ratio {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Ratio(int order) : order_(order) {}

    template <class Number>
    RANK_RELAX_HOST_DEVICE Number operator()(const Number& d) const {
      const Number near = within_density(d);
      Number previous = Math<Number>::constant(d, 0), hermite = Math<Number>::constant(d, 1);
      for (int k = 0; k < order_ - 1; ++k) {
        const Number next = near * hermite - k * previous;
        previous = hermite;
        hermite = next;
      }
      return order_ % 2 == 1 ? hermite : -hermite;
    }

   private:
    int order_;
  };

 private:
  /// Beyond, F' is 0, and what is multiplied by it should not be inf.
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number within_density(const Number& d) {
    constexpr double kNoDensity = 40;
    return Math<Number>::clamp(d, -kNoDensity, kNoDensity);
  }

  /// F(-d) = φ(d)/d · (1 - q (1 - 3q (1 - 5q (...)))) with q = 1/d²; from kFar on these terms do.
  static constexpr double kFar = 25;
  RANK_RELAX_HOST_DEVICE static double mills(double q) {
    return 1 - 3 * q * (1 - 5 * q * (1 - 7 * q * (1 - 9 * q * (1 - 11 * q))));
  }

  static constexpr double kInverseSqrt2 = 0.70710678118654752440;
  static constexpr double kInverseSqrt2Pi = 0.39894228040143267794;
};

}  // namespace rank_relax
