#include "torch/operators/soft_count.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/expand_copy.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/narrow_copy.h>
#include <ATen/ops/searchsorted.h>
#include <ATen/ops/unsqueeze_copy.h>
#include <ATen/ops/where.h>
#include <torch/library.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/sum/kernel_at.h"
#include "torch/any_device/float64.h"
#include "torch/any_device/or_on_the_host.h"
#include "torch/cdf/by_method.h"
#include "torch/declaration/kernel.h"

namespace rank_relax::any_device {
namespace {

using at::Tensor;
using operators::Kernel;
using operators::Keys;
using operators::Offsets;

constexpr int64_t kPairsAtOnce = 1 << 22;
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

Tensor kernel_of(const Tensor& d, const Kernel& kernel) {
  const int order = static_cast<int>(kernel.order);
  return of_cdf(kernel.method, [&](auto cdf) -> Tensor {
    using Cdf = typename decltype(cdf)::Cdf;
    if constexpr (kHasIntegral<Cdf>) {
      if (order == -1) return kernel_at<Cdf, -1>(d);
    }
    if (order == 0) return kernel_at<Cdf, 0>(d);
    if (order == 1) return kernel_at<Cdf, 1>(d);
    if (order == 2) return kernel_at<Cdf, 2>(d);
    const double farthest = Cdf::farthest[kDouble];
    const Tensor near = d.clamp(-farthest, farthest);
    return at::where(near == d, cdf.derivative(near, order), 0);
  });
}

/// Which list of its row each item is in: [*, size].
Tensor lists_of_items(const Tensor& offsets, const c10::SymInt& size) {
  std::vector<c10::SymInt> shape = offsets.sym_sizes().vec();
  shape.back() = size;
  const Tensor places = at::expand_copy_symint(at::arange(size, offsets.options()), shape);
  return at::searchsorted(offsets.contiguous(), places, /*out_int32=*/false, /*right=*/true);
}

/// 0, or NaN where ends of lists don't rise from 0 to the number of items: [*, 1].
Tensor nan_where_wrong(const Tensor& offsets, const c10::SymInt& size) {
  const c10::SymInt lists = offsets.sym_size(-1) - 1;
  const Tensor begins = at::narrow_copy_symint(offsets, -1, 0, lists);
  const Tensor ends = at::narrow_copy_symint(offsets, -1, 1, lists);
  const Tensor first = at::narrow_copy_symint(offsets, -1, 0, 1);
  const Tensor last = at::narrow_copy_symint(offsets, -1, lists, 1);
  const Tensor right = (first == 0).logical_and(last == size);
  const Tensor falls = (ends < begins).any(-1, /*keepdim=*/true);
  return at::where(right.logical_and(falls.logical_not()), 0.0, kNan);
}

/// Points or values, and what says which of the others belong to each.
struct Items {
  Tensor numbers;
  std::optional<Tensor> lists, keys;

  Items part(const c10::SymInt& begin, const c10::SymInt& length) const {
    const auto of = [&](const Tensor& items) {
      return at::narrow_copy_symint(items, -1, begin, length);
    };
    const auto of_some = [&](const std::optional<Tensor>& items) {
      return items.has_value() ? std::make_optional(of(*items)) : std::nullopt;
    };
    return {of(numbers), of_some(lists), of_some(keys)};
  }
};

/// Of a part of the points: [*, K, points], without α^p.
Tensor sums_at(const Items& points, const Items& values, const Tensor& weights,
               const Kernel& kernel) {
  const Tensor difference =
      at::unsqueeze_copy(points.numbers, -1) / 2 - at::unsqueeze_copy(values.numbers, -2) / 2;
  const Tensor d = 2 * (difference * kernel.regularization_strength);
  const Tensor terms = kernel_of(at::where(at::isnan(d), 0, d), kernel);  // of equal infinities
  Tensor own = at::unsqueeze_copy(weights, -2);                           // [*, K, 1, n]
  const auto leave = [&](const Tensor& those) {
    own = at::where(at::unsqueeze_copy(those, -3), own, 0);
  };
  if (points.lists.has_value()) {
    leave(at::unsqueeze_copy(*points.lists, -1) == at::unsqueeze_copy(*values.lists, -2));
  }
  if (points.keys.has_value()) {
    leave(at::unsqueeze_copy(*points.keys, -1) > at::unsqueeze_copy(*values.keys, -2));
  }
  return at::where(own == 0, 0, own * at::unsqueeze_copy(terms, -3)).sum(-1);
}

Tensor kernel_sum(const Tensor& points, const Tensor& values, const Tensor& weights,
                  const Kernel& kernel, const Offsets& offsets, const Keys& keys) {
  const Tensor t = points.to(at::kDouble), given = values.to(at::kDouble);
  const Tensor counted = at::isnan(given).logical_not();
  const Tensor x = at::where(counted, given, 0);
  const Tensor w = at::where(at::unsqueeze_copy(counted, -2), weights.to(at::kDouble), 0);
  Items at_points = {t, std::nullopt, keys.of_points};
  Items of_values = {x, std::nullopt, keys.of_values};
  Tensor wrong;
  if (offsets.of_values.has_value()) {
    of_values.lists = lists_of_items(*offsets.of_values, values.sym_size(-1));
    at_points.lists = lists_of_items(*offsets.of_points, points.sym_size(-1));
    wrong = nan_where_wrong(*offsets.of_values, values.sym_size(-1)) +
            nan_where_wrong(*offsets.of_points, points.sym_size(-1));
  }
  const auto sums_of = [&](const c10::SymInt& begin, const c10::SymInt& length) {
    return sums_at(at_points.part(begin, length), of_values, w, kernel);
  };
  const std::optional<int64_t> count = points.sym_size(-1).maybe_as_int();
  const std::optional<int64_t> pairs_of_one = w.sym_numel().maybe_as_int();
  Tensor sums;
  if (count.has_value() && pairs_of_one.has_value() && *count > 0) {
    const int64_t step = std::max<int64_t>(kPairsAtOnce / std::max<int64_t>(*pairs_of_one, 1), 1);
    std::vector<Tensor> parts;
    for (int64_t begin = 0; begin < *count; begin += step) {
      parts.push_back(sums_of(begin, std::min(step, *count - begin)));
    }
    sums = parts.size() == 1 ? parts[0] : at::cat(parts, -1);
  } else {
    sums = sums_of(0, points.sym_size(-1));
  }
  const double scale = std::pow(kernel.regularization_strength, kernel.order);
  sums = at::where(sums == 0, 0, sums * scale);
  sums = at::where(at::unsqueeze_copy(at::isnan(t), -2), kNan, sums);
  if (wrong.defined()) sums = sums + at::unsqueeze_copy(wrong, -2);
  return sums.to(points.scalar_type());
}

bool is_without_float64(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  return !has_float64(argument(op, stack, "values").toTensor().device());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CompositeExplicitAutograd, library) {
  kernel_or_on_the_host<operators::KernelSum, kernel_sum, is_without_float64>(library);
}

}  // namespace rank_relax::any_device
