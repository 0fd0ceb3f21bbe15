#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "cpu/finite_row.h"
#include "cpu/vector/vector.h"

namespace rank_relax::cpu {

// Cells of one width lie around its multiples from an anchor. The anchor 0 makes the remainder of a
// value exact, without which the place in a cell would be no better than the rounding of
// (x - x_min) α.

/// Cells in double.
template <class Isa, class Scalar>
class DoubleCellGrid {
  using V = Vector<Isa, Scalar>;
  using W = Vector<Isa, double>;
  using Wide = Widened<Isa, Scalar>;

 public:
  /// Where values are too far from 0 beside their spread for whole numbers of cells, they are so
  /// close to one another that their difference from the minimum is exact, and that is the anchor.
  DoubleCellGrid(const FiniteRow<Scalar>& row, double scaled_width,
                 double regularization_strength) {
    const double minimum = row.minimum, maximum = row.maximum;
    per_width_ = regularization_strength / scaled_width;
    width_ = scaled_width / regularization_strength;
    width_rest_ =
        std::fma(-width_, regularization_strength, scaled_width) / regularization_strength;
    if (std::isinf(2 * per_width_)) {  // only equal values are within reach of one another
      per_width_ = first_ = 0;
      anchor_ = minimum;
      cells_ = 1;
      return;
    }
    constexpr double kWhole = 1LL << 46;  // further out a position is rounded to too much of a cell
    const double farthest = std::max(std::abs(minimum), std::abs(maximum)) * per_width_;
    anchor_ = farthest < kWhole ? 0 : minimum;
    first_ = std::nearbyint((minimum - anchor_) * per_width_);
    cells_ = static_cast<int64_t>(std::nearbyint((maximum - anchor_) * per_width_) - first_) + 1;
  }

  int64_t cells() const { return cells_; }

  // The middle of the i-th cell lies at origin + (first_position + i) (width + width_rest).
  double origin() const { return anchor_; }
  double first_position() const { return first_; }
  double width() const { return width_; }
  double width_rest() const { return width_rest_; }

  /// The coordinates, in [-1, 1] or little more, of the values from there on in their cells, and
  /// where the cells begin in an array with kRow numbers for each.
  template <int kRow>
  [[gnu::always_inline]] V place(const Scalar* from, int32_t* offsets) const {
    W x[Wide::kParts], coordinate[Wide::kParts];
    Wide::load(from, x);
    for (int part = 0; part < Wide::kParts; ++part) {
      const W from_anchor = x[part] - W::broadcast(anchor_);
      const W position = from_anchor * W::broadcast(per_width_);
      const W nearest = round(position);
      if constexpr (sizeof(Scalar) == 4) {  // in double the position is exact enough
        coordinate[part] = (position - nearest) * W::broadcast(2);
      } else {
        const W rest = exact_remainder(nearest, W::broadcast(width_), from_anchor);
        coordinate[part] = exact_remainder(nearest, W::broadcast(width_rest_), rest) *
                           W::broadcast(2 * per_width_);
      }
      // Within bounds though another thread should write to the values meanwhile.
      const W cell = smaller(larger(nearest - W::broadcast(first_), W::broadcast(0)),
                             W::broadcast(static_cast<double>(cells_ - 1)));
      (cell * W::broadcast(kRow)).store_int32(offsets + part * W::kLanes);
    }
    return Wide::narrow(coordinate);
  }

 private:
  double per_width_, width_, width_rest_;  // cells for a unit of x; their width in x, in two parts
  double anchor_, first_;
  int64_t cells_;
};

/// Cells in float32, in half the time, for rows whose cells are few enough.
template <class Isa>
class SingleCellGrid {
  using V = Vector<Isa, float>;

 public:
  SingleCellGrid(const FiniteRow<float>& row, double scaled_width, double regularization_strength) {
    const double width = scaled_width / regularization_strength;
    width_ = static_cast<float>(width);
    width_rest_ = static_cast<float>(width - width_);
    per_width_ = static_cast<float>(1 / width);
    // The numbers that place() gives to the ends: rounding keeps order, so others lie between.
    first_ = std::nearbyint(row.minimum * per_width_);
    const float last = std::nearbyint(row.maximum * per_width_);
    const bool in_range = 1e-30f < width_ && width_ < 1e30f;
    suits_ = V::kFuses && in_range && -kMostCells < first_ && last < kMostCells;
    cells_ = suits_ ? static_cast<int64_t>(last - first_) + 1 : 0;
  }

  bool suits() const { return suits_; }
  int64_t cells() const { return cells_; }

  // As in DoubleCellGrid.
  double origin() const { return 0; }
  double first_position() const { return first_; }
  double width() const { return width_; }
  double width_rest() const { return width_rest_; }

  /// As in DoubleCellGrid.
  template <int kRow>
  [[gnu::always_inline]] V place(const float* from, int32_t* offsets) const {
    const V x = V::load(from);
    const V nearest = round(x * V::broadcast(per_width_));
    const V rest = exact_remainder(nearest, V::broadcast(width_), x);
    const V coordinate = exact_remainder(nearest, V::broadcast(width_rest_), rest);
    const V cell = smaller(larger(nearest - V::broadcast(first_), V::broadcast(0)),
                           V::broadcast(static_cast<float>(cells_ - 1)));
    (cell * V::broadcast(kRow)).store_int32(offsets);
    return coordinate * V::broadcast(2 * per_width_);
  }

 private:
  // So far from 0 the number of a cell is rounded to 1/64 of one.
  static constexpr float kMostCells = 1 << 17;

  float per_width_, width_, width_rest_;
  float first_;
  int64_t cells_;
  bool suits_;
};

}  // namespace rank_relax::cpu
