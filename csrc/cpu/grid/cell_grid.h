#pragma once

#include <cmath>
#include <cstdint>

#include "core/row/grid_placement.h"
#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

// Cells of one width lie around its multiples from an anchor (core/row/grid_placement.h).

/// Cells in double.
template <class Scalar>
class DoubleCellGrid {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Wide = Widened<Scalar>;

 public:
  DoubleCellGrid(const FiniteRow<Scalar>& row, double scaled_width, double regularization_strength)
      : grid_(grid_placement(row.minimum, row.maximum, scaled_width, regularization_strength)),
        cells_(grid_.boxes()) {}

  int64_t cells() const { return cells_; }

  // The middle of the i-th cell lies at origin + (first_position + i) (width + width_rest).
  double origin() const { return grid_.anchor; }
  double first_position() const { return grid_.first; }
  double width() const { return grid_.width; }
  double width_rest() const { return grid_.width_rest; }

  /// The coordinates, in [-1, 1] or little more, of the values from there on in their cells, and
  /// where the cells begin in an array with kRow numbers for each.
  template <int kRow>
  [[gnu::always_inline]] V place(const Scalar* from, int32_t* offsets) const {
    W x[Wide::kParts], coordinate[Wide::kParts];
    Wide::load(from, x);
    for (int part = 0; part < Wide::kParts; ++part) {
      const W from_anchor = x[part] - W::broadcast(grid_.anchor);
      const W position = scaled(from_anchor);
      const W nearest = round(position);
      if constexpr (sizeof(Scalar) == 4) {  // in double the position is exact enough
        coordinate[part] = (position - nearest) * W::broadcast(2);
      } else {
        const W rest = exact_remainder(nearest, W::broadcast(grid_.width), from_anchor);
        const W remainder = exact_remainder(nearest, W::broadcast(grid_.width_rest), rest);
        coordinate[part] = scaled(remainder) * W::broadcast(2);
      }
      // Within bounds though another thread should write to the values meanwhile.
      const W cell = smaller(larger(nearest - W::broadcast(grid_.first), W::broadcast(0)),
                             W::broadcast(static_cast<double>(cells_ - 1)));
      (cell * W::broadcast(kRow)).store_int32(offsets + part * W::kLanes);
    }
    return Wide::narrow(coordinate);
  }

 private:
  /// In units of the width.
  [[gnu::always_inline]] W scaled(W x) const {
    return x * W::broadcast(grid_.strength) * W::broadcast(grid_.per_scaled_width);
  }

  GridPlacement grid_;
  int64_t cells_;
};

/// Cells in float32, in half the time, for rows whose cells are few enough.
class SingleCellGrid {
  using V = Vector<float>;

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

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
