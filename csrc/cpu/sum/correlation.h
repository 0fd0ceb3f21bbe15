#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/parallel.h"
#include "cpu/row/row_statistics.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// 1 - ρ for two vectors a and b that sum to zero, ρ = <a, b> / (|a| |b|), and in their place its
/// gradients. With â = a/|a|, b̂ = b/|b| and δ = b̂ - â,
///
///     loss = |δ|²/2,   ∂loss/∂a = -(δ + loss · â)/|a|,   ∂loss/∂b = (δ - loss · b̂)/|b|,
///
/// in which nothing cancels as ρ → 1; with δ = (b - a)/|b| + a (1/|b| - 1/|a|), which is 0 for
/// b = a however products are rounded. If a or b is zero: loss 1, gradients 0. In double.
template <class Scalar>
class Correlation {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Wide = Widened<Scalar>;

 public:
  static double loss(Scalar* a, Scalar* b, int64_t count, const ParallelFor& parallel_for) {
    const Squares norms =
        sum_over_parts(a, b, count, parallel_for, [](W at_a, W at_b, W& first, W& second) {
          first = multiply_add(at_a, at_a, first);
          second = multiply_add(at_b, at_b, second);
        });
    if (norms.first == 0 || norms.second == 0) {
      std::fill_n(a, count, Scalar(0));
      std::fill_n(b, count, Scalar(0));
      return 1;
    }
    const double per_a = 1 / std::sqrt(norms.first), per_b = 1 / std::sqrt(norms.second);
    const UnitDifference unit_difference(per_a, per_b);
    const Squares difference =
        sum_over_parts(a, b, count, parallel_for, [=](W at_a, W at_b, W& first, W&) {
          const W rest = at_b - W::broadcast(unit_difference.shared) * at_a;
          const W turned = at_a * W::broadcast(unit_difference.turn);
          const W delta = multiply_add(rest, W::broadcast(per_b), turned);
          first = multiply_add(delta, delta, first);
        });
    const double loss = std::min(difference.first / 2, 2.0);
    const int64_t parts = (count + kStatisticsPart - 1) / kStatisticsPart;
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      write_gradients(a, b, begin * kStatisticsPart, std::min(end * kStatisticsPart, count), per_a,
                      per_b, loss);
    });
    return loss;
  }

 private:
  struct Squares {
    double first;
    double second;
  };

  template <class Add>
  static Squares sum_over_parts(const Scalar* a, const Scalar* b, int64_t count,
                                const ParallelFor& parallel_for, const Add& add) {
    if (count <= kStatisticsPart) return sum_of_part(a, b, 0, count, add);
    Squares total = {0, 0};
    for (const Squares& part : for_each_part<Squares>(
             count, parallel_for,
             [&](int64_t begin, int64_t end) { return sum_of_part(a, b, begin, end, add); })) {
      total.first += part.first;
      total.second += part.second;
    }
    return total;
  }

  template <class Add>
  static Squares sum_of_part(const Scalar* a, const Scalar* b, int64_t begin, int64_t end,
                             const Add& add) {
    W first[Wide::kParts], second[Wide::kParts];
    for (int part = 0; part < Wide::kParts; ++part) first[part] = second[part] = W::broadcast(0);
    for (int64_t i = begin; i < end; i += V::kLanes) {
      Scalar rest_a[V::kLanes] = {}, rest_b[V::kLanes] = {};
      const bool whole = i + V::kLanes <= end;
      if (!whole) {
        std::copy(a + i, a + end, rest_a);
        std::copy(b + i, b + end, rest_b);
      }
      W at_a[Wide::kParts], at_b[Wide::kParts];
      Wide::load(whole ? a + i : rest_a, at_a);
      Wide::load(whole ? b + i : rest_b, at_b);
      for (int part = 0; part < Wide::kParts; ++part) {
        add(at_a[part], at_b[part], first[part], second[part]);
      }
    }
    Squares sums = {0, 0};
    for (int part = 0; part < Wide::kParts; ++part) {
      sums.first += sum_of_lanes(first[part]);
      sums.second += sum_of_lanes(second[part]);
    }
    return sums;
  }

  static void write_gradients(Scalar* a, Scalar* b, int64_t begin, int64_t end, double per_a,
                              double per_b, double loss) {
    const UnitDifference unit_difference(per_a, per_b);
    for (int64_t i = begin; i < end; ++i) {
      const double at_a = a[i], at_b = b[i];
      const double delta = unit_difference(at_a, at_b);
      a[i] = static_cast<Scalar>(-(delta + loss * (at_a * per_a)) * per_a);
      b[i] = static_cast<Scalar>((delta - loss * (at_b * per_b)) * per_b);
    }
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
