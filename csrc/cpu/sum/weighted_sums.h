#pragma once

#include "cpu/isa/vector.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

// A kernel sum whose weights are products of differences expands into sums with plain weights. With
// S[w]_i = Σ_j w_j K(d_ij), directions v and w, and in this order of sets:
//
//   order 0:   S[1]
//   order 1:   Σ_j (v_i - v_j) K = v_i S[1] - S[v]
//   order 2:   Σ_j (v_i - v_j) (w_i - w_j) K = v_i w_i S[1] - w_i S[v] - v_i S[w] + S[v w]
constexpr int weight_sets(int order) { return 1 << order; }

/// A direction at the lanes of a vector of values.
template <class V, class Scalar>
[[gnu::always_inline]] inline V direction_at(const Direction<Scalar>& direction, V values) {
  return multiply_subtract(values, V::broadcast(direction.scale), V::broadcast(direction.center));
}

/// The sum of an order from those of its sets, at items where the directions are `at`.
template <int kOrder, class V>
[[gnu::always_inline]] inline V combine(const V* sets, const V* at) {
  if constexpr (kOrder == 0) {
    return sets[0];
  } else if constexpr (kOrder == 1) {
    return multiply_subtract(at[0], sets[0], sets[1]);
  } else {
    const V first = multiply_subtract(at[0], sets[0], sets[1]);   // v_i S[1] - S[v]
    const V second = multiply_subtract(at[0], sets[2], sets[3]);  // v_i S[w] - S[v w]
    return multiply_subtract(at[1], first, second);
  }
}

/// A NaN stays one: `smaller` and `larger` give the second argument if either is NaN.
template <class V, class Scalar>
[[gnu::always_inline]] inline V finish(V sum, const Output<Scalar>& output) {
  const V result = multiply_add(sum, V::broadcast(output.scale), V::broadcast(output.shift));
  return smaller(V::broadcast(output.highest), larger(V::broadcast(output.lowest), result));
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
