#pragma once

#include <type_traits>
#include <vector>

#include "cpu/isa/instruction_set.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The finite values of one row after another as numbers of another kind, copied if it is another.
template <class Number, class Scalar>
class ConvertedRow {
 public:
  /// Stays until the next.
  FiniteRow<Number> of(const FiniteRow<Scalar>& row) {
    if constexpr (std::is_same_v<Number, Scalar>) {
      return row;
    } else {
      numbers_.assign(row.values, row.values + row.count);
      return {numbers_.data(), row.count, row.minimum, row.maximum};
    }
  }

 private:
  std::vector<Number> numbers_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
