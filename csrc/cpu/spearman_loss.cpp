#include "cpu/spearman_loss.h"

#include "core/projection/permutahedron.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/projection/permutahedron.h"

namespace rank_relax::cpu {

template <class Scalar>
void spearman_loss_forward(const SoftBatch<Scalar>& batch, const Targets<Scalar>& targets,
                           Scalar* loss, Scalar* rank_gradient_predictions,
                           Scalar* rank_gradient_targets, const ParallelFor& parallel_for) {
  if (Projections::contains(batch.method)) {
    return permutahedron_spearman_forward(batch, targets, loss, rank_gradient_predictions,
                                          rank_gradient_targets, parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SpearmanLossKernels<decltype(set), Scalar>::forward(
        batch, targets, loss, rank_gradient_predictions, rank_gradient_targets, parallel_for);
  });
}

template <class Scalar>
void spearman_loss_backward(const SoftBatch<Scalar>& batch, const Rows<Scalar>& grad_output,
                            const Rows<Scalar>& rank_gradient, Scalar* output,
                            const ParallelFor& parallel_for) {
  if (Projections::contains(batch.method)) {
    return permutahedron_spearman_backward(batch, grad_output, rank_gradient, output, parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SpearmanLossKernels<decltype(set), Scalar>::backward(batch, grad_output, rank_gradient, output,
                                                         parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                           \
  template void spearman_loss_forward(const SoftBatch<Scalar>&, const Targets<Scalar>&, Scalar*, \
                                      Scalar*, Scalar*, const ParallelFor&);                     \
  template void spearman_loss_backward(const SoftBatch<Scalar>&, const Rows<Scalar>&,            \
                                       const Rows<Scalar>&, Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
