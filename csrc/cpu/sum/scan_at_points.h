#pragma once

#include <cstdint>

#include "core/row/scaled_difference.h"
#include "core/sum/compensated_sum.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Ascending numbers, and as many of them.
struct Ascending {
  const double* values;
  int64_t count;
};

/// Σ_j w_j K(α (t_i - x_j)) at ascending points of ascending values where F(-d) = e^-d/2, in O(1)
/// an item: with S the sum of w e^-|d| over the values on one side, carried from each item to the
/// next,
///
///     order -1:  Σ_below w d + S/2     order 0:  Σ_below w - S/2, S/2 from above
///     order 1:   S/2                   order 2:  -S/2, S/2 from above
///
/// and F(0) = 1/2, F'(0) = 1/2, F''(0) = 0 between equals.
template <int kOrder>
void scan_at_points(const Ascending& points, const Ascending& values, const double* weights,
                    double strength, double* sums) {
  const double *t = points.values, *x = values.values;
  const auto decayed = [&](double from, double to) {
    const double d = scaled_difference(strength, to, from);
    return d < kNegligibleFrom ? exponential_decay(d) : 0;
  };
  // Upwards, with the values that are equal to the point apart.
  double sum = 0, weight = 0, equal = 0, last = 0;
  CompensatedSum distance;
  int64_t j = 0;
  const auto move_to = [&](double to) {
    if (to == last) return;
    const double decay = decayed(last, to);
    sum = (sum + equal) * decay;
    weight += equal;
    equal = 0;
    if (kOrder == -1 && weight != 0) distance.add(weight * scaled_difference(strength, to, last));
    last = to;
  };
  last = points.count > 0 && values.count > 0 ? (t[0] < x[0] ? t[0] : x[0]) : 0;
  for (int64_t i = 0; i < points.count; ++i) {
    while (j < values.count && x[j] <= t[i]) {
      move_to(x[j]);
      equal += weights[j++];
    }
    move_to(t[i]);
    if (kOrder == -1) sums[i] = distance.value() + (sum + equal) / 2;
    if (kOrder == 0) sums[i] = weight + (equal - sum) / 2;
    if (kOrder == 1) sums[i] = (sum + equal) / 2;
    if (kOrder == 2) sums[i] = -sum / 2;
  }
  // Downwards, without them.
  sum = 0;
  j = values.count - 1;
  last = points.count > 0 && values.count > 0
             ? (t[points.count - 1] < x[j] ? x[j] : t[points.count - 1])
             : 0;
  for (int64_t i = points.count - 1; i >= 0; --i) {
    for (; j >= 0 && x[j] > t[i]; --j) {
      sum = sum * decayed(x[j], last) + weights[j];
      last = x[j];
    }
    sum *= decayed(t[i], last);
    last = t[i];
    sums[i] += sum / 2;
  }
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
