#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/projection/isotonic.h"
#include "core/projection/permutahedron.h"
#include "core/row/row_counts.h"
#include "core/sum/lane_sum.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/projection/permutahedron.h"
#include "cpu/row/row_statistics.h"
#include "cpu/row/rows.h"
#include "cpu/sort/radix_sort.h"

namespace rank_relax::cpu {

/// One row after another, sorted, with the memory that this needs. Masked items and NaN don't
/// count; infinities need only be counted; the finite values are sorted.
template <class Scalar>
class PermutahedronRow {
  static constexpr Scalar kInfinity = std::numeric_limits<Scalar>::infinity();

 public:
  /// Borrows nothing.
  void set_row(const MaskedRow<Scalar>& row) {
    const Row<Scalar>& items = row.items;
    size_ = row.size;
    below_ = above_ = 0;
    packed_ = true;
    if (items.stride == 1 && row.mask.data == nullptr && size_ > 0) {
      packed_ = !extent(items.data, size_, in_this_thread).all_finite;
    }
    if (packed_) {
      pack(row);
    } else {
      finite_ = counted_ = unmasked_ = size_;
    }
    sort(packed_ ? values_.data() : items.data);
  }

  /// Items that are neither masked nor NaN: the n of every formula.
  int64_t counted() const { return counted_; }
  int64_t unmasked() const { return unmasked_; }
  bool has_infinities() const { return below_ + above_ > 0; }
  bool masked(int64_t i) const { return packed_ && kinds_.data()[i] == Kind::kMasked; }

  /// Largest less smallest finite value; inf if that overflows, 0 without any.
  double spread() const {
    if (finite_ == 0) return 0;
    const double largest = sorted_.data()[finite_ - 1], smallest = sorted_.data()[0];
    return unit_ * (largest - smallest);
  }

  /// R - 1/2 + shift, with R = (rank - 1)/(n - 1). `blocks` may be null.
  template <class Projection>
  void ranks(double regularization_strength, double shift, Scalar* output, int32_t* blocks) {
    scale_ = 1 / static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    shift_ = shift;
    if (packed_) place_the_others(output, blocks);
    if (finite_ == 0) return;
    const double lower = static_cast<double>(below_), unit = unit_;
    const auto join = [=](IsotonicBlock& left, const IsotonicBlock& right, double difference) {
      return Projection::join(left, right, regularization_strength * difference * unit, lower);
    };
    const int64_t number = pool_adjacent_violators(sorted_.data(), finite_, Projection::kSumOfOne,
                                                   join, blocks_.data());
    for (int64_t b = 0; b < number; ++b) {
      place_block<Projection>(blocks_.data()[b], regularization_strength, output);
    }
    if (blocks != nullptr) number_items(number, blocks);
  }

  /// The soft sorted values, ascending: -inf, the finite ones, inf, NaN; 0 for masked items at the
  /// end. permutation[k] is the item whose place is k, blocks[k] its block.
  template <class Projection>
  void values(double regularization_strength, Scalar* output, int64_t* permutation,
              int32_t* blocks) {
    int64_t begin = 0;
    if (packed_) begin = place_the_others_in_order(output, permutation, blocks);
    if (finite_ == 0) return;
    for (int64_t i = 0; i < finite_; ++i) permutation[begin + i] = place(i);
    const double shrink = Projection::shrinkage(spread());
    const double strength = regularization_strength * shrink, unit = unit_ * shrink;
    const double join_unit = Projection::join_unit(spread());
    const auto join = [=](IsotonicBlock& below, const IsotonicBlock& above, double difference) {
      return Projection::join_values(below, above, difference * (unit * join_unit),
                                     strength * join_unit, join_unit);
    };
    const int64_t number = pool_adjacent_violators(
        sorted_.data(), finite_, Projection::kValueSumOfOne, join, blocks_.data());
    for (int64_t b = 0; b < number; ++b) {
      const IsotonicBlock& block = blocks_.data()[b];
      values_of_block<Projection>(block, strength, shrink, output + begin + block.begin);
      std::fill_n(blocks + begin + block.begin, block.size, static_cast<int32_t>(b));
    }
  }

 private:
  void pack(const MaskedRow<Scalar>& row) {
    kinds_.make_room(size_);
    values_.make_room(size_);
    places_.make_room(size_);
    finite_ = counted_ = unmasked_ = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const Scalar value = row.items[i];
      const Kind kind = row.counts(i) ? kind_of(value) : Kind::kMasked;
      kinds_.data()[i] = kind;
      unmasked_ += kind != Kind::kMasked;
      counted_ += kind != Kind::kMasked && kind != Kind::kNan;
      below_ += kind == Kind::kBelow;
      above_ += kind == Kind::kAbove;
      if (kind != Kind::kFinite) continue;
      places_.data()[finite_] = static_cast<uint32_t>(i);
      values_.data()[finite_++] = value;
    }
  }

  void sort(const Scalar* values) {
    unit_ = 1;
    if (finite_ == 0) return;
    sorted_.make_room(finite_);
    order_.make_room(finite_);
    spare_sorted_.make_room(finite_);
    spare_order_.make_room(finite_);
    blocks_.make_room(finite_);
    coordinates_.make_room(finite_);
    radix_argsort(values, finite_, {sorted_.data(), order_.data()},
                  {spare_sorted_.data(), spare_order_.data()});
    const double largest = sorted_.data()[finite_ - 1], smallest = sorted_.data()[0];
    if (std::isfinite(largest - smallest)) return;
    // No difference may overflow. Denormal values lose bits, which such a spread can't show.
    unit_ = 4;
    for (int64_t i = 0; i < finite_; ++i) sorted_.data()[i] /= 4;
  }

  /// Where in the row the i-th of the sorted values stands.
  int64_t place(int64_t i) const {
    const uint32_t place = order_.data()[i];
    return packed_ ? places_.data()[place] : place;
  }

  Scalar rank(double from_the_middle) const {
    return static_cast<Scalar>(
        std::clamp(shift_ + from_the_middle * scale_, shift_ - 0.5, shift_ + 0.5));
  }

  /// Infinities share their ranks out equally, as any equal values do.
  void place_the_others(Scalar* output, int32_t* blocks) const {
    const RowCounts counts = {static_cast<double>(finite_), static_cast<double>(below_),
                              static_cast<double>(above_)};
    const Scalar below = rank(counts.below_from_middle());
    const Scalar above = rank(counts.above_from_middle());
    for (int64_t i = 0; i < size_; ++i) {
      const Kind kind = kinds_.data()[i];
      if (kind == Kind::kFinite) continue;
      if (blocks != nullptr) blocks[i] = block_number(kind);
      output[i] = kind == Kind::kMasked  ? 0
                  : kind == Kind::kBelow ? below
                  : kind == Kind::kAbove ? above
                                         : std::numeric_limits<Scalar>::quiet_NaN();
    }
  }

  template <class Projection>
  void place_block(const IsotonicBlock& block, double regularization_strength, Scalar* output) {
    const double mean_rank = rank_relax::mean_rank(block, static_cast<double>(below_));
    const double center = mean_rank - static_cast<double>(counted_ + 1) / 2;
    if (block.size == 1) {
      output[place(block.begin)] = rank(center);
      return;
    }
    const Scalar* sorted = sorted_.data() + block.begin;
    double* coordinates = coordinates_.data();
    const double first = sorted[0];
    for (int64_t i = 0; i < block.size; ++i) {
      const double d = regularization_strength * (static_cast<double>(sorted[i]) - first) * unit_;
      coordinates[i] = Projection::coordinate(d);
    }
    const double mean = lane_sum(block.size, [=](int64_t i) { return coordinates[i]; }) /
                        static_cast<double>(block.size);
    for (int64_t i = 0; i < block.size; ++i) {
      const double deviation = Projection::deviation(coordinates[i], mean, mean_rank);
      output[place(block.begin + i)] = rank(center + deviation);
    }
  }

  void number_items(int64_t number, int32_t* blocks) const {
    if (number == 1 && !packed_) {
      std::fill_n(blocks, size_, 0);
      return;
    }
    for (int64_t b = 0; b < number; ++b) {
      const int64_t begin = blocks_.data()[b].begin, end = begin + blocks_.data()[b].size;
      for (int64_t i = begin; i < end; ++i) blocks[place(i)] = static_cast<int32_t>(b);
    }
  }

  /// Puts the items outside of blocks at the places of a hard sort; returns the finite ones' first.
  int64_t place_the_others_in_order(Scalar* output, int64_t* permutation, int32_t* blocks) const {
    const Scalar value[] = {0, 0, std::numeric_limits<Scalar>::quiet_NaN(), -kInfinity, kInfinity};
    int64_t next[] = {0, unmasked_, counted_, 0, below_ + finite_};  // by -block_number
    for (int64_t i = 0; i < size_; ++i) {
      const Kind kind = kinds_.data()[i];
      if (kind == Kind::kFinite) continue;
      const int number = -block_number(kind);
      const int64_t place = next[number]++;
      output[place] = value[number];
      permutation[place] = i;
      blocks[place] = block_number(kind);
    }
    return below_;
  }

  template <class Projection>
  void values_of_block(const IsotonicBlock& block, double strength, double shrink, Scalar* values) {
    const Scalar* sorted = sorted_.data() + block.begin;
    const double first = sorted[0];
    if (block.size == 1) {
      values[0] = static_cast<Scalar>(first * unit_);
      return;
    }
    const double unit = unit_ * shrink;  // in which no difference overflows
    const auto coordinate = [=](int64_t i) {
      return Projection::value_coordinate((static_cast<double>(sorted[i]) - first) * unit);
    };
    const double mean = lane_sum(block.size, coordinate) / static_cast<double>(block.size);
    const double first_value = Projection::first_value(block, mean, strength);
    // Values don't overflow, but the places may.
    const double half = std::isinf(strength * static_cast<double>(block.size - 1)) ? 0.5 : 1;
    for (int64_t k = 0; k < block.size; ++k) {
      const double above_first = half * first_value + half * strength * static_cast<double>(k);
      values[k] = static_cast<Scalar>((half * first * unit + above_first) / (half * shrink));
    }
  }

  int64_t size_ = 0, finite_ = 0, counted_ = 0, unmasked_ = 0, below_ = 0, above_ = 0;
  bool packed_ = false;  // some items don't count, or lie apart: the finite ones are copied
  double unit_ = 1;      // what the sorted values were divided by
  double scale_ = 1, shift_ = 0;
  AlignedArray<Kind> kinds_;
  AlignedArray<Scalar> values_, sorted_, spare_sorted_;
  AlignedArray<uint32_t> places_, order_, spare_order_;
  AlignedArray<IsotonicBlock> blocks_;
  AlignedArray<double> coordinates_;
};

}  // namespace rank_relax::cpu
