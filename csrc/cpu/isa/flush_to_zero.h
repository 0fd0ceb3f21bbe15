#pragma once

#include "cpu/isa/x86.h"

#ifdef RANK_RELAX_X86
#include <xmmintrin.h>
#endif

namespace rank_relax::cpu {

/// While it lives, results of this thread that would be denormal numbers are 0: they come in
/// microseconds where others take a cycle. Differences of items are none to be taken then: what is
/// not equal may seem so. Only where x86 does so in hardware.
class FlushToZero {
#ifdef RANK_RELAX_X86
 public:
  FlushToZero() : before_(_mm_getcsr()) { _mm_setcsr(before_ | _MM_FLUSH_ZERO_ON); }
  ~FlushToZero() { _mm_setcsr(before_); }
  FlushToZero(const FlushToZero&) = delete;

 private:
  unsigned before_;
#else
 public:
  FlushToZero() {}  // so that it is not an unused variable
#endif
};

}  // namespace rank_relax::cpu
