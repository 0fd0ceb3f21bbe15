#include "core/integer_scores.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/ceil.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/view_copy.h>
#include <ATen/ops/where.h>
#include <c10/core/ScalarType.h>
#include <c10/core/SymBool.h>
#include <torch/library.h>

#include <limits>
#include <optional>

#include "core/methods.h"
#include "torch/any_device/float64.h"
#include "torch/any_device/pairwise_sum.h"
#include "torch/any_device/sorted_lists.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/integer_scores.h"
#include "torch/operators/soft_rank.h"

// What cpu/integer_scores.h does, by tensor operators. Integers of 64 bits are always sorted, as
// nothing may wait to see whether a list's range asks for it; the others are exact in float64.
// A device that has none leaves the ranks to the CPU, and is never asked for the scores.

namespace rank_relax::any_device {
namespace {

using at::Tensor;

/// Unsigned numbers that stand in int64, as float64.
Tensor to_double(const Tensor& bits) {
  return bits.to(at::kDouble) + at::where(bits < 0, 0x1p64, 0.0).to(at::kDouble);
}

/// Differences from the minimum, unsigned in int64, with the gaps of wide lists cut down.
Tensor within_reach(const Tensor& items, const Tensor& minimum, const Tensor& kept,
                    const Tensor& spread, const Tensor& widest) {
  constexpr double kWidestCut = 0x1p62;
  const SortedLists sorted(at::where(kept, items, minimum));
  const Tensor gaps = sorted.values - sorted.before();
  const Tensor limit = widest.clamp_max(kWidestCut).to(at::kLong);
  const Tensor cut = (spread > kExactIntegers)
                         .logical_and(widest < spread)
                         .logical_and(widest <= kWidestCut)
                         .logical_and((gaps < 0).logical_or(gaps > limit));
  return sorted.put_back(at::cumsum(at::where(cut, limit, gaps), -1));
}

/// A table of scores at strengths [rows, 1].
Tensor scores_of(const Tensor& input, const Tensor& strengths, std::string_view method,
                 const std::optional<Tensor>& mask) {
  const Tensor items = sortable(rows(input)).to(at::kLong);
  const Tensor kept =
      mask.has_value() ? rows(*mask) : at::ones_like(items, items.options().dtype(at::kBool));
  const Tensor maximum = items.amax(-1, /*keepdim=*/true);
  const Tensor minimum = at::where(kept, items, maximum).amin(-1, /*keepdim=*/true);
  Tensor above = at::where(kept, items - minimum, 0);
  const Tensor spread = to_double(above).amax(-1, /*keepdim=*/true);
  const Tensor has_strength = at::isfinite(strengths).logical_and(strengths > 0);
  if (c10::elementSize(input.scalar_type()) == sizeof(int64_t)) {
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    Tensor reach = at::ones_like(spread) * reach_of_gaps(method, 1);
    if (Projections::contains(method)) {
      reach = at::where(kept, 1.0, 0.0)
                  .to(at::kDouble)
                  .sum(-1, true)
                  .clamp_min(reach_of_gaps(method, 1));
    }
    const Tensor widest = at::where(has_strength, at::ceil(reach / strengths), kInfinity);
    above = within_reach(items, minimum, kept, spread, widest).masked_fill(kept.logical_not(), 0);
  }
  const Tensor scaled_spread = spread * strengths;
  const double linear = linear_spread(method);
  const Tensor narrow =
      has_strength.logical_and(scaled_spread > 0).logical_and(scaled_spread < linear);
  const Tensor widened = at::full_like(scaled_spread, linear) / scaled_spread;
  const Tensor stretch = at::where(narrow, widened.clamp_max(0x1p900), 1.0);
  return to_double(above) * stretch;
}

Tensor integer_scores(const Tensor& input, const Tensor& strengths, std::string_view method,
                      const std::optional<Tensor>& mask) {
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options().dtype(at::kDouble));
  }
  return at::view_copy_symint(scores_of(input, rows(strengths), method, mask), input.sym_sizes());
}

Tensor centered_integer_rank(const Tensor& input, const Options& options, at::ScalarType dtype) {
  if (TORCH_GUARD_OR_FALSE(input.sym_numel().sym_eq(0))) {
    return at::empty_symint(input.sym_sizes(), input.options().dtype(dtype));
  }
  if (!has_float64(input.device())) {
    std::optional<Tensor> host_mask;
    if (options.mask.has_value()) host_mask = options.mask->to(at::kCPU);
    const Options there{options.regularization_strength, options.method, host_mask};
    return operators::centered_integer_rank(input.to(at::kCPU), there, dtype).to(input.device());
  }
  const Tensor strengths =
      at::ones_like(rows(input).sum(-1, true, at::kDouble)) * options.regularization_strength;
  const Tensor table = scores_of(input, strengths, options.method, options.mask);
  // What float32 holds exactly needs no more, unless the result does.
  const bool few_bits = c10::elementSize(input.scalar_type()) <= sizeof(int16_t);
  const Tensor scores = at::view_copy_symint(
      table.to(few_bits && dtype == at::kFloat ? at::kFloat : at::kDouble), input.sym_sizes());
  return operators::soft_rank_derivative({}, scores, options).to(dtype);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeExplicitAutograd, library) {
  kernel<operators::IntegerScores, integer_scores>(library);
  kernel<operators::CenteredIntegerRank, centered_integer_rank>(library);
}

}  // namespace rank_relax::any_device
