#pragma once

#include <string_view>

namespace rank_relax::cpu {

// The instruction sets that kernels are compiled for. Each is a template argument of everything
// that is compiled more than once, so that no two copies share a symbol.
struct Baseline {
  static constexpr const char* name = "baseline";
};
struct Avx2 {  // with FMA
  static constexpr const char* name = "avx2";
};
struct Avx512 {  // F, DQ, VL and BW
  static constexpr const char* name = "avx512";
};

// RANK_RELAX_PORTABLE leaves the baseline alone, as other machines and compilers have it.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(RANK_RELAX_PORTABLE)
#define RANK_RELAX_X86 1
#endif

/// The name of the set in use: the widest that this machine has, or what the environment variable
/// RANK_RELAX_INSTRUCTION_SET says, read at the first call. Throws std::invalid_argument if that is
/// not one of this machine's.
std::string_view instruction_set();

/// visitor(InstructionSet{}) for the set in use.
template <class Visitor>
void visit_instruction_set(const Visitor& visitor) {
#ifdef RANK_RELAX_X86
  const std::string_view name = instruction_set();
  if (name == Avx512::name) return visitor(Avx512{});
  if (name == Avx2::name) return visitor(Avx2{});
#endif
  visitor(Baseline{});
}

}  // namespace rank_relax::cpu
