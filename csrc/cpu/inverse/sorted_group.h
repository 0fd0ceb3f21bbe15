#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/inverse/row_group.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/rows.h"
#include "cpu/sort/sorted_lanes.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// A RowGroup, sorted.
template <class Cdf, class Scalar>
class SortedGroup : public RowGroup<Cdf, Scalar> {
  using Group = RowGroup<Cdf, Scalar>;

 public:
  using Group::Group;

  /// As that of the group.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row, double items_a_box) {
    if (!Group::set_rows(input, first_row, items_a_box)) return false;
    double strengths[Group::kRows];
    std::fill_n(strengths, Group::kRows, this->strength());
    sorted_.set_rows(this->values(), this->size(), strengths);
    return true;
  }

  const SortedLanes<Scalar>& sorted() const { return sorted_; }

 private:
  SortedLanes<Scalar> sorted_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
