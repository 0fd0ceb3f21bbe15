#pragma once

#include <algorithm>
#include <cstdint>

namespace rank_relax {

/// Σ_{j < count} term(j), added in an order that depends on `count` alone: lanes that the compiler
/// can put in vector registers, closed after every chunk so that rounding grows with the number of
/// chunks and not with the number of terms.
template <class Term>
double lane_sum(int64_t count, const Term& term) {
  constexpr int64_t kLanes = 8;
  constexpr int64_t kChunk = 1024;
  double total = 0;
  for (int64_t begin = 0; begin < count; begin += kChunk) {
    const int64_t end = std::min(begin + kChunk, count);
    double lanes[kLanes] = {};
    int64_t j = begin;
    for (; j + kLanes <= end; j += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(j + lane);
    }
    for (int64_t lane = 0; j + lane < end; ++lane) lanes[lane] += term(j + lane);
    total += ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) +
             ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
  }
  return total;
}

}  // namespace rank_relax
