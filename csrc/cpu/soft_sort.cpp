#include "cpu/soft_sort.h"

#include <vector>

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void quantile_sort(const SoftBatch<Scalar>& batch, Scalar* values, double* points,
                   double* densities, const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    quantile_sort(InLargeUnit<Scalar>(batch).batch(), values, points, densities, parallel_for);
    leave_large_unit(values, batch.count * batch.size);
    leave_large_unit(points, batch.count * batch.size);
    return;
  }
  visit_instruction_set([&](auto set) {
    SoftSortKernels<decltype(set), Scalar>::forward(batch, values, points, densities, parallel_for);
  });
}

template <class Scalar>
void quantile_sort_product(const SoftBatch<Scalar>& batch, const SortedPoints& sorted,
                           const Rows<Scalar>& vector, bool transposed, Scalar* output,
                           const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    const std::vector<double> points = in_large_unit(sorted.points, batch.count * batch.size);
    return quantile_sort_product(InLargeUnit<Scalar>(batch).batch(),
                                 {points.data(), sorted.densities}, vector, transposed, output,
                                 parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftSortKernels<decltype(set), Scalar>::product(batch, sorted, vector, transposed, output,
                                                    parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                               \
  template void quantile_sort(const SoftBatch<Scalar>&, Scalar*, double*, double*,   \
                              const ParallelFor&);                                   \
  template void quantile_sort_product(const SoftBatch<Scalar>&, const SortedPoints&, \
                                      const Rows<Scalar>&, bool, Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
