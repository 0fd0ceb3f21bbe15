#include "cpu/isa/instruction_set.h"

#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

namespace rank_relax::cpu {
namespace {

/// Narrowest first.
std::vector<std::string_view> available() {
  std::vector<std::string_view> sets = {baseline::InstructionSet::name};
#ifdef RANK_RELAX_X86
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    sets.push_back(avx2::InstructionSet::name);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512bw")) {
      sets.push_back(avx512::InstructionSet::name);
    }
  }
#endif
  return sets;
}

std::string_view choose() {
  const std::vector<std::string_view> sets = available();
  const char* asked = std::getenv("RANK_RELAX_INSTRUCTION_SET");
  if (asked == nullptr || *asked == '\0') return sets.back();
  std::string names;
  for (const std::string_view set : sets) {
    if (set == asked) return set;
    names += (names.empty() ? "'" : ", '") + std::string(set) + "'";
  }
  throw std::invalid_argument("the environment variable RANK_RELAX_INSTRUCTION_SET is '" +
                              std::string(asked) + "': on this machine it can be one of " + names +
                              ", or be left out");
}

}  // namespace

std::string_view instruction_set() {
  static const std::string_view set = choose();
  return set;
}

}  // namespace rank_relax::cpu
