#include "cpu/soft_count.h"

#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu {

template <class Scalar>
void soft_count(const PointBatch<Scalar>& batch, Scalar* output, const ParallelFor& parallel_for) {
  visit_instruction_set(
      [&](auto set) { SoftCountKernels<decltype(set), Scalar>::sum(batch, output, parallel_for); });
}

template void soft_count(const PointBatch<float>&, float*, const ParallelFor&);
template void soft_count(const PointBatch<double>&, double*, const ParallelFor&);

}  // namespace rank_relax::cpu
