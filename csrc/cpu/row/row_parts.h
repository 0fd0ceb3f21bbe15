#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// A row in parts, whose size is fixed, so that the number of threads changes no sum.
struct RowParts {
  static constexpr int64_t kItems = 1 << 13;

  static int64_t of(int64_t count) { return (count + kItems - 1) / kItems; }

  /// visit(begin, end, part)
  template <class Visit>
  static void for_each(int64_t count, const ParallelFor& parallel_for, const Visit& visit) {
    if (count <= kItems) {
      if (count > 0) visit(0, count, 0);
      return;
    }
    parallel_for(of(count), 1, [&](int64_t first, int64_t last) {
      for (int64_t part = first; part < last; ++part) {
        visit(part * kItems, std::min((part + 1) * kItems, count), part);
      }
    });
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
