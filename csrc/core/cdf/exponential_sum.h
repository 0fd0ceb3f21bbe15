#pragma once

#include "core/cdf/sigmoid.h"

namespace rank_relax {

/// Where a CDF's tail is a short sum of powers of u = e^-d for d >= 0,
///
///     order 0:   F(-d)        order k:   F^(k)(d)        each ≈ Σ_{p=1..K} c_p u^p,
///
/// sums over sorted points need one pass for each direction. A CDF whose tail is one specialises
/// this: it gives the largest order that it serves, and for each order
/// kernel = u (1 - u)^zeros · smooth_factor(u), whose last factor is analytic around [0, 1], and
/// the number K of terms for a Scalar. By default a CDF has no such sum (the Gaussian's tail
/// falls faster than any power of u).
template <class Cdf>
struct ExponentialTail {
  static constexpr int kMaxOrder = -1;
};

/// F(-d) = u/(1+u), F'(d) = u/(1+u)², F''(d) = -u(1-u)/(1+u)³. Nearest pole at u = -1, so each
/// term gains a factor 3 + √8. Largest error, and largest error relative to the kernel:
///
///              order 0             order 1             order 2
///     float    2.5e-8, 5.0e-8      6.5e-9, 2.6e-8      1.1e-8, 2.5e-7
///     double   3.1e-15, 6.4e-15    8.1e-15, 3.3e-14    2.9e-14, 2.9e-14/d
template <>
struct ExponentialTail<Sigmoid> {
  static constexpr int kMaxOrder = 2;

  template <class Scalar>
  static constexpr int terms(int order) {
    constexpr bool single = sizeof(Scalar) == sizeof(float);
    if (order == 0) return single ? 10 : 19;
    if (order == 1) return single ? 12 : 20;
    return single ? 13 : 21;
  }

  static constexpr int zeros(int order) { return order == 2 ? 1 : 0; }

  static constexpr double smooth_factor(int order, double u) {
    const double inverse = 1 / (1 + u);
    if (order == 0) return inverse;
    return order == 1 ? inverse * inverse : -inverse * inverse * inverse;
  }
};

/// The coefficients c_1 .. c_K. They are made by the compiler: no code is left that could be shared
/// between files compiled for different instruction sets.
template <class Cdf, class Scalar, int order>
class ExponentialSum {
  using Tail = ExponentialTail<Cdf>;

 public:
  static constexpr int kTerms = Tail::template terms<Scalar>(order);

  struct Coefficients {
    double values[kTerms];
    constexpr double operator[](int i) const { return values[i]; }  // of u^(i+1)
  };

 private:
  static constexpr int kNodes = kTerms - Tail::zeros(order);

  static constexpr double cosine(double angle) {
    double term = 1, sum = 1;
    for (int k = 2; k < 40; k += 2) sum += term *= -angle * angle / (k * (k - 1));
    return sum;
  }

  /// Interpolates the smooth factor at Chebyshev nodes stretched so that u = 1 is the first: ties
  /// are then exact. Divided differences, then Newton's form multiplied out by Horner's rule; the
  /// coefficients stay small, so that doubles do.
  static constexpr Coefficients interpolate() {
    constexpr double kPi = 3.14159265358979323846;
    double nodes[kNodes] = {}, differences[kNodes] = {};
    for (int i = 0; i < kNodes; ++i) {
      const double angle = (2 * i + 1) * kPi / (2 * kNodes);
      nodes[i] = (1 + cosine(angle) / cosine(kPi / (2 * kNodes))) / 2;
      differences[i] = Tail::smooth_factor(order, nodes[i]);
    }
    for (int level = 1; level < kNodes; ++level) {
      for (int i = kNodes - 1; i >= level; --i) {
        differences[i] = (differences[i] - differences[i - 1]) / (nodes[i] - nodes[i - level]);
      }
    }
    Coefficients sum{};
    for (int i = kNodes - 1; i >= 0; --i) {
      multiply(sum, nodes[i]);
      sum.values[0] += differences[i];
    }
    for (int zero = 0; zero < Tail::zeros(order); ++zero) {
      multiply(sum, 1);
      for (double& value : sum.values) value = -value;
    }
    return sum;
  }

  /// sum *= (u - root)
  static constexpr void multiply(Coefficients& sum, double root) {
    for (int i = kTerms - 1; i > 0; --i) sum.values[i] = sum.values[i - 1] - root * sum.values[i];
    sum.values[0] *= -root;
  }

 public:
  static constexpr Coefficients kCoefficients = interpolate();
};

}  // namespace rank_relax
