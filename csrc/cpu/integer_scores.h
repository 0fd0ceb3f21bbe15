#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "core/integer_scores.h"
#include "core/methods.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sort/radix_sort.h"
#include "cpu/sort/sort_key.h"

namespace rank_relax::cpu {

/// One row of integers after another as scores (core/integer_scores.h), with the memory that this
/// needs. O(size), and an argsort where the row's range is beyond float64's exact integers.
template <class Order>
class IntegerScoresRow {
  using Bits = typename Order::Bits;

 public:
  /// scores[i] for a row at a strength; 0 where masked. A strength that is not positive and finite
  /// asks for the plain differences. Returns the largest score, the smallest being 0.
  double score(const MaskedRow<Bits>& row, double strength, std::string_view method,
               double* scores) {
    uint64_t minimum = ~uint64_t{0}, maximum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < row.size; ++i) {
      if (!row.counts(i)) continue;
      const uint64_t key = Order::key(row.items[i]);
      minimum = std::min(minimum, key);
      maximum = std::max(maximum, key);
      ++count;
    }
    const bool has_strength = std::isfinite(strength) && strength > 0;
    const uint64_t range = count > 0 ? maximum - minimum : 0;
    const double spread = static_cast<double>(range);
    const double widest =
        has_strength ? reach_of_gaps(method, static_cast<double>(count)) / strength : spread;
    if (spread > kExactIntegers && widest < spread) {
      return score_sorted(row, static_cast<uint64_t>(std::ceil(widest)), scores);
    }
    const double stretch = has_strength ? stretch_of(strength * spread, method) : 1;
    for (int64_t i = 0; i < row.size; ++i) {
      const uint64_t above = row.counts(i) ? Order::key(row.items[i]) - minimum : 0;
      scores[i] = stretch * static_cast<double>(above);
    }
    return stretch * spread;
  }

 private:
  /// A row in which ranks are linear in the scores correlates as a wider one does
  /// (core/correlation.h), and loses less to rounding. A power of two: no score is rounded.
  static double stretch_of(double scaled_spread, std::string_view method) {
    const double linear = linear_spread(method);
    if (!(scaled_spread > 0) || scaled_spread >= linear) return 1;
    return std::ldexp(1, std::min(std::ilogb(linear / scaled_spread), 900));
  }

  double score_sorted(const MaskedRow<Bits>& row, uint64_t widest, double* scores) {
    for (std::vector<uint64_t>* keys : {&keys_, &sorted_, &spare_}) keys->resize(row.size);
    for (std::vector<uint32_t>* places : {&places_, &order_, &spare_order_})
      places->resize(row.size);
    int64_t count = 0;
    for (int64_t i = 0; i < row.size; ++i) {
      scores[i] = 0;
      if (!row.counts(i)) continue;
      keys_[count] = Order::key(row.items[i]);
      places_[count++] = static_cast<uint32_t>(i);
    }
    radix_argsort(keys_.data(), count, {sorted_.data(), order_.data()},
                  {spare_.data(), spare_order_.data()});
    uint64_t position = 0;
    for (int64_t k = 0; k < count; ++k) {
      if (k > 0) position += std::min(sorted_[k] - sorted_[k - 1], widest);
      scores[places_[order_[k]]] = static_cast<double>(position);
    }
    return static_cast<double>(position);
  }

  std::vector<uint64_t> keys_, sorted_, spare_;
  std::vector<uint32_t> places_, order_, spare_order_;
};

/// scores[row, i] of integers, contiguous, for soft ranks at strengths[row], and the largest score
/// of each row. `Order` is that of the stored items (cpu/sort/sort_key.h). Rows go in parallel.
template <class Order>
void integer_scores(const Batch<typename Order::Bits>& batch, const Rows<double>& strengths,
                    std::string_view method, double* scores, double* largest,
                    const ParallelFor& parallel_for) {
  constexpr int64_t kItemsWorthAThread = 1 << 12;
  if (batch.count == 0 || batch.size == 0) return;
  parallel_for(batch.count, std::max<int64_t>(kItemsWorthAThread / batch.size, 1),
               [&](int64_t begin, int64_t end) {
                 IntegerScoresRow<Order> row;
                 for (int64_t i = begin; i < end; ++i) {
                   largest[i] = row.score(batch.row(i), strengths.row(i)[0], method,
                                          scores + i * batch.size);
                 }
               });
}

}  // namespace rank_relax::cpu
