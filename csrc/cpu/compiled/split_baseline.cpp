#include "cpu/split_row_kernels_of.h"

template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Baseline, float>;
template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Baseline, double>;
