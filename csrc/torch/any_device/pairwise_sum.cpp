#include "torch/any_device/pairwise_sum.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/abs.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/amin.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/isfinite.h>
#include <ATen/ops/isinf.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/narrow_copy.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/sqrt.h>
#include <ATen/ops/unsqueeze_copy.h>
#include <ATen/ops/view_copy.h>
#include <ATen/ops/where.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "core/correlation.h"
#include "core/methods.h"
#include "torch/cdf/by_method.h"
#include "torch/declaration/argument_checks.h"

namespace rank_relax::any_device {
namespace {

using at::Tensor;

constexpr int64_t kTableSize = 1 << 22;  // pairs that are looked at together

/// part(begin, length) over slices of at most `step`, put together. In one part where the size is
/// a symbol: a graph is being recorded for every size.
template <class Part>
Tensor in_parts(const c10::SymInt& size, int64_t step, int64_t dim, const Part& part) {
  const std::optional<int64_t> known = size.maybe_as_int();
  if (!known.has_value() || *known <= step) return part(0, size);
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < *known; begin += step) {
    parts.push_back(part(begin, std::min(step, *known - begin)));
  }
  return at::cat(parts, dim);
}

/// Rows of a table, or all of them; with `items` as rows or columns of a table of pairs.
struct Slice {
  c10::SymInt begin, length;

  Tensor of_rows(const Tensor& table) const { return of(table, 0); }
  Tensor as_first(const Tensor& table) const { return at::unsqueeze_copy(of(table, -1), -1); }

 private:
  Tensor of(const Tensor& table, int64_t dim) const {
    if (length == table.sym_size(dim)) return table;
    return at::narrow_copy_symint(table, dim, begin, length);
  }
};

Tensor scaled(const Tensor& differences, const Strength& strength) {
  const Tensor once = differences * at::unsqueeze_copy(strength.first, -1);
  return strength.second.defined() ? once * at::unsqueeze_copy(strength.second, -1) : once;
}

/// What pairwise_sum takes, of some rows.
struct Problem {
  std::vector<Tensor> directions;
  Tensor values, shrink, present, infinity;
  Strength strength;

  Problem of_rows(const Slice& slice) const {
    Problem part = *this;
    for (Tensor& direction : part.directions) direction = slice.of_rows(direction);
    for (Tensor* tensor : {&part.values, &part.shrink, &part.present, &part.infinity,
                           &part.strength.first, &part.strength.second}) {
      if (tensor->defined()) *tensor = slice.of_rows(*tensor);
    }
    return part;
  }

  /// α (x_m - x_j), with infinities beyond all that is finite: `farthest`, from which on F is 0 or
  /// 1 and its derivatives are 0.
  Tensor differences(const Slice& items, double farthest) const {
    const Tensor d =
        (items.as_first(values) - at::unsqueeze_copy(values, -2)) / at::unsqueeze_copy(shrink, -1);
    const Tensor near = scaled(d, strength).clamp(-farthest, farthest);
    if (!directions.empty()) return near;
    return near + (items.as_first(infinity) - at::unsqueeze_copy(infinity, -2)) * (4 * farthest);
  }

  /// The sums of a slice of items, [rows, length].
  Tensor sums(const Slice& items, std::string_view method) const {
    const int order = static_cast<int>(directions.size());
    const Precision precision = values.scalar_type() == at::kDouble ? kDouble : kSingle;
    Tensor terms = of_cdf(method, [&](auto cdf) {
      const Tensor d = differences(items, cdf.farthest(precision));
      if (order == 0) return cdf.centered(d);
      const Tensor derivative = cdf.derivative(d, order);
      if (cdf.kFalls) return derivative;  // to 0, at the farthest
      return at::where(at::abs(d) < cdf.farthest(precision), derivative, 0);
    });
    for (const Tensor& direction : directions) {
      const Tensor factors =
          scaled(items.as_first(direction) - at::unsqueeze_copy(direction, -2), strength);
      terms = at::where(terms == 0, 0, terms * factors);  // not 0 · inf
    }
    const Tensor places = at::arange(values.sym_size(-1), values.options().dtype(at::kLong));
    const Tensor another = items.as_first(places) != places;
    const Tensor pairs = items.as_first(present).logical_and(at::unsqueeze_copy(present, -2));
    return at::where(pairs.logical_and(another), terms, 0).sum(-1);
  }
};

}  // namespace

Tensor rows(const Tensor& tensor) {
  return at::view_copy_symint(tensor.contiguous(), {-1, tensor.sym_size(-1)});
}

Lists::Lists(const Tensor& input, const std::optional<Tensor>& mask) {
  const Tensor given = rows(input).to(statistics_dtype(input));
  kept = mask.has_value() ? rows(*mask) : at::ones_like(given, given.options().dtype(at::kBool));
  counted = kept.logical_and(at::isnan(given).logical_not());
  finite = kept.logical_and(at::isfinite(given));
  infinity = at::where(finite.logical_not().logical_and(counted), given.sign(), 0);
  const Tensor present = at::where(finite, given, 0);
  const Tensor wide = at::isinf(at::abs(present).amax(-1, true) * 4);
  shrink = at::where(wide, 0.25, 1.0).to(given.scalar_type());
  values = present * shrink;
}

Tensor Lists::others() const {
  return (counted.sum(-1, true, values.scalar_type()) - 1).clamp_min(1);
}

Tensor Lists::with_nan_items(const Tensor& results) const {
  return results.masked_fill(kept.logical_and(counted.logical_not()),
                             std::numeric_limits<double>::quiet_NaN());
}

Strength::Strength(const Lists& lists, double regularization_strength) {
  const double largest = lists.values.scalar_type() == at::kDouble ? 1e300 : 1e30;
  const auto held = [=](double factor) { return std::clamp(factor, 1 / largest, largest); };
  const double factor = held(regularization_strength);
  first = at::ones_like(lists.shrink) * factor;
  if (factor != regularization_strength) {
    second = at::ones_like(lists.shrink) * held(regularization_strength / factor);
  }
}

Strength Strength::for_correlation(const Lists& lists, double regularization_strength,
                                   std::string_view method) {
  const double infinity = std::numeric_limits<double>::infinity();
  Strength strength(lists, regularization_strength);
  if (!strength.second.defined()) strength.second = at::ones_like(strength.first);
  const Tensor absent = lists.finite.logical_not();
  const Tensor spread = lists.values.masked_fill(absent, -infinity).amax(-1, true) -
                        lists.values.masked_fill(absent, infinity).amin(-1, true);
  const Tensor scaled_spread = spread / lists.shrink * strength.first * strength.second;
  // In float32 F - 1/2 is linear to rounding earlier, and squares of smaller ranks would underflow.
  const double linear = lists.values.scalar_type() == at::kDouble
                            ? linear_spread(method)
                            : std::max(linear_spread(method), kLinearSpread);
  const Tensor narrow = (spread > 0)
                            .logical_and(scaled_spread < linear)
                            .logical_and((lists.infinity != 0).any(-1, true).logical_not());
  // Where the spread is large or small its square root is in range when its inverse is not.
  const Tensor root = at::sqrt(lists.shrink * linear) / at::sqrt(spread);
  strength.first = at::where(narrow, root, strength.first);
  strength.second = at::where(narrow, root, strength.second);
  return strength;
}

Tensor pairwise_sum(const std::vector<Tensor>& directions, const Lists& lists,
                    const Strength& strength, std::string_view method) {
  const Tensor& present = directions.empty() ? lists.counted : lists.finite;
  Problem all{{}, lists.values, lists.shrink, present, lists.infinity, strength};
  // What stands at an item without derivative is ignored, be it NaN.
  for (const Tensor& direction : directions) {
    all.directions.push_back(at::where(present, direction, 0));
  }
  const c10::SymInt size = lists.values.sym_size(-1);
  const int64_t row_pairs = size.maybe_as_int().value_or(1);
  const int64_t items_at_once = std::max<int64_t>(1, kTableSize / row_pairs);
  const int64_t rows_at_once = std::max<int64_t>(1, items_at_once / row_pairs);
  return in_parts(lists.values.sym_size(0), rows_at_once, 0, [&](auto row, const auto& row_count) {
    const Problem part = all.of_rows({row, row_count});
    return in_parts(size, items_at_once, 1, [&](auto item, const auto& item_count) {
      return part.sums({item, item_count}, method);
    });
  });
}

}  // namespace rank_relax::any_device
