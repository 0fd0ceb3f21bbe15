#include "torch/any_device/sorted_lists.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/amax.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/gather.h>
#include <ATen/ops/minimum.h>
#include <ATen/ops/scatter.h>
#include <ATen/ops/sort.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/ScalarType.h>

#include <limits>
#include <tuple>

namespace rank_relax::any_device {

using at::Tensor;

Tensor sortable(const Tensor& table) {
  switch (table.scalar_type()) {
    case at::kBool:
      return table.to(at::kByte);
    case at::kUInt16:
      return table.to(at::kInt);
    case at::kUInt32:
      return table.to(at::kLong);
    case at::kUInt64:  // from the upper half on negative, until the sign is turned
      return table.to(at::kLong).bitwise_xor(std::numeric_limits<int64_t>::min());
    default:
      return table;
  }
}

namespace {

/// NaN, which comes last, at items that don't count.
Tensor with_the_others_last(const Tensor& table, const Tensor& counted) {
  if (!at::isFloatingType(table.scalar_type())) return table;
  return table.masked_fill(counted.logical_not(), std::numeric_limits<double>::quiet_NaN());
}

}  // namespace

SortedLists::SortedLists(const Tensor& sortable_table) {
  std::tie(values, order) =
      at::sort(sortable_table, /*stable=*/true, /*dim=*/-1, /*descending=*/false);
  place = at::zeros_like(order) + at::arange(order.sym_size(-1), order.options());
}

SortedLists::SortedLists(const Tensor& sortable_table, const Tensor& counted)
    : SortedLists(with_the_others_last(sortable_table, counted)) {
  if (at::isFloatingType(sortable_table.scalar_type())) return;
  const Tensor left_out = at::gather(counted, -1, order).logical_not().to(at::kByte);
  const Tensor again = std::get<1>(at::sort(left_out, true, -1, false));
  values = at::gather(values, -1, again);
  order = at::gather(order, -1, again);
}

Tensor SortedLists::before() const { return at::gather(values, -1, (place - 1).clamp_min(0)); }

Tensor SortedLists::after() const {
  return at::gather(values, -1, at::minimum(place + 1, at::amax(place, -1, /*keepdim=*/true)));
}

Tensor SortedLists::put_back(const Tensor& table) const {
  return at::scatter(at::zeros_like(table), -1, order, table);
}

}  // namespace rank_relax::any_device
