#pragma once

#include <algorithm>

#include "cuda/projection/permutahedron.h"
#include "cuda/soft_rank.h"

namespace rank_relax::cuda {

// What is asked of a smooth CDF, as the same question to a projection.

/// Of order 0.
inline PermutahedronRank rank_of(const KernelSum& problem) {
  return {problem, problem.shift, problem.output};
}

/// Of higher orders.
inline PermutahedronRankDerivative rank_derivative_of(const KernelSum& problem) {
  PermutahedronRankDerivative derivative;
  derivative.batch = problem;
  derivative.order = problem.order;
  std::copy_n(problem.directions, problem.order, derivative.directions);
  derivative.factor = problem.factor;
  derivative.spread_nan = problem.spread_nan;
  derivative.output = problem.output;
  return derivative;
}

}  // namespace rank_relax::cuda
