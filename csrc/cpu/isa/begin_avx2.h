// From here to isa/end.h the compiler uses the instruction set AVX2 with FMA, in a namespace of its
// name. Once in a file, before anything else of the kernels.

#define RANK_RELAX_ISA avx2
#include "cpu/isa/shared_headers.h"

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#include "cpu/isa/avx2.h"
