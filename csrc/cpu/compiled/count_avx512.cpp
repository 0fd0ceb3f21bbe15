#include "cpu/isa/x86.h"

#ifdef RANK_RELAX_X86

#include "cpu/isa/begin_avx512.h"
//
#include "cpu/compiled/count.h"
//
#include "cpu/isa/end.h"

#endif
