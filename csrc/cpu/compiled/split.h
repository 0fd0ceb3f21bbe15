// The kernels of one instruction set, which the file that includes this has begun.

#include "cpu/batch/split_rank.h"

namespace rank_relax::cpu {

template struct SplitRankKernels<InstructionSet, float>;
template struct SplitRankKernels<InstructionSet, double>;

}  // namespace rank_relax::cpu
