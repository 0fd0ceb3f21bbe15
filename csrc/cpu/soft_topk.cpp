#include "cpu/soft_topk.h"

#include "cpu/inverse/large_unit.h"
#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void topk(const Batch<Scalar>& batch, const Rows<double>& k, double regularization_strength,
          std::string_view method, Scalar* chosen, double* densities,
          const ParallelFor& parallel_for) {
  if (regularization_strength < kWeakest) {
    const InLargeUnit<Scalar> rows(batch);
    return topk(rows.batch(), k, regularization_strength * kLargeUnit, method, chosen, densities,
                parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftTopKKernels<decltype(set), Scalar>::forward(batch, k, regularization_strength, method,
                                                    chosen, densities, parallel_for);
  });
}

template <class Scalar>
void topk_product(const Batch<Scalar>& batch, const Rows<double>& densities,
                  double regularization_strength, Scalar* output, const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto set) {
    SoftTopKKernels<decltype(set), Scalar>::product(batch, densities, regularization_strength,
                                                    output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                             \
  template void topk(const Batch<Scalar>&, const Rows<double>&, double, std::string_view, Scalar*, \
                     double*, const ParallelFor&);                                                 \
  template void topk_product(const Batch<Scalar>&, const Rows<double>&, double, Scalar*,           \
                             const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
