#include "cpu/soft_topk.h"

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void topk(const SoftBatch<Scalar>& batch, const Rows<double>& k, Scalar* chosen, double* densities,
          const ParallelFor& parallel_for) {
  if (batch.regularization_strength < kWeakest) {
    return topk(InLargeUnit<Scalar>(batch).batch(), k, chosen, densities, parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftTopKKernels<decltype(set), Scalar>::forward(batch, k, chosen, densities, parallel_for);
  });
}

template <class Scalar>
void topk_product(const SoftBatch<Scalar>& batch, const Rows<double>& densities, Scalar* output,
                  const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto set) {
    SoftTopKKernels<decltype(set), Scalar>::product(batch, densities, output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                \
  template void topk(const SoftBatch<Scalar>&, const Rows<double>&, Scalar*, double*, \
                     const ParallelFor&);                                             \
  template void topk_product(const SoftBatch<Scalar>&, const Rows<double>&, Scalar*,  \
                             const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
