#include "cpu/soft_quantile.h"

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

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
  visit_instruction_set([&](auto set) {
    SoftQuantileKernels<decltype(set), Scalar>::at_levels(
        batch, levels, level_count, regularization_strength, method, points, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                         \
  template void quantile_at_levels(const Batch<Scalar>&, const Rows<double>&, int64_t, double, \
                                   std::string_view, double*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
