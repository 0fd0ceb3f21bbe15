#pragma once

#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/series/box_series.h"

namespace rank_relax {

/// The ways to compute the kernel sums of one row, or of a cluster of a sorted one.
enum class RowForm {
  kPairwise,   // O(n²): short rows, orders that have no series, and where no other form serves
  kOneBox,     // one series over the whole spread: narrow rows
  kManyBoxes,  // a grid with many items a box: broad rows
  kSorted      // very wide rows
};

// Where the forms cross over, as benchmarks/cpu.py measured them, [precision].
constexpr int64_t kLongestPairwise[] = {12, 24};
constexpr double kWidestOneBox[] = {18, 10};      // where boxes would have items enough
constexpr int64_t kFewestItemsABox[] = {24, 40};  // on the average of a row

// Without pieces to look up, an item in one box takes time for each of the terms: then full boxes
// serve narrower rows too.
constexpr double kWidestOneBoxOfManyItems[] = {7, 10};
constexpr int64_t kManyItemsABox = 500;

// Rows abreast are sorted where a series would have more terms than this for each doubling of their
// items, [order], if the CDF's tail is a sum of exponentials; and where longer rows would be sorted
// one by one. None of them may be narrower than this, in units of 1/α: in narrow rows sums of tails
// cancel.
constexpr int kTermsOfADoubling[] = {9, 11, 11};
constexpr int64_t kLongestAbreast = 256;
constexpr int64_t kLongestSortedAbreast[] = {1024, 256};
constexpr int64_t kFewestLongGroups = 4;  // of rows longer than kLongestAbreast
constexpr double kNarrowestSortedAbreast = 1;

// A series over the whole row has the same error in every pair, and where few items are near an end
// that is much of the result. With more than kPrecisionOfEnds / kPairError items, [precision], a
// row has one box only where 1 + the count below its lowest item, or the sum of F' at both of its
// ends, is as many times the errors of all pairs.
constexpr double kPairError[] = {6e-8, 2e-15};
constexpr double kPrecisionOfEnds[] = {4e-5, 8e-13};

constexpr double kMostNumbersOfAGrid = 1 << 30;  // which 32 bits can address

/// The form for `count` values of this scaled spread, where vectors can look up pieces or not.
template <class Cdf>
RowForm row_form(Precision precision, int order, int64_t count, double spread, bool looks_up) {
  if (order >= kSeriesOrders || count <= kLongestPairwise[precision]) return RowForm::kPairwise;
  const bool has_one_box = one_box_terms<Cdf>(precision, order, spread) > 0;
  if constexpr (kHasGrid<Cdf>) {
    const double boxes = spread / Cdf::box_grid[precision].width;
    const double items_a_box = static_cast<double>(count) / (boxes + 1);
    const double widest = looks_up || items_a_box < kManyItemsABox
                              ? kWidestOneBox[precision]
                              : kWidestOneBoxOfManyItems[precision];
    if (has_one_box && spread <= widest) return RowForm::kOneBox;
    const int64_t sets = int64_t{1} << order;
    const double numbers =
        (boxes + 2) * static_cast<double>(kCellsABox[precision] * kCellTerms[precision] * sets);
    if (items_a_box >= static_cast<double>(kFewestItemsABox[precision] * sets) &&
        numbers < kMostNumbersOfAGrid) {
      return RowForm::kManyBoxes;
    }
  }
  if (has_one_box) return RowForm::kOneBox;
  return kFallsExponentially<Cdf> ? RowForm::kSorted : RowForm::kPairwise;
}

/// Whether to sort rows of `count` items that go abreast, for which the series of an order has so
/// many terms, 0 if there is none.
inline bool sorts_abreast(int order, int terms, int64_t count) {
  return terms == 0 || terms > kTermsOfADoubling[order] * std::log2(static_cast<double>(count));
}

}  // namespace rank_relax
