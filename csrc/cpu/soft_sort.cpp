#include "cpu/soft_sort.h"

#include <vector>

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

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
  visit_instruction_set([&](auto set) {
    SoftSortKernels<decltype(set), Scalar>::forward(batch, regularization_strength, method, values,
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
  visit_instruction_set([&](auto set) {
    SoftSortKernels<decltype(set), Scalar>::product(batch, points, densities, vector, transposed,
                                                    regularization_strength, method, output,
                                                    parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                          \
  template void quantile_sort(const Batch<Scalar>&, double, std::string_view, Scalar*, double*, \
                              double*, const ParallelFor&);                                     \
  template void quantile_sort_product(const Batch<Scalar>&, const double*, const double*,       \
                                      const Rows<Scalar>&, bool, double, std::string_view,      \
                                      Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
