#include "cpu/soft_quantile.h"

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void quantile_at_levels(const SoftBatch<Scalar>& batch, const Rows<double>& levels,
                        int64_t level_count, double* points, const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    quantile_at_levels(InLargeUnit<Scalar>(batch).batch(), levels, level_count, points,
                       parallel_for);
    return leave_large_unit(points, batch.count * level_count);
  }
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::at_levels(batch, levels, level_count, points,
                                                          parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                     \
  template void quantile_at_levels(const SoftBatch<Scalar>&, const Rows<double>&, int64_t, \
                                   double*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
