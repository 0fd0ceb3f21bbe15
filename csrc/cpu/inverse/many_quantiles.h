#pragma once

#include <cstdint>
#include <type_traits>

#include "core/cdf/capabilities.h"
#include "cpu/aligned_array.h"
#include "cpu/inverse/quantile_by_level.h"
#include "cpu/inverse/quantile_march.h"
#include "cpu/inverse/quantile_scan.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/converted_row.h"
#include "cpu/sort/radix_sort.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Calls visit(begin, end) for every cluster of ascending values: those with no gap wider than
/// `widest` in units of 1/α.
template <class Scalar, class Visit>
void for_each_cluster(const Scalar* sorted, int64_t count, double regularization_strength,
                      double widest, const Visit& visit) {
  int64_t begin = 0;
  for (int64_t end = 1; end <= count; ++end) {
    if (end < count) {
      // Halved, no difference of finite values overflows.
      const double half_gap =
          static_cast<double>(sorted[end]) / 2 - static_cast<double>(sorted[end - 1]) / 2;
      if (!(2 * (half_gap * regularization_strength) > widest)) continue;
    }
    visit(begin, end);
    begin = end;
  }
}

/// Ascending copies of finite values.
template <class Scalar>
class SortedValues {
 public:
  const Scalar* of(const Scalar* values, int64_t count) {
    sorted_.make_room(count);
    order_.make_room(count);
    spare_sorted_.make_room(count);
    spare_order_.make_room(count);
    radix_argsort(values, count, {sorted_.data(), order_.data()},
                  {spare_sorted_.data(), spare_order_.data()});
    return sorted_.data();
  }

 private:
  AlignedArray<Scalar> sorted_, spare_sorted_;
  AlignedArray<uint32_t> order_, spare_order_;
};

/// What tails are sums of: in series of float32 some CDFs keep what it shows of them.
template <class Cdf, class Scalar>
constexpr auto tail_number() {
  if constexpr (kHasGrid<Cdf>) {
    return std::conditional_t<Cdf::kTailsInSingle, Scalar, double>();
  } else {
    return Scalar();
  }
}
template <class Cdf, class Scalar>
using TailNumber = decltype(tail_number<Cdf, Scalar>());

/// Finite values as such numbers.
template <class Cdf, class Scalar>
using TailNumbers = ConvertedRow<TailNumber<Cdf, Scalar>, Scalar>;

/// The inverse at many levels, in the fastest way that a CDF has.
template <class Cdf, class Scalar>
using ManyQuantiles = std::conditional_t<
    kHasGrid<Cdf>, QuantileMarch<Cdf, Scalar>,
    std::conditional_t<kIsExponential<Cdf>, QuantileScan<Scalar>, QuantileByLevel<Cdf, Scalar>>>;

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
