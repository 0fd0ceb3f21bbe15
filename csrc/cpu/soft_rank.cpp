#include "cpu/soft_rank.h"

#include "core/projection/permutahedron.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/projection/permutahedron.h"

namespace rank_relax::cpu {

template <class Scalar>
void soft_rank(const SoftBatch<Scalar>& batch, Scalar* output, const ParallelFor& parallel_for) {
  if (Projections::contains(batch.method)) {
    return permutahedron_rank(batch, false, output, nullptr, parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftRankKernels<decltype(set), Scalar>::forward(batch, output, parallel_for);
  });
}

template <class Scalar>
void soft_rank_derivative(const SoftBatch<Scalar>& batch, const Rows<Scalar>* directions, int order,
                          Scalar* output, const ParallelFor& parallel_for) {
  if (Projections::contains(batch.method)) {
    if (order == 0) return permutahedron_rank(batch, true, output, nullptr, parallel_for);
    return permutahedron_rank_derivative(batch, {}, directions, order, output, parallel_for);
  }
  visit_instruction_set([&](auto set) {
    SoftRankKernels<decltype(set), Scalar>::derivative(batch, directions, order, output,
                                                       parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                            \
  template void soft_rank(const SoftBatch<Scalar>&, Scalar*, const ParallelFor&);                 \
  template void soft_rank_derivative(const SoftBatch<Scalar>&, const Rows<Scalar>*, int, Scalar*, \
                                     const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
