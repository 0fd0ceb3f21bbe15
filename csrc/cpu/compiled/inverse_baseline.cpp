#include "cpu/quantile_kernels_of.h"

template struct rank_relax::cpu::QuantileKernels<rank_relax::cpu::Baseline, float>;
template struct rank_relax::cpu::QuantileKernels<rank_relax::cpu::Baseline, double>;
