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
  if (count == 0) return 0;
  const auto difference = [=](int64_t above, int64_t below) {
    return static_cast<double>(sorted[above]) - static_cast<double>(sorted[below]);
  };
  int64_t number = 0;  // of blocks that are in order
  IsotonicBlock last = {0, 1, sum_of_one};
  for (int64_t i = 1; i < count; ++i) {
    const IsotonicBlock item = {i, 1, sum_of_one};
    if (!join(last, item, difference(i, last.begin))) {
      blocks[number++] = last;
      last = item;
      continue;
    }
    // A block that has taken an item in may violate the order with the one below.
    while (number > 0) {
      IsotonicBlock below = blocks[number - 1];
      if (!join(below, last, difference(last.begin, below.begin))) break;
      last = below;
      --number;
    }
  }
  blocks[number++] = last;
  return number;
}

}  // namespace rank_relax
