#pragma once

#include <cstdint>
#include <string_view>

namespace rank_relax::cpu {

/// One row, at any stride in elements.
template <class T>
struct Row {
  const T* data;
  int64_t stride;

  const T& operator[](int64_t i) const { return data[i * stride]; }
};

/// A batch of rows at any strides: the last of `dims` dimensions is the row, the others the batch,
/// numbered in row-major order. Borrows `sizes` and `strides`.
template <class T>
struct Rows {
  const T* data = nullptr;  // null: absent (a mask that was not given)
  const int64_t* sizes = nullptr;
  const int64_t* strides = nullptr;
  int64_t dims = 0;

  Row<T> row(int64_t index) const {
    if (data == nullptr) return {nullptr, 0};
    int64_t offset = 0;
    for (int64_t dim = dims - 1; dim-- > 0;) {
      offset += index % sizes[dim] * strides[dim];
      index /= sizes[dim];
    }
    return {data + offset, strides[dims - 1]};
  }
};

/// One row, and which of its items count.
template <class T>
struct MaskedRow {
  Row<T> items;
  Row<uint8_t> mask;  // not 0 where an item counts; null data: all do
  int64_t size;

  bool counts(int64_t i) const { return mask.data == nullptr || mask[i] != 0; }
};

/// What a batched kernel is asked about: `count` rows of `size` items, and which of the items
/// count.
template <class T>
struct Batch {
  int64_t count;
  int64_t size;
  Rows<T> input;
  Rows<uint8_t> mask;  // not 0 where an item counts; absent: all do

  MaskedRow<T> row(int64_t index) const { return {input.row(index), mask.row(index), size}; }
};

/// And how softly items are compared. `method` is one of core/methods.h.
template <class Scalar>
struct SoftBatch : Batch<Scalar> {
  double regularization_strength;
  std::string_view method;
};

}  // namespace rank_relax::cpu
