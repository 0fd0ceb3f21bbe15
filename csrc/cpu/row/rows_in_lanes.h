#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/isa/vector.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// columns[k], lane i: rows[i * row_size + k], for as many columns as lanes.
template <class Scalar>
void transpose(const Scalar* rows, int64_t row_size, Vector<Scalar>* columns) {
  using V = Vector<Scalar>;
  int32_t each[V::kLanes];
  for (int row = 0; row < V::kLanes; ++row) each[row] = row;
  V::template load_columns<V::kLanes>(rows, row_size, each, columns);
}

/// items[j], lane by lane: the j-th items of as many rows as a vector has lanes. Whole blocks of
/// items are written, those beyond the last with zeros.
template <class Scalar>
void load_in_lanes(const Rows<Scalar>& rows, int64_t first_row, int64_t size,
                   Vector<Scalar>* items) {
  constexpr int kRows = Vector<Scalar>::kLanes;
  static_assert(kRows >= 2);
  Row<Scalar> each[kRows];
  for (int row = 0; row < kRows; ++row) each[row] = rows.row(first_row + row);
  const int64_t step = each[1].data - each[0].data;
  bool even = each[0].stride == 1;
  for (int row = 0; row < kRows; ++row) {
    even = even && each[row].data - each[0].data == row * step;
  }
  for (int64_t j = 0; j < size; j += kRows) {
    const int64_t count = std::min<int64_t>(size - j, kRows);
    if (even && count == kRows) {
      transpose(each[0].data + j, step, items + j);
      continue;
    }
    Scalar block[kRows * kRows] = {};
    for (int row = 0; row < kRows; ++row) {
      for (int64_t item = 0; item < count; ++item) {
        block[row * kRows + item] = each[row][j + item];
      }
    }
    transpose(block, kRows, items + j);
  }
}

/// Extremes of rows in lanes, lane by lane, and whether all of their items are finite.
template <class Scalar>
struct ExtentOfLanes {
  Vector<Scalar> lowest, highest;
  bool all_finite;
};
template <class Scalar>
ExtentOfLanes<Scalar> extent_of_lanes(const Vector<Scalar>* items, int64_t size) {
  Vector<Scalar> lowest = items[0], highest = lowest;
  Vector<Scalar> zero = Vector<Scalar>::broadcast(0);
  const Vector<Scalar> none = zero;
  for (int64_t j = 0; j < size; ++j) {
    lowest = smaller(lowest, items[j]);
    highest = larger(highest, items[j]);
    zero = multiply_add(items[j], none, zero);  // NaN of what is not finite
  }
  return {lowest, highest, sum_of_lanes(zero) == 0};
}

/// output[row * size + j] = items[j], lane `row`. Reads whole blocks of items.
template <class Scalar>
void store_from_lanes(const Vector<Scalar>* items, int64_t size, Scalar* output) {
  constexpr int kRows = Vector<Scalar>::kLanes;
  for (int64_t j = 0; j < size; j += kRows) {
    const int64_t count = std::min<int64_t>(size - j, kRows);
    Vector<Scalar> rows[kRows];
    transpose(reinterpret_cast<const Scalar*>(items + j), kRows, rows);
    Scalar* to = output + j;
    for (int row = 0; row < kRows; ++row, to += size) {
      if (count == kRows) {
        rows[row].store(to);
      } else {
        rows[row].store_first(to, static_cast<int>(count));
      }
    }
  }
}

/// The number of items with which blocks of rows in lanes are whole.
template <class Scalar>
int64_t whole_blocks(int64_t size) {
  constexpr int64_t kRows = Vector<Scalar>::kLanes;
  return (size + kRows - 1) / kRows * kRows;
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
