#pragma once

#include <cmath>

#include "core/cdf/in_differences.h"
#include "core/cdf/math.h"
#include "core/cdf/upper_tail.h"
#include "core/host_device.h"
#include "core/precision.h"

namespace rank_relax {

/// The CDF of the Laplace distribution, F(d) = e^d/2 for d < 0 and 1 - e^-d/2 above, as in LapSum
/// (Struski et al. 2025).
///
/// Its density e^-|d|/2 has a kink at 0, so that no series serves a box that holds the target; but
/// its tail is one exponential exactly, and sums over sorted items are scans. F'' jumps at 0, where
/// it counts as 0; the derivatives above are those of either side.
struct Laplace : InDifferences<Laplace> {
  static constexpr const char* name = "laplace";
  static constexpr double linear_spread = 0x1p-60;  // F - 1/2 = d/2 - d|d|/4 + ...
  static constexpr double farthest[] = {1000, 1000};

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number centered(const Number& d) {
    const Number grown = Math<Number>::expm1(-Math<Number>::size(d));
    return Math<Number>::select(d < 0, grown, -grown) / 2;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number first_derivative(const Number& d) {
    return Math<Number>::exp(-Math<Number>::absolute(d)) / 2;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number second_derivative(const Number& d) {
    return -Math<Number>::sign(d) * first_derivative(d);
  }

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number upper_tail(const Number& d) {
    return Math<Number>::exp(-d) / 2;
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number integral_of_tail(const Number& d) {
    return upper_tail(d);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static UpperTail<Number> tail(const Number& d) {
    const Number mass = upper_tail(d);
    return {mass, mass};
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number slope(const Number&, const UpperTail<Number>& tail) {
    return -tail.density;
  }
  template <class Number, class Nearest>
  RANK_RELAX_HOST_DEVICE static Number log_density(const Number& d, const Nearest&) {
    return -Math<Number>::absolute(d);
  }

  RANK_RELAX_HOST_DEVICE static double log_upper_tail(double d) {
    constexpr double kLog2 = 0.69314718055994530942;
    return -d - kLog2;
  }
  RANK_RELAX_HOST_DEVICE static double reach_of(double count, double reach) {
    return reach + std::log(count);
  }
  RANK_RELAX_HOST_DEVICE static double hazard(double) { return 1; }

  struct ExponentialTail {
    static constexpr int kMaxOrder = 2;
    static constexpr int terms(Precision, int) { return 1; }
    static constexpr int zeros(int) { return 0; }
    static constexpr double smooth_factor(int order, double) { return order == 2 ? -0.5 : 0.5; }
  };

  class Ratio {
   public:
    static constexpr int kMaxOrder = 16;

    RANK_RELAX_HOST_DEVICE explicit Ratio(int order) : order_(order) {}

    template <class Number>
    RANK_RELAX_HOST_DEVICE Number operator()(const Number& d) const {
      if (order_ % 2 == 1) return Math<Number>::constant(d, 1);
      return -Math<Number>::sign(d);
    }

   private:
    int order_;
  };
};

}  // namespace rank_relax
