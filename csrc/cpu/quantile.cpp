#include "cpu/quantile.h"

#include <array>
#include <vector>

#include "cpu/quantile_kernels.h"

// Each kernel in the instruction set of this machine.
namespace rank_relax::cpu {

namespace {

// At a weaker strength 1/α overflows, and with it the widths of boxes, though points near the
// values need not. Such rows are taken in a unit of 2^64, in which α is 2^64 times as large: what a
// value loses to underflow is nothing beside 1/α.
constexpr double kWeakest = 1e-307;
constexpr double kLargeUnit = 0x1p64;

/// A batch in that unit.
template <class Scalar>
class InLargeUnit {
 public:
  explicit InLargeUnit(const Batch<Scalar>& batch)
      : batch_(batch), sizes_{batch.count, batch.size}, strides_{batch.size, 1} {
    values_.reserve(batch.count * batch.size);
    for (int64_t row = 0; row < batch.count; ++row) {
      const Row<Scalar> input = batch.input.row(row);
      for (int64_t i = 0; i < batch.size; ++i) {
        values_.push_back(static_cast<Scalar>(input[i] / kLargeUnit));
      }
    }
    batch_.input = {values_.data(), sizes_.data(), strides_.data(), 2};
  }
  InLargeUnit(const InLargeUnit&) = delete;

  const Batch<Scalar>& batch() const { return batch_; }

 private:
  Batch<Scalar> batch_;
  std::vector<Scalar> values_;
  std::array<int64_t, 2> sizes_, strides_;
};

/// Results in that unit, in the unit of the values.
template <class T>
void leave_large_unit(T* results, int64_t count) {
  if (results == nullptr) return;
  for (int64_t i = 0; i < count; ++i) results[i] = static_cast<T>(results[i] * kLargeUnit);
}

}  // namespace

template <class Scalar>
void quantile_sort(const Batch<Scalar>& batch, double regularization_strength,
                   std::string_view method, Scalar* values, double* points, double* densities,
                   const ParallelFor& parallel_for) {
  if (regularization_strength < kWeakest) {
    const InLargeUnit<Scalar> rows(batch);
    quantile_sort(rows.batch(), regularization_strength * kLargeUnit, method, values, points,
                  densities, parallel_for);
    leave_large_unit(values, batch.count * batch.size);
    leave_large_unit(points, batch.count * batch.size);
    return;
  }
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::sort(batch, regularization_strength, method, values,
                                                 points, densities, parallel_for);
  });
}

template <class Scalar>
void quantile_sort_product(const Batch<Scalar>& batch, const double* points,
                           const double* densities, const Rows<Scalar>& vector, bool transposed,
                           double regularization_strength, std::string_view method, Scalar* output,
                           const ParallelFor& parallel_for) {
  if (regularization_strength < kWeakest) {
    const InLargeUnit<Scalar> rows(batch);
    std::vector<double> in_unit(points, points + batch.count * batch.size);
    for (double& point : in_unit) point /= kLargeUnit;
    return quantile_sort_product(rows.batch(), in_unit.data(), densities, vector, transposed,
                                 regularization_strength * kLargeUnit, method, output,
                                 parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::sort_product(batch, points, densities, vector,
                                                         transposed, regularization_strength,
                                                         method, output, parallel_for);
  });
}

template <class Scalar>
void quantile_at_levels(const Batch<Scalar>& batch, const Rows<double>& levels, int64_t level_count,
                        double regularization_strength, std::string_view method, double* points,
                        const ParallelFor& parallel_for) {
  if (regularization_strength < kWeakest) {
    const InLargeUnit<Scalar> rows(batch);
    quantile_at_levels(rows.batch(), levels, level_count, regularization_strength * kLargeUnit,
                       method, points, parallel_for);
    return leave_large_unit(points, batch.count * level_count);
  }
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::at_levels(
        batch, levels, level_count, regularization_strength, method, points, parallel_for);
  });
}

template <class Scalar>
void topk(const Batch<Scalar>& batch, const Rows<double>& k, double regularization_strength,
          std::string_view method, Scalar* chosen, double* densities,
          const ParallelFor& parallel_for) {
  if (regularization_strength < kWeakest) {
    const InLargeUnit<Scalar> rows(batch);
    return topk(rows.batch(), k, regularization_strength * kLargeUnit, method, chosen, densities,
                parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::topk(batch, k, regularization_strength, method, chosen,
                                                 densities, parallel_for);
  });
}

template <class Scalar>
void topk_product(const Batch<Scalar>& batch, const Rows<double>& densities,
                  double regularization_strength, Scalar* output, const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::topk_product(batch, densities, regularization_strength,
                                                         output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                             \
  template void quantile_sort(const Batch<Scalar>&, double, std::string_view, Scalar*, double*,    \
                              double*, const ParallelFor&);                                        \
  template void quantile_sort_product(const Batch<Scalar>&, const double*, const double*,          \
                                      const Rows<Scalar>&, bool, double, std::string_view,         \
                                      Scalar*, const ParallelFor&);                                \
  template void quantile_at_levels(const Batch<Scalar>&, const Rows<double>&, int64_t, double,     \
                                   std::string_view, double*, const ParallelFor&);                 \
  template void topk(const Batch<Scalar>&, const Rows<double>&, double, std::string_view, Scalar*, \
                     double*, const ParallelFor&);                                                 \
  template void topk_product(const Batch<Scalar>&, const Rows<double>&, double, Scalar*,           \
                             const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
