#pragma once

#include <cmath>

#include "core/cdf/in_differences.h"
#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/correlation.h"
#include "core/host_device.h"
#include "core/series/series_spread.h"

namespace rank_relax {

/// The CDF of the Cauchy distribution, F(d) = 1/2 + arctan(d)/π, as in DiffSort (Petersen et al.
/// 2022).
///
/// Its tail falls as 1/(π d): no distance is out of reach, so that there is no grid of boxes, and a
/// row too wide for one box is summed over all pairs. With z = 1/(d - i) = (d + i)/(1 + d²),
/// F^(k) = (-1)^(k-1) (k-1)! Im(z^k)/π.
struct Cauchy : InDifferences<Cauchy> {
  static constexpr const char* name = "cauchy";
  static constexpr double linear_spread = kLinearSpread;
  static constexpr double farthest[] = {1e18, 1e150};  // whose squares are in range

  static constexpr SeriesSpread series_spread = {
      {{{0.62, 1.27, 1.94, 2.58, 3.23, 3.85, 4.47, 5.08, 5.71, 6.30, 6.91, 7.51, 8.13, 8.77, 9.42},
        {0.42, 0.94, 1.46, 1.97, 2.48, 2.98, 3.47, 3.96, 4.45, 4.94, 5.43, 5.91, 6.40, 6.88, 7.37},
        {0.30, 0.71, 1.14, 1.57, 2.00, 2.41, 2.83, 3.24, 3.63, 4.04, 4.44, 4.84, 5.24, 5.64, 6.05}},
       {{0.09, 0.30, 0.60, 0.92, 1.23, 1.55, 1.85, 2.16, 2.45, 2.75, 3.04, 3.34, 3.63, 3.91, 4.20},
        {0.06, 0.24, 0.50, 0.78, 1.06, 1.34, 1.61, 1.88, 2.15, 2.41, 2.67, 2.93, 3.19, 3.45, 3.71},
        {0.05, 0.20, 0.42, 0.67, 0.92, 1.17, 1.42, 1.67, 1.91, 2.15, 2.39, 2.64, 2.87, 3.10,
         3.33}}}};

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number centered(const Number& d) {
    return Math<Number>::atan(d) * kInversePi;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number first_derivative(const Number& d) {
    return kInversePi / (1 + d * d);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number second_derivative(const Number& d) {
    return -2 * real_part(d) * first_derivative(d);
  }

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number upper_tail(const Number& d) {
    return Math<Number>::atan_of_inverse(d) * kInversePi;
  }
  /// The tail has no integral: this is the one with 0 at d = 0, -d F(-d) - log(1 + d²)/2π.
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number integral_of_tail(const Number& d) {
    return -d * upper_tail(d) - log1p_of_square(d) * (kInversePi / 2);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number slope(const Number& d, const UpperTail<Number>& tail) {
    return -2 * real_part(d) * tail.density;
  }
  template <class Number, class Nearest>
  RANK_RELAX_HOST_DEVICE static Number log_density(const Number& d, const Nearest&) {
    return -log1p_of_square(d);
  }

  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return count * (1 + reach);
  }

  class Ratio {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Ratio(int order) : order_(order) {}

    /// Im(z^k)/Im(z), by z^k = a + i b Im(z).
    template <class Number>
    RANK_RELAX_HOST_DEVICE Number operator()(const Number& d) const {
      const Number imaginary = 1 / (1 + d * d), real = real_part(d);
      const Number square = imaginary * imaginary;
      Number a = real, b = Math<Number>::constant(d, 1);
      for (int k = 1; k < order_; ++k) {
        const Number next = -k * (a * real - square * b);
        b = -k * (a + real * b);
        a = next;
      }
      return b;
    }

   private:
    int order_;
  };

 private:
  /// Re(z) = d/(1 + d²), 0 where d² overflows.
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number real_part(const Number& d) {
    const Number imaginary = 1 / (1 + d * d);
    return Math<Number>::select(imaginary > 0, d * imaginary, imaginary);
  }

  /// log(1 + d²), where d² overflows too.
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number log1p_of_square(const Number& d) {
    using M = Math<Number>;
    constexpr double kFar = 1e16;  // from there on it is 2 log(1 + |d|) in double
    const Number near = M::clamp(d, -kFar, kFar), size = M::size(d);
    const auto is_far = size > kFar;
    return M::log1p(M::select(is_far, size, near * near)) *
           M::select(is_far, M::constant(d, 2), M::constant(d, 1));
  }

  static constexpr double kInversePi = 0.31830988618379067154;
};

}  // namespace rank_relax
