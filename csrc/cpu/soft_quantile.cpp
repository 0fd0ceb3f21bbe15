#include "cpu/soft_quantile.h"

#include <vector>

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void quantiles(const SoftBatch<Scalar>& batch, const Rows<double>& q, int64_t number,
               double* quantiles, double* points, double* densities,
               const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    cpu::quantiles(InLargeUnit<Scalar>(batch).batch(), q, number, quantiles, points, densities,
                   parallel_for);
    leave_large_unit(quantiles, batch.count * number);
    return leave_large_unit(points, batch.count * number);
  }
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::forward(batch, q, number, quantiles, points,
                                                        densities, parallel_for);
  });
}

template <class Scalar>
void quantile_at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels, int64_t number,
                        double* points, const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    quantile_at_levels(InLargeUnit<Scalar>(batch).batch(), levels, number, points, parallel_for);
    return leave_large_unit(points, batch.count * number);
  }
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::at_levels(batch, levels, number, points,
                                                          parallel_for);
  });
}

template <class Scalar>
void quantiles_to_items(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                        const Rows<double>& vector, Scalar* output,
                        const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    const std::vector<double> points = in_large_unit(at.points, batch.count * at.number);
    const LevelPoints there = {points.data(), at.densities, at.number, at.from_centers};
    return quantiles_to_items(InLargeUnit<Scalar>(batch).batch(), there, vector, output,
                              parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::to_items(batch, at, vector, output, parallel_for);
  });
}

template <class Scalar>
void quantiles_to_levels(const SoftBatch<Scalar>& batch, const LevelPoints& at,
                         const Rows<Scalar>& vector, double* output,
                         const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    const std::vector<double> points = in_large_unit(at.points, batch.count * at.number);
    const LevelPoints there = {points.data(), at.densities, at.number, at.from_centers};
    return quantiles_to_levels(InLargeUnit<Scalar>(batch).batch(), there, vector, output,
                               parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::to_levels(batch, at, vector, output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                     \
  template void quantiles(const SoftBatch<Scalar>&, const Rows<double>&, int64_t, double*, \
                          double*, double*, const ParallelFor&);                           \
  template void quantile_at_levels(const SoftBatch<Scalar>&, const Rows<double>&, int64_t, \
                                   double*, const ParallelFor&);                           \
  template void quantiles_to_items(const SoftBatch<Scalar>&, const LevelPoints&,           \
                                   const Rows<double>&, Scalar*, const ParallelFor&);      \
  template void quantiles_to_levels(const SoftBatch<Scalar>&, const LevelPoints&,          \
                                    const Rows<Scalar>&, double*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
