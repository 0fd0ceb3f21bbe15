// The kernels of one instruction set, which the file that includes this has begun.

#include "cpu/batch/soft_count.h"

namespace rank_relax::cpu {

template struct SoftCountKernels<InstructionSet, float>;
template struct SoftCountKernels<InstructionSet, double>;

}  // namespace rank_relax::cpu
