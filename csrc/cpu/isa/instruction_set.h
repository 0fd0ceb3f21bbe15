#pragma once

#include <string_view>

#include "cpu/isa/x86.h"

/// The instruction set of the file that is compiled, unless isa/begin_*.h says another.
#ifndef RANK_RELAX_ISA
#define RANK_RELAX_ISA baseline
#endif

namespace rank_relax::cpu {

// The instruction sets that kernels are compiled for. What is compiled more than once lies in a
// namespace for each of them, so that no two copies share a symbol.
namespace baseline {
struct InstructionSet {
  static constexpr const char* name = "baseline";
};
}  // namespace baseline
namespace avx2 {
struct InstructionSet {  // with FMA
  static constexpr const char* name = "avx2";
};
}  // namespace avx2
namespace avx512 {
struct InstructionSet {  // F, DQ, VL and BW
  static constexpr const char* name = "avx512";
};
}  // namespace avx512

// A file is compiled for one set, whose names are the only ones that it sees.
using namespace RANK_RELAX_ISA;

/// The name of the set in use: the widest that this machine has, or what the environment variable
/// RANK_RELAX_INSTRUCTION_SET says, read at the first call. Throws std::invalid_argument if that is
/// not one of this machine's.
std::string_view instruction_set();

/// visitor(InstructionSet{}) for the set in use.
template <class Visitor>
void visit_instruction_set(const Visitor& visitor) {
#ifdef RANK_RELAX_X86
  const std::string_view name = instruction_set();
  if (name == avx512::InstructionSet::name) return visitor(avx512::InstructionSet{});
  if (name == avx2::InstructionSet::name) return visitor(avx2::InstructionSet{});
#endif
  visitor(baseline::InstructionSet{});
}

}  // namespace rank_relax::cpu
