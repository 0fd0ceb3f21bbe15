#include "torch/operators/hard_rank.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/cummax.h>
#include <ATen/ops/cummin.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/flip.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/view_copy.h>
#include <ATen/ops/where.h>
#include <c10/core/SymBool.h>
#include <torch/library.h>

#include <limits>
#include <tuple>

#include "torch/any_device/pairwise_sum.h"
#include "torch/any_device/sorted_lists.h"
#include "torch/declaration/kernel.h"

// Hard ranks by a sort, for devices that we have no kernel for, CUDA among them: O(n log n).
// Counted in integers, so that a device without float64 gets them exactly.

namespace rank_relax::any_device {
namespace {

using at::Tensor;

/// Twice the average of the places of each run of equal items, and what else the ranks depend on.
struct Places {
  Tensor kept;     // not masked
  Tensor counted;  // kept and not NaN
  Tensor others;   // [rows, 1]: the n - 1 of every formula; -1 where nothing counts
  Tensor doubled;

  Places(const Tensor& input, const std::optional<Tensor>& mask) {
    const Tensor table = rows(input);
    kept = mask.has_value() ? rows(*mask) : at::ones_like(table, table.options().dtype(at::kBool));
    counted = kept;
    if (at::isFloatingType(table.scalar_type())) {
      counted = kept.logical_and(at::isnan(table).logical_not());
    }
    others = counted.sum(-1, /*keepdim=*/true, at::kLong) - 1;
    const SortedLists sorted(sortable(table), counted);
    // A run ends where the values change, and where those that count do.
    const Tensor& place = sorted.place;
    const Tensor begins =
        (sorted.values != sorted.before()).logical_or(place == 0).logical_or(place == others + 1);
    const Tensor ends = (sorted.values != sorted.after())
                            .logical_or(place == at::amax(place, -1, /*keepdim=*/true))
                            .logical_or(place == others);
    const Tensor first = std::get<0>(at::cummax(at::where(begins, place, 0), -1));
    const Tensor ends_from_behind =
        at::flip(at::where(ends, place, std::numeric_limits<int64_t>::max()), -1);
    const Tensor last = at::flip(std::get<0>(at::cummin(ends_from_behind, -1)), -1);
    doubled = sorted.put_back(first + last);
  }

  /// Twice the ranks over `divisor`, as an operator's output.
  Tensor ranks(const Tensor& twice, const Tensor& divisor, const Tensor& input,
               at::ScalarType dtype) const {
    const at::ScalarType computed = dtype == at::kDouble ? at::kDouble : at::kFloat;
    const Tensor ranks = twice.to(computed) / (2 * divisor.clamp_min(1)).to(computed);
    const Tensor all =
        ranks.masked_fill(counted.logical_not(), std::numeric_limits<double>::quiet_NaN())
            .masked_fill(kept.logical_not(), 0);
    return at::view_copy_symint(all.to(dtype), input.sym_sizes());
  }
};

Tensor hard_rank(const Tensor& input, bool descending, bool normalize,
                 const std::optional<Tensor>& mask, std::optional<at::ScalarType> dtype) {
  const at::ScalarType result = operators::HardRank::result_dtype(input, dtype);
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options().dtype(result));
  }
  const Places places(input, mask);
  const Tensor twice = descending ? 2 * places.others - places.doubled : places.doubled;
  const Tensor divisor = normalize ? places.others : at::ones_like(places.others);
  return places.ranks(twice, divisor, input, result);
}

Tensor centered_hard_rank(const Tensor& input, const std::optional<Tensor>& mask,
                          at::ScalarType dtype) {
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options().dtype(dtype));
  }
  const Places places(input, mask);
  return places.ranks(places.doubled - places.others, at::ones_like(places.others), input, dtype);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeExplicitAutograd, library) {
  kernel<operators::HardRank, hard_rank>(library);
  kernel<operators::CenteredHardRank, centered_hard_rank>(library);
}

}  // namespace rank_relax::any_device
