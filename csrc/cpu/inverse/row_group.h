#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "cpu/aligned_array.h"
#include "cpu/inverse/range_abreast.h"
#include "cpu/isa/vector.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/rows.h"
#include "cpu/row/rows_in_lanes.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// As many short rows as a vector has lanes, abreast for an inverse of their smoothed counts. A
/// batch with a mask does not suit, and rows that are not finite are refused.
template <class Cdf, class Scalar>
class RowGroup {
  using V = Vector<Scalar>;

 public:
  static constexpr int kRows = V::kLanes;
  static constexpr bool kServes = kMostScannedOrder<Cdf> >= 1 && kRows >= 4;

  /// Whether rows of a batch go abreast.
  static bool suits(const SoftBatch<Scalar>& batch) {
    constexpr int64_t kLongest = 1024;
    return kServes && batch.mask.data == nullptr && batch.count >= kRows && batch.size >= 2 &&
           batch.size <= kLongest;
  }

  RowGroup(int64_t size, double regularization_strength)
      : size_(size), strength_(regularization_strength) {
    values_.make_room(whole_blocks<Scalar>(size));
  }

  /// Takes in kRows rows; false if they are not all finite, or too far out, or if even the widest
  /// has `items_a_box` items and more for each of its boxes, so that a grid serves them faster.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row, double items_a_box) {
    V* const values = values_.data();
    load_in_lanes(input, first_row, size_, values);
    const ExtentOfLanes<Scalar> extent = extent_of_lanes(values, size_);
    if (!extent.all_finite) return false;
    const double lowest = lowest_lane(extent.lowest), highest = highest_lane(extent.highest);
    if (!in_range_abreast(lowest, highest, strength_)) return false;
    if constexpr (kHasGrid<Cdf>) {
      constexpr double kBoxesOfTails = 4;
      constexpr int64_t kFewestItemsOfAGrid = 32;
      const double spread =
          static_cast<double>(highest_lane(extent.highest - extent.lowest)) * strength_;
      const double boxes = spread / Cdf::box_grid[precision_of<Scalar>].width + kBoxesOfTails;
      const bool has_full_boxes = items_a_box * boxes < static_cast<double>(size_);
      if (size_ >= kFewestItemsOfAGrid && has_full_boxes) return false;
    }
    extent_ = extent;
    input_ = input;
    first_row_ = first_row;
    return true;
  }

  int64_t size() const { return size_; }
  double strength() const { return strength_; }

  /// The rows, lane by lane, and their extremes.
  const V* values() const { return values_.data(); }
  const ExtentOfLanes<Scalar>& extent() const { return extent_; }

  /// One of them, until the next is asked for.
  FiniteRow<Scalar> row(int lane) {
    Scalar lowest[kRows], highest[kRows];
    extent_.lowest.store(lowest);
    extent_.highest.store(highest);
    const Row<Scalar> items = input_.row(first_row_ + lane);
    if (items.stride == 1) return {items.data, size_, lowest[lane], highest[lane]};
    row_.resize(size_);
    for (int64_t i = 0; i < size_; ++i) row_[i] = items[i];
    return {row_.data(), size_, lowest[lane], highest[lane]};
  }

 private:
  int64_t size_;
  double strength_;
  AlignedArray<V> values_;
  ExtentOfLanes<Scalar> extent_ = {};
  Rows<Scalar> input_;
  int64_t first_row_ = 0;
  std::vector<Scalar> row_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
