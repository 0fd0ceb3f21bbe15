#pragma once

#include "core/precision.h"

namespace rank_relax {

/// Where a CDF's tail is a short sum of powers of u = e^-d for d >= 0,
///
///     order 0:   F(-d)        order k:   F^(k)(d)        each ≈ Σ_{p=1..K} c_p u^p,
///
/// sums over sorted points need one pass for each direction. A CDF whose tail is one has a member
/// `ExponentialTail`: the largest order that it serves, and for each order
/// kernel = u (1 - u)^zeros · smooth_factor(u), whose last factor is analytic around [0, 1], and
/// the number K of terms for a precision. The Gaussian has none: its tail falls faster than any
/// power of u.
///
/// The coefficients c_1 .. c_K for a number of terms. They are made by the compiler: no code is
/// left that could be shared between files compiled for different instruction sets.
template <class Cdf, int order, int terms>
class ExponentialFit {
  using Tail = typename Cdf::ExponentialTail;

 public:
  static constexpr int kTerms = terms;

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

/// With as many as a precision needs.
template <class Cdf, class Scalar, int order>
class ExponentialSum
    : public ExponentialFit<Cdf, order, Cdf::ExponentialTail::terms(precision_of<Scalar>, order)> {
};

}  // namespace rank_relax
