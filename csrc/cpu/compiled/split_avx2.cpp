#include "cpu/isa/instruction_set.h"

#ifdef RANK_RELAX_X86

#include "cpu/isa/shared_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "cpu/isa/avx2.h"
//
#include "cpu/split_row_kernels_of.h"

template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Avx2, float>;
template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Avx2, double>;

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
