#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/row/kind.h"
#include "core/row/row_counts.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/row_statistics.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// One row after another, taken apart by kind, with the memory that this needs.
template <class Scalar>
class RowItems {
 public:
  /// Takes in a row, which must stay as it is.
  void set_row(const MaskedRow<Scalar>& row, const ParallelFor& parallel_for) {
    const Row<Scalar>& items = row.items;
    size_ = row.size;
    below_ = above_ = 0;
    if (items.stride == 1 && row.mask.data == nullptr && size_ > 0) {
      const Extent<Scalar> whole = extent(items.data, size_, parallel_for);
      if (whole.all_finite) {
        packed_ = false;
        counted_ = unmasked_ = size_;
        finite_ = {items.data, size_, whole.minimum, whole.maximum};
        return;
      }
    }
    pack(row);
  }

  int64_t size() const { return size_; }

  /// Whether some items don't count, or lie apart, so that the finite ones have been copied.
  bool packed() const { return packed_; }
  const FiniteRow<Scalar>& finite() const { return finite_; }

  Kind kind(int64_t i) const { return packed_ ? kinds_[i] : Kind::kFinite; }
  bool masked(int64_t i) const { return kind(i) == Kind::kMasked; }

  /// Items that are neither masked nor NaN: the n of every formula.
  int64_t counted() const { return counted_; }
  int64_t unmasked() const { return unmasked_; }
  int64_t below() const { return below_; }  // -inf
  int64_t above() const { return above_; }  // inf

  RowCounts counts() const {
    return {static_cast<double>(finite_.count), static_cast<double>(below_),
            static_cast<double>(above_)};
  }

  /// Largest less smallest finite value; inf if that overflows, 0 without any.
  double spread() const {
    return static_cast<double>(finite_.maximum) - static_cast<double>(finite_.minimum);
  }

 private:
  void pack(const MaskedRow<Scalar>& row) {
    packed_ = true;
    kinds_.resize(size_);
    values_.resize(size_);
    counted_ = unmasked_ = 0;
    Scalar minimum = std::numeric_limits<Scalar>::infinity(), maximum = -minimum;
    int64_t count = 0;
    for (int64_t i = 0; i < size_; ++i) {
      const Scalar value = row.items[i];
      const Kind kind = row.counts(i) ? kind_of(value) : Kind::kMasked;
      kinds_[i] = kind;
      unmasked_ += kind != Kind::kMasked;
      counted_ += kind != Kind::kMasked && kind != Kind::kNan;
      below_ += kind == Kind::kBelow;
      above_ += kind == Kind::kAbove;
      if (kind != Kind::kFinite) continue;
      values_[count++] = value;
      minimum = std::min(minimum, value);
      maximum = std::max(maximum, value);
    }
    if (count == 0) minimum = maximum = 0;
    finite_ = {values_.data(), count, minimum, maximum};
  }

  int64_t size_ = 0, counted_ = 0, unmasked_ = 0, below_ = 0, above_ = 0;
  FiniteRow<Scalar> finite_ = {nullptr, 0, 0, 0};
  bool packed_ = false;
  std::vector<Kind> kinds_;
  std::vector<Scalar> values_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
