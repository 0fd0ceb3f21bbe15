// The kernels of one instruction set, which the file that includes this has begun.

#include "cpu/batch/soft_quantile.h"
#include "cpu/batch/soft_sort.h"
#include "cpu/batch/soft_topk.h"

namespace rank_relax::cpu {

template struct SoftSortKernels<InstructionSet, float>;
template struct SoftSortKernels<InstructionSet, double>;
template struct SoftQuantileKernels<InstructionSet, float>;
template struct SoftQuantileKernels<InstructionSet, double>;
template struct SoftTopKKernels<InstructionSet, float>;
template struct SoftTopKKernels<InstructionSet, double>;

}  // namespace rank_relax::cpu
