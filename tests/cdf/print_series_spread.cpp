// Prints what `series_spread` of a CDF must be, from its plain formulas in long double: for each
// precision, order and number of terms the widest spread, in steps of 0.01, at which the truncation
// error of every pair in one box is below the tolerance of core/series/series_spread.h. Compiled
// and run by
//
//     g++ -std=c++17 -O2 -Icsrc -include tests/cdf/plain_hyperbolic_secant.h
//         -DCDF=HyperbolicSecant tests/cdf/print_series_spread.cpp

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <vector>

#include "../plain_cdf.h"
#include "core/precision.h"
#include "core/series/series_spread.h"

namespace {

using namespace rank_relax;
using Cdf = CDF;
using Number = long double;

Number kernel(int order, Number d) {
  const PlainKernels plain = PlainCdf<Cdf>::at(d);
  return order == 0 ? plain.centered : (order == 1 ? plain.first : plain.second);
}

/// T_k at some of the nodes cos π(2a+1)/2nodes, [a][k].
std::vector<Number> chebyshev(int nodes, int terms) {
  std::vector<Number> polynomials(nodes * terms);
  for (int a = 0; a < nodes; ++a) {
    for (int k = 0; k < terms; ++k) {
      polynomials[a * terms + k] = std::cos(std::acos(-1.0L) * (2 * a + 1) * k / (2 * nodes));
    }
  }
  return polynomials;
}

/// Σ_a left[a][i] right[a][j], over `count` a.
std::vector<Number> product(const std::vector<Number>& left, int rows,
                            const std::vector<Number>& right, int columns, int count) {
  std::vector<Number> sums(rows * columns, 0);
  for (int a = 0; a < count; ++a) {
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < columns; ++j) {
        sums[i * columns + j] += left[a * rows + i] * right[a * columns + j];
      }
    }
  }
  return sums;
}

std::vector<Number> transposed(const std::vector<Number>& matrix, int rows, int columns) {
  std::vector<Number> result(rows * columns);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < columns; ++j) result[j * rows + i] = matrix[i * columns + j];
  }
  return result;
}

std::vector<Number> kernels_between(int order, int points, Number half_width) {
  std::vector<Number> values(points * points);
  const std::vector<Number> nodes = chebyshev(points, 2);
  for (int i = 0; i < points; ++i) {
    for (int j = 0; j < points; ++j) {
      values[i * points + j] = kernel(order, half_width * (nodes[2 * i + 1] - nodes[2 * j + 1]));
    }
  }
  return values;
}

Number truncation_error(int order, int terms, Number half_width) {
  const int nodes = terms + 12;  // as core/series/kernel_series.h
  constexpr int kPoints = 101;   // at which no node of an interpolation lies
  std::vector<Number> transform = chebyshev(nodes, terms);
  for (int i = 0; i < nodes * terms; ++i) transform[i] *= (i % terms == 0 ? 1.0L : 2.0L) / nodes;
  const std::vector<Number> half =
      product(transform, terms, kernels_between(order, nodes, half_width), nodes, nodes);
  const std::vector<Number> series =
      product(transposed(half, terms, nodes), terms, transform, terms, nodes);
  const std::vector<Number> points = transposed(chebyshev(kPoints, terms), kPoints, terms);
  const std::vector<Number> at_targets =
      product(transposed(series, terms, terms), terms, points, kPoints, terms);
  const std::vector<Number> sums = product(at_targets, kPoints, points, kPoints, terms);
  const std::vector<Number> exact = kernels_between(order, kPoints, half_width);
  Number largest = 0;
  for (int i = 0; i < kPoints; ++i) {
    for (int j = 0; j < kPoints; ++j) {
      largest = std::max(largest, std::abs(sums[j * kPoints + i] - exact[i * kPoints + j]));
    }
  }
  return largest;
}

}  // namespace

int main() {
  constexpr Number kTolerance[2][kSeriesOrders] = {{4e-8L, 2e-8L, 1e-8L}, {4e-15L, 4e-15L, 4e-15L}};
  for (const int precision : {kSingle, kDouble}) {
    for (int order = 0; order < kSeriesOrders; ++order) {
      std::printf("{");
      for (int terms = kFewestTerms; terms <= kMostTerms; terms += kTermStep) {
        int below = 0, above = 4000;  // in hundredths
        while (above - below > 1) {
          const int middle = (below + above) / 2;
          const bool fits =
              truncation_error(order, terms, middle / 200.0L) <= kTolerance[precision][order];
          (fits ? below : above) = middle;
        }
        std::printf("%s%.2f", terms == kFewestTerms ? "" : ", ", below / 100.0);
        std::fflush(stdout);
      }
      std::printf("},\n");
    }
  }
}
