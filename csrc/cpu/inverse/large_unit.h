#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "cpu/row/rows.h"

namespace rank_relax::cpu {

// At a weaker strength 1/α overflows, and with it the widths of boxes, though points near the
// values need not. Such rows are taken in a unit of 2^64, in which α is 2^64 times as large: what a
// value loses to underflow is nothing beside 1/α.
constexpr double kWeakest = 1e-307;
constexpr double kLargeUnit = 0x1p64;

/// A batch in that unit.
template <class Scalar>
class InLargeUnit {
 public:
  explicit InLargeUnit(const SoftBatch<Scalar>& batch)
      : batch_(batch), sizes_{batch.count, batch.size}, strides_{batch.size, 1} {
    values_.reserve(batch.count * batch.size);
    for (int64_t row = 0; row < batch.count; ++row) {
      const Row<Scalar> input = batch.input.row(row);
      for (int64_t i = 0; i < batch.size; ++i) {
        values_.push_back(static_cast<Scalar>(input[i] / kLargeUnit));
      }
    }
    batch_.input = {values_.data(), sizes_.data(), strides_.data(), 2};
    batch_.regularization_strength *= kLargeUnit;
  }
  InLargeUnit(const InLargeUnit&) = delete;

  const SoftBatch<Scalar>& batch() const { return batch_; }

 private:
  SoftBatch<Scalar> batch_;
  std::vector<Scalar> values_;
  std::array<int64_t, 2> sizes_, strides_;
};

/// Points in that unit.
inline std::vector<double> in_large_unit(const double* points, int64_t count) {
  std::vector<double> there(points, points + count);
  for (double& point : there) point /= kLargeUnit;
  return there;
}

/// Results in that unit, in the unit of the values.
template <class T>
void leave_large_unit(T* results, int64_t count) {
  if (results == nullptr) return;
  for (int64_t i = 0; i < count; ++i) results[i] = static_cast<T>(results[i] * kLargeUnit);
}

}  // namespace rank_relax::cpu
