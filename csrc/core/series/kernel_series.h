#pragma once

#include <cmath>
#include <vector>

#include "core/cdf/capabilities.h"

namespace rank_relax {

/// The kernels of the sums: F - 1/2, F', F'' for orders 0, 1, 2; and for order -1 the even part of
/// the integral of F, whose derivative is the first of these.
template <class Cdf>
double kernel(int order, double d) {
  if constexpr (kHasIntegral<Cdf>) {
    if (order == -1) return Cdf::integral_of_tail(std::abs(d)) + std::abs(d) / 2;
  }
  const double q = Cdf::coordinate(d);
  if (order == 0) return Cdf::centered(q);
  return order == 1 ? Cdf::first_derivative(q) : Cdf::second_derivative(q);
}

/// The kernels of a distance d >= 0 between boxes, of full relative precision far out: F(d) - 1 =
/// -F(-d) in place of F - 1/2, so that only whole items need be added for the boxes below, and what
/// is left of the integral without d, which their distances add.
template <class Cdf>
double kernel_between_boxes(int order, double d) {
  if constexpr (kHasIntegral<Cdf>) {
    if (order == -1) return Cdf::integral_of_tail(d);
  }
  if (order == 0) return -Cdf::upper_tail(d);
  return order == 1 ? Cdf::tail(d).density : kernel<Cdf>(order, d);
}

/// The kernels are odd for even orders and even for odd ones.
constexpr double kernel_parity(int order) { return order % 2 == 0 ? -1 : 1; }

/// One side of a kernel's series: a box and its number of terms.
struct SeriesBox {
  double half_width;
  int terms;
};

/// The matrix [k * nodes + a] that makes Chebyshev coefficients of values at nodes cos
/// π(2a+1)/2nodes.
inline std::vector<double> chebyshev_transform(int nodes, int terms) {
  constexpr double kPi = 3.14159265358979323846;
  std::vector<double> transform(terms * nodes);
  for (int k = 0; k < terms; ++k) {
    for (int a = 0; a < nodes; ++a) {
      // The angle reduced to one turn in integers, so that it is exact.
      const int turn = k * (2 * a + 1) % (4 * nodes);
      transform[k * nodes + a] = (k == 0 ? 1.0 : 2.0) / nodes * std::cos(kPi * turn / (2 * nodes));
    }
  }
  return transform;
}

/// A function of the difference between two boxes whose centres lie `distance` apart:
///
///     f(distance + target.half_width t - source.half_width s)
///         ≈ Σ_{k < target.terms, l < source.terms} c[l * target.terms + k] T_k(t) T_l(s)
///
/// for local coordinates t, s in [-1, 1]. The kernels are analytic near the real axis, so the error
/// falls geometrically with the terms. The coefficients are those of Chebyshev interpolation at
/// more nodes than terms. vanishes(k, l) says which are known to be exactly zero.
template <class Function, class Vanishes>
std::vector<double> difference_series(double distance, SeriesBox target, SeriesBox source,
                                      const Function& f, const Vanishes& vanishes) {
  constexpr double kPi = 3.14159265358979323846;
  constexpr int kMoreNodes = 12;
  const int rows = target.terms + kMoreNodes, columns = source.terms + kMoreNodes;
  const std::vector<double> to_target = chebyshev_transform(rows, target.terms);
  const std::vector<double> to_source = chebyshev_transform(columns, source.terms);
  std::vector<double> half_way(rows * source.terms, 0.0);  // [a, l]
  for (int a = 0; a < rows; ++a) {
    const double t = std::cos(kPi * (2 * a + 1) / (2 * rows));
    for (int b = 0; b < columns; ++b) {
      const double s = std::cos(kPi * (2 * b + 1) / (2 * columns));
      const double value = f(distance + (target.half_width * t - source.half_width * s));
      for (int l = 0; l < source.terms; ++l) {
        half_way[a * source.terms + l] += value * to_source[l * columns + b];
      }
    }
  }
  std::vector<double> series(target.terms * source.terms, 0.0);
  for (int l = 0; l < source.terms; ++l) {
    for (int k = 0; k < target.terms; ++k) {
      if (vanishes(k, l)) continue;
      double sum = 0;
      for (int a = 0; a < rows; ++a)
        sum += to_target[k * rows + a] * half_way[a * source.terms + l];
      series[l * target.terms + k] = sum;
    }
  }
  return series;
}

/// The difference series of a kernel. In a box with itself the coefficients that vanish by the
/// kernel's parity are exactly zero: then sums over a row far narrower than its box keep their
/// relative precision.
template <class Cdf>
std::vector<double> kernel_series(int order, double distance, SeriesBox target, SeriesBox source) {
  const bool same_box = distance == 0 && target.half_width == source.half_width;
  return difference_series(
      distance, target, source, [=](double d) { return kernel<Cdf>(order, d); },
      [=](int k, int l) { return same_box && (k + l) % 2 == (order % 2 == 0 ? 0 : 1); });
}

/// The powers in the Chebyshev polynomials: T_k(t) = Σ_p powers[k * terms + p] t^p.
inline std::vector<double> chebyshev_powers(int terms) {
  std::vector<double> powers(terms * terms, 0.0);
  powers[0] = 1;
  if (terms > 1) powers[terms + 1] = 1;
  for (int k = 2; k < terms; ++k) {
    for (int p = 0; p < terms; ++p) {
      const double doubled = p > 0 ? 2 * powers[(k - 1) * terms + p - 1] : 0;
      powers[k * terms + p] = doubled - powers[(k - 2) * terms + p];
    }
  }
  return powers;
}

/// A series with powers of t in place of T_k(t). For boxes that are small beside the distance of
/// K's poles; there the powers are as well conditioned.
inline std::vector<double> target_in_powers(const std::vector<double>& series, int target_terms) {
  const std::vector<double> powers = chebyshev_powers(target_terms);
  std::vector<double> result(series.size(), 0.0);
  for (size_t row = 0; row < series.size(); row += target_terms) {
    for (int k = 0; k < target_terms; ++k) {
      for (int p = 0; p <= k; ++p) {
        result[row + p] += series[row + k] * powers[k * target_terms + p];
      }
    }
  }
  return result;
}

/// A series with powers of s in place of T_l(s).
inline std::vector<double> source_in_powers(const std::vector<double>& series, int target_terms) {
  const int terms = static_cast<int>(series.size()) / target_terms;
  const std::vector<double> powers = chebyshev_powers(terms);
  std::vector<double> result(series.size(), 0.0);
  for (int l = 0; l < terms; ++l) {
    for (int q = 0; q <= l; ++q) {
      for (int k = 0; k < target_terms; ++k) {
        result[q * target_terms + k] += series[l * target_terms + k] * powers[l * terms + q];
      }
    }
  }
  return result;
}

/// Functions of a box's coordinate s, f(l, s) for l < terms, as polynomials in the coordinate r in
/// [-1, 1] of one of its `cells` equal cells, s = (2 cell + 1 - cells + r) / cells:
///
///     f(l, s) ≈ Σ_{p < cell_terms} result[l * cell_terms + p] r^p
///
/// by interpolation at Chebyshev nodes; a constant is exact.
template <class Function>
std::vector<double> polynomials_in_cell(int terms, int cell, int cells, int cell_terms,
                                        const Function& f) {
  constexpr double kPi = 3.14159265358979323846;
  const std::vector<double> transform = chebyshev_transform(cell_terms, cell_terms);
  const std::vector<double> powers = chebyshev_powers(cell_terms);
  const double middle = 2 * cell + 1 - cells;
  std::vector<double> result(terms * cell_terms, 0.0);
  for (int l = 0; l < terms; ++l) {
    const double central = f(l, middle / cells);
    result[l * cell_terms] = central;
    for (int a = 0; a < cell_terms; ++a) {
      const double r = std::cos(kPi * (2 * a + 1) / (2 * cell_terms));
      const double value = f(l, (middle + r) / cells) - central;
      for (int k = 0; k < cell_terms; ++k) {
        for (int p = 0; p <= k; ++p) {
          result[l * cell_terms + p] +=
              value * transform[k * cell_terms + a] * powers[k * cell_terms + p];
        }
      }
    }
  }
  return result;
}

}  // namespace rank_relax
