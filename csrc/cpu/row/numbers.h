#pragma once

#include <cstdint>

namespace rank_relax::cpu {

/// As many numbers as `count`.
struct Numbers {
  const double* values;
  int64_t count;

  Numbers part(int64_t begin, int64_t end) const { return {values + begin, end - begin}; }
};

}  // namespace rank_relax::cpu
