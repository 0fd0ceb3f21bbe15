#pragma once

#include <type_traits>
#include <utility>

#include "cpu/isa/instruction_set.h"

// After the parameters of a lambda, where [[gnu::always_inline]] has no place.
#if defined(__GNUC__)
#define RANK_RELAX_ALWAYS_INLINE __attribute__((always_inline))
#else
#define RANK_RELAX_ALWAYS_INLINE
#endif

namespace rank_relax::cpu::RANK_RELAX_ISA {

template <class Function, int... kIndices>
[[gnu::always_inline]] inline void unroll_over(const Function& function,
                                               std::integer_sequence<int, kIndices...>) {
  (function(std::integral_constant<int, kIndices>{}), ...);
}

/// function(0), ..., function(kCount - 1) with constant arguments and no loop, so that arrays of
/// vectors indexed by them can live in registers.
template <int kCount, class Function>
[[gnu::always_inline]] inline void unroll(const Function& function) {
  unroll_over(function, std::make_integer_sequence<int, kCount>{});
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
