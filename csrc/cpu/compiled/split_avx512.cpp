#include "cpu/isa/instruction_set.h"

#ifdef RANK_RELAX_X86

#include "cpu/isa/shared_headers.h"

#if defined(__clang__)
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC diagnostic ignored "-Wuninitialized"  // false alarms of GCC 12's own intrinsics
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC target("avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")
#endif

#include "cpu/isa/avx512.h"
//
#include "cpu/split_row_kernels_of.h"

template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Avx512, float>;
template struct rank_relax::cpu::SplitRowKernels<rank_relax::cpu::Avx512, double>;

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
