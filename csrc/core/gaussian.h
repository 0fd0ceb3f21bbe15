#pragma once

#include <cmath>

namespace rank_relax {

/// The standard normal CDF, F(d) = Φ(d), as in SoftRank (Taylor et al. 2008).
///
/// F' = φ(d) = e^(-d²/2) / sqrt(2π), and F^(k) = (-1)^(k-1) He_{k-1}(d) φ(d) with the Hermite
/// polynomials He_0 = 1, He_1 = d, He_{k+1} = d He_k - k He_{k-1}.
struct Gaussian {
  static constexpr const char* name = "gaussian";

  static double coordinate(double d) { return d; }
  static constexpr double factored_spread = 0;  // Φ of a difference does not factor

  static double centered(double d) { return std::erf(d * kInverseSqrt2) / 2; }
  static double first_derivative(double d) {
    return kInverseSqrt2Pi * std::exp(-(d * kInverseSqrt2) * (d * kInverseSqrt2));
  }
  static double second_derivative(double d) {
    const double density = first_derivative(d);
    return density == 0 ? 0 : -d * density;  // not inf · 0
  }

  /// F^(order) for any order from 1 to kMaxOrder.
  class Derivative {
   public:
    static constexpr int kMaxOrder = 16;

    explicit Derivative(int order) : order_(order) {}

    double operator()(double d) const {
      const double density = first_derivative(d);
      if (density == 0) return 0;
      double previous = 0;
      double hermite = 1;
      for (int k = 0; k < order_ - 1; ++k) {
        const double next = d * hermite - k * previous;
        previous = hermite;
        hermite = next;
      }
      return (order_ % 2 == 1 ? hermite : -hermite) * density;
    }

   private:
    int order_;
  };

 private:
  static constexpr double kInverseSqrt2 = 0.70710678118654752440;
  static constexpr double kInverseSqrt2Pi = 0.39894228040143267794;
};

}  // namespace rank_relax
