#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sort/radix_sort.h"
#include "cpu/sort/sort_key.h"

namespace rank_relax::cpu {

/// What a hard rank is counted in. With c the number of smaller items and half of the equal ones,
/// of n that count:
enum class RankUnit {
  kItems,     // c, from 0 to n - 1
  kFraction,  // c / (n - 1), and 0 for n = 1
  kCentered,  // c - (n - 1)/2
};

/// Hard ranks of one row after another, with the memory that this needs: an argsort by radix of
/// exact keys, O(size), and a walk over the runs of equal items.
template <class Order, class Result>
class HardRankRow {
  using Bits = typename Order::Bits;
  using Key = std::conditional_t<sizeof(Bits) <= sizeof(uint32_t), uint32_t, uint64_t>;

 public:
  explicit HardRankRow(int64_t size)
      : keys_(size), sorted_(size), spare_(size), places_(size), order_(size), spare_order_(size) {}

  /// ranks[i] of a row; 0 where masked, NaN where the item is.
  void rank(const MaskedRow<Bits>& row, bool descending, RankUnit unit, Result* ranks) {
    const int64_t count = take_in(row, ranks);
    if (count == 0) return;
    radix_argsort(keys_.data(), count, {sorted_.data(), order_.data()},
                  {spare_.data(), spare_order_.data()});
    const double others = static_cast<double>(count - 1);
    const double divisor = unit == RankUnit::kFraction && count > 1 ? others : 1;
    const double center = unit == RankUnit::kCentered ? others / 2 : 0;
    for (int64_t begin = 0, end = 0; begin < count; begin = end) {
      for (end = begin + 1; end < count && sorted_[end] == sorted_[begin];) ++end;
      const double average = static_cast<double>(begin + end - 1) / 2;
      const double from_this_end = descending ? others - average : average;
      const auto rank = static_cast<Result>((from_this_end - center) / divisor);
      for (int64_t k = begin; k < end; ++k) ranks[places_[order_[k]]] = rank;
    }
  }

 private:
  /// The keys of the items that count, and where they stand; writes the ranks of the others.
  int64_t take_in(const MaskedRow<Bits>& row, Result* ranks) {
    const auto size = static_cast<int64_t>(keys_.size());
    int64_t count = 0;
    for (int64_t i = 0; i < size; ++i) {
      const Bits item = row.items[i];
      if (!row.counts(i)) {
        ranks[i] = 0;
      } else if (Order::is_nan(item)) {
        ranks[i] = std::numeric_limits<Result>::quiet_NaN();
      } else {
        keys_[count] = Order::key(item);
        places_[count++] = static_cast<uint32_t>(i);
      }
    }
    return count;
  }

  std::vector<Key> keys_, sorted_, spare_;
  std::vector<uint32_t> places_, order_, spare_order_;
};

/// ranks[row, i], contiguous: hard ranks, ties averaged. `Order` is that of the stored items
/// (cpu/sort/sort_key.h), Result float or double. Rows go in parallel.
template <class Order, class Result>
void hard_rank(const Batch<typename Order::Bits>& batch, bool descending, RankUnit unit,
               Result* ranks, const ParallelFor& parallel_for) {
  constexpr int64_t kItemsWorthAThread = 1 << 12;
  if (batch.count == 0 || batch.size == 0) return;
  parallel_for(batch.count, std::max<int64_t>(kItemsWorthAThread / batch.size, 1),
               [&](int64_t begin, int64_t end) {
                 HardRankRow<Order, Result> row(batch.size);
                 for (int64_t i = begin; i < end; ++i) {
                   row.rank(batch.row(i), descending, unit, ranks + i * batch.size);
                 }
               });
}

}  // namespace rank_relax::cpu
