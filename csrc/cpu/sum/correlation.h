#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/correlation.h"
#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/parallel.h"
#include "cpu/row/row_statistics.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// 1 - ρ of centred vectors a and b, and in their place its gradients (core/correlation.h). In
/// double.
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
    const auto units =
        UnitVectors<double>::of(1 / std::sqrt(norms.first), 1 / std::sqrt(norms.second));
    const UnitVectors<W> wide = {W::broadcast(units.per_a), W::broadcast(units.per_b),
                                 W::broadcast(units.shared), W::broadcast(units.turn)};
    const Squares difference =
        sum_over_parts(a, b, count, parallel_for, [=](W at_a, W at_b, W& first, W&) {
          const W delta = wide.difference(at_a, at_b);
          first = multiply_add(delta, delta, first);
        });
    const double loss = correlation_loss(difference.first);
    const int64_t parts = (count + kStatisticsPart - 1) / kStatisticsPart;
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      write_gradients(a, b, begin * kStatisticsPart, std::min(end * kStatisticsPart, count), units,
                      loss);
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

  static void write_gradients(Scalar* a, Scalar* b, int64_t begin, int64_t end,
                              UnitVectors<double> units, double loss) {
    for (int64_t i = begin; i < end; ++i) {
      const double at_a = a[i], at_b = b[i];
      const double delta = units.difference(at_a, at_b);
      a[i] = static_cast<Scalar>(units.gradient_a(at_a, delta, loss));
      b[i] = static_cast<Scalar>(units.gradient_b(at_b, delta, loss));
    }
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
