#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/parallel.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

// What a row must be asked before its sums are taken, in one pass over contiguous values. Long rows
// are cut into parts of fixed size, so that threads change nothing.

constexpr int64_t kStatisticsPart = 1 << 16;

/// part(begin, end) for each part, and the results in order.
template <class Result, class Part>
std::vector<Result> for_each_part(int64_t count, const ParallelFor& parallel_for,
                                  const Part& part) {
  std::vector<Result> results((count + kStatisticsPart - 1) / kStatisticsPart);
  parallel_for(static_cast<int64_t>(results.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      results[i] = part(i * kStatisticsPart, std::min((i + 1) * kStatisticsPart, count));
    }
  });
  return results;
}

template <class Scalar>
struct Extent {
  Scalar minimum;
  Scalar maximum;
  bool all_finite;  // else the others mean nothing

  /// That of both.
  friend Extent operator|(const Extent& a, const Extent& b) {
    return {std::min(a.minimum, b.minimum), std::max(a.maximum, b.maximum),
            a.all_finite && b.all_finite};
  }
};

template <class Scalar>
Extent<Scalar> extent_of_part(const Scalar* values, int64_t begin, int64_t end) {
  using V = Vector<Scalar>;
  Scalar minimum = values[begin], maximum = minimum;
  bool all_finite = true;
  int64_t i = begin;
  if (end - begin >= 4 * V::kLanes) {
    V lowest[4], highest[4], zero[4];  // zero: NaN once an infinity or a NaN was seen
    for (int v = 0; v < 4; ++v) {
      lowest[v] = highest[v] = V::broadcast(minimum);
      zero[v] = V::broadcast(0);
    }
    for (; i + 4 * V::kLanes <= end; i += 4 * V::kLanes) {
      for (int v = 0; v < 4; ++v) {
        const V here = V::load(values + i + v * V::kLanes);
        lowest[v] = smaller(lowest[v], here);
        highest[v] = larger(highest[v], here);
        zero[v] = multiply_add(here, V::broadcast(0), zero[v]);
      }
    }
    minimum = lowest_lane(smaller(smaller(lowest[0], lowest[1]), smaller(lowest[2], lowest[3])));
    maximum = highest_lane(larger(larger(highest[0], highest[1]), larger(highest[2], highest[3])));
    all_finite = sum_of_lanes((zero[0] + zero[1]) + (zero[2] + zero[3])) == 0;
  }
  for (; i < end; ++i) {
    minimum = std::min(minimum, values[i]);
    maximum = std::max(maximum, values[i]);
    all_finite = all_finite && std::isfinite(values[i]);
  }
  return {minimum, maximum, all_finite};
}

/// Of at least one value.
template <class Scalar>
Extent<Scalar> extent(const Scalar* values, int64_t count, const ParallelFor& parallel_for) {
  if (count <= kStatisticsPart) return extent_of_part(values, 0, count);
  Extent<Scalar> whole = {std::numeric_limits<Scalar>::infinity(),
                          -std::numeric_limits<Scalar>::infinity(), true};
  for (const Extent<Scalar>&part : for_each_part<Extent<Scalar>>(
           count, parallel_for,
           [=](int64_t begin, int64_t end) { return extent_of_part(values, begin, end); })) {
    whole = whole | part;
  }
  return whole;
}

struct Size {
  double sum;
  double largest;  // magnitude; with an infinity or a NaN among the values, sum is one too
};

template <class Scalar>
Size size_of_part(const Scalar* values, int64_t begin, int64_t end) {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Wide = Widened<Scalar>;
  Size size = {0, 0};
  int64_t i = begin;
  if (end - begin >= V::kLanes) {
    V largest = V::broadcast(0);
    W sums[Wide::kParts];
    for (W& sum : sums) sum = W::broadcast(0);
    for (; i + V::kLanes <= end; i += V::kLanes) {
      largest = larger(largest, absolute(V::load(values + i)));
      W parts[Wide::kParts];
      Wide::load(values + i, parts);
      for (int part = 0; part < Wide::kParts; ++part) sums[part] = sums[part] + parts[part];
    }
    size.largest = highest_lane(largest);
    for (const W& sum : sums) size.sum += sum_of_lanes(sum);
  }
  for (; i < end; ++i) {
    size.sum += values[i];
    size.largest = std::max<double>(size.largest, std::abs(values[i]));
  }
  return size;
}

template <class Scalar>
Size size_of(const Scalar* values, int64_t count, const ParallelFor& parallel_for) {
  if (count <= kStatisticsPart) return size_of_part(values, 0, count);
  Size whole = {0, 0};
  for (const Size& part : for_each_part<Size>(count, parallel_for, [=](int64_t begin, int64_t end) {
         return size_of_part(values, begin, end);
       })) {
    whole.sum += part.sum;
    whole.largest = std::max(whole.largest, part.largest);
  }
  return whole;
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
