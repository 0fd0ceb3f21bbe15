#pragma once

#include <cstdint>

namespace rank_relax {

/// Neighbours in a sorted list that an isotonic regression gives one common value.
struct IsotonicBlock {
  int64_t begin;
  int64_t size;
  double sum;  // of what the regression adds up, relative to the block's first item
};

/// Isotonic regression by pooling adjacent violators, in one pass: O(count), since every item
/// enters a block once and every join removes a block. Writes the blocks and returns their number;
/// there is room for `count` of them.
///
/// join(below, above, difference) is given two neighbouring blocks and the difference of their
/// first items. If their values are in the wrong order, or equal, it makes `below` the union and
/// returns true. Differences, not values, make the blocks the same for a list that is shifted.
template <class Scalar, class Join>
int64_t pool_adjacent_violators(const Scalar* sorted, int64_t count, double sum_of_one,
                                const Join& join, IsotonicBlock* blocks) {
  int64_t number = 0;
  for (int64_t i = 0; i < count; ++i) {
    IsotonicBlock last = {i, 1, sum_of_one};
    while (number > 0) {
      IsotonicBlock below = blocks[number - 1];
      const double difference =
          static_cast<double>(sorted[last.begin]) - static_cast<double>(sorted[below.begin]);
      if (!join(below, last, difference)) break;
      last = below;
      --number;
    }
    blocks[number++] = last;
  }
  return number;
}

}  // namespace rank_relax
