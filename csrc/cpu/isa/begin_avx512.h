// From here to isa/end.h the compiler uses the instruction set AVX-512, in a namespace of its name.
// Once in a file, before anything else of the kernels.

#define RANK_RELAX_ISA avx512
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
