#include "cpu/kernels_of.h"

template struct rank_relax::cpu::Kernels<rank_relax::cpu::Baseline, float>;
template struct rank_relax::cpu::Kernels<rank_relax::cpu::Baseline, double>;
