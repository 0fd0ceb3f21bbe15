// The kernels of one instruction set, which the file that includes this has begun.

#include "cpu/batch/soft_rank.h"
#include "cpu/batch/spearman_loss.h"

namespace rank_relax::cpu {

template struct SoftRankKernels<InstructionSet, float>;
template struct SoftRankKernels<InstructionSet, double>;
template struct SpearmanLossKernels<InstructionSet, float>;
template struct SpearmanLossKernels<InstructionSet, double>;

}  // namespace rank_relax::cpu
