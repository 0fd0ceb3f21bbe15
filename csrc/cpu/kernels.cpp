#include "cpu/kernels.h"

#include "core/projection/permutahedron.h"
#include "cpu/permutahedron.h"
#include "cpu/soft_rank.h"
#include "cpu/spearman_loss.h"

// Each kernel in the instruction set of this machine, or by projection if that is its method.
namespace rank_relax::cpu {

template <class Scalar>
void soft_rank(const Batch<Scalar>& batch, double regularization_strength, std::string_view method,
               Scalar* output, const ParallelFor& parallel_for) {
  if (Projections::contains(method)) {
    return permutahedron_rank(batch, regularization_strength, method, false, output, nullptr,
                              parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    Kernels<decltype(isa), Scalar>::soft_rank(batch, regularization_strength, method, output,
                                              parallel_for);
  });
}

template <class Scalar>
void soft_rank_derivative(const Batch<Scalar>& batch, const Rows<Scalar>* directions, int order,
                          double regularization_strength, std::string_view method, Scalar* output,
                          const ParallelFor& parallel_for) {
  if (Projections::contains(method)) {
    if (order == 0) {
      return permutahedron_rank(batch, regularization_strength, method, true, output, nullptr,
                                parallel_for);
    }
    return permutahedron_rank_derivative(batch, {}, directions, order, regularization_strength,
                                         method, output, parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    Kernels<decltype(isa), Scalar>::soft_rank_derivative(
        batch, directions, order, regularization_strength, method, output, parallel_for);
  });
}

template <class Scalar>
void spearman_loss_forward(const Batch<Scalar>& batch, const Targets<Scalar>& targets,
                           double regularization_strength, std::string_view method, Scalar* loss,
                           Scalar* rank_gradient_predictions, Scalar* rank_gradient_targets,
                           const ParallelFor& parallel_for) {
  if (Projections::contains(method)) {
    return permutahedron_spearman_forward(batch, targets, regularization_strength, method, loss,
                                          rank_gradient_predictions, rank_gradient_targets,
                                          parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    Kernels<decltype(isa), Scalar>::spearman_loss_forward(batch, targets, regularization_strength,
                                                          method, loss, rank_gradient_predictions,
                                                          rank_gradient_targets, parallel_for);
  });
}

template <class Scalar>
void spearman_loss_backward(const Batch<Scalar>& batch, const Rows<Scalar>& grad_output,
                            const Rows<Scalar>& rank_gradient, double regularization_strength,
                            std::string_view method, Scalar* output,
                            const ParallelFor& parallel_for) {
  if (Projections::contains(method)) {
    return permutahedron_spearman_backward(batch, grad_output, rank_gradient,
                                           regularization_strength, method, output, parallel_for);
  }
  visit_instruction_set([&](auto isa) {
    Kernels<decltype(isa), Scalar>::spearman_loss_backward(
        batch, grad_output, rank_gradient, regularization_strength, method, output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                         \
  template void soft_rank(const Batch<Scalar>&, double, std::string_view, Scalar*,             \
                          const ParallelFor&);                                                 \
  template void soft_rank_derivative(const Batch<Scalar>&, const Rows<Scalar>*, int, double,   \
                                     std::string_view, Scalar*, const ParallelFor&);           \
  template void spearman_loss_forward(const Batch<Scalar>&, const Targets<Scalar>&, double,    \
                                      std::string_view, Scalar*, Scalar*, Scalar*,             \
                                      const ParallelFor&);                                     \
  template void spearman_loss_backward(const Batch<Scalar>&, const Rows<Scalar>&,              \
                                       const Rows<Scalar>&, double, std::string_view, Scalar*, \
                                       const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
