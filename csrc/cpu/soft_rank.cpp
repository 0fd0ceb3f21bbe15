#include "cpu/soft_rank.h"

#include "core/projection/permutahedron.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/projection/permutahedron.h"

namespace rank_relax::cpu {

template <class Scalar>
void soft_rank(const Batch<Scalar>& batch, double regularization_strength, std::string_view method,
               Scalar* output, const ParallelFor& parallel_for) {
  if (Projections::contains(method)) {
    return permutahedron_rank(batch, regularization_strength, method, false, output, nullptr,
                              parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftRankKernels<decltype(set), Scalar>::forward(batch, regularization_strength, method, output,
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
  visit_instruction_set([&](auto set) {
    SoftRankKernels<decltype(set), Scalar>::derivative(
        batch, directions, order, regularization_strength, method, output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                       \
  template void soft_rank(const Batch<Scalar>&, double, std::string_view, Scalar*,           \
                          const ParallelFor&);                                               \
  template void soft_rank_derivative(const Batch<Scalar>&, const Rows<Scalar>*, int, double, \
                                     std::string_view, Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
