#pragma once

#include <cstdint>
#include <vector>

#include "core/row/center.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The finite values of a row around their centre (core/row/center.h), copied if that is not 0.
template <class Scalar>
class CenteredRow {
 public:
  const FiniteRow<Scalar>& set_row(const FiniteRow<Scalar>& row) {
    centered_ = row;
    center_ = row.count > 0 ? center_of(row.minimum, row.maximum) : 0;
    if (center_ == 0) return centered_;
    values_.resize(row.count);
    for (int64_t i = 0; i < row.count; ++i) values_[i] = row.values[i] - center_;
    centered_ = {values_.data(), row.count, row.minimum - center_, row.maximum - center_};
    return centered_;
  }

  double center() const { return center_; }

 private:
  FiniteRow<Scalar> centered_ = {nullptr, 0, 0, 0};
  Scalar center_ = 0;
  std::vector<Scalar> values_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
