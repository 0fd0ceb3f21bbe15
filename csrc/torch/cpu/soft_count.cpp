#include "cpu/soft_count.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <limits>
#include <vector>

#include "core/refusals.h"
#include "torch/cpu/adapter.h"
#include "torch/cpu/ordered_items.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_count.h"

namespace rank_relax {
namespace {

/// ValueError unless every row of ends begins with 0, ends with the row and never falls.
void check_ends_of_rows(const char* name, const at::Tensor& offsets, int64_t rows, int64_t size) {
  const cpu::Rows<int64_t> ends = rows_of<int64_t>(offsets);
  for (int64_t row = 0; row < rows; ++row) {
    const auto refused = refusal::of_ends(name, ends.row(row), offsets.size(-1), size);
    TORCH_CHECK_VALUE(!refused.has_value(), "soft_count: ", *refused);
  }
}

/// Which are borrowed while `tensor` and `offsets` live.
template <class Scalar>
cpu::ListsInRows<Scalar> lists_of(const at::Tensor& tensor,
                                  const std::optional<at::Tensor>& offsets) {
  cpu::ListsInRows<Scalar> lists{rows_of<Scalar>(tensor), tensor.size(-1), {}};
  if (offsets.has_value()) lists.offsets = rows_of<int64_t>(*offsets);
  return lists;
}

/// Keys as numbers that order as they do, NaN as `of_nan`. Whether there is any.
bool put_in_order(const at::Tensor& keys, uint64_t of_nan, at::Tensor& numbers) {
  numbers = at::empty(keys.sizes(), keys.options().dtype(at::kLong));
  auto* const to = static_cast<uint64_t*>(numbers.mutable_data_ptr());
  const at::Tensor given = keys.contiguous();
  const int64_t count = keys.numel();
  bool has_nan = false;
  visit_order(keys.scalar_type(), [&](auto order) {
    using Order = decltype(order);
    const auto* const from = static_cast<const typename Order::Bits*>(given.const_data_ptr());
    has_nan = cpu::put_in_order<Order>({from, 1}, count, of_nan, to);
  });
  return has_nan;
}

/// Which are borrowed.
cpu::Rows<uint64_t> keys_in_rows(const at::Tensor& ordered) {
  if (!ordered.defined()) return {};
  return {static_cast<const uint64_t*>(ordered.const_data_ptr()), ordered.sizes().data(),
          ordered.strides().data(), ordered.dim()};
}

at::Tensor kernel_sum_cpu(const at::Tensor& points, const at::Tensor& values,
                          const at::Tensor& weights, const operators::Kernel& kernel,
                          const operators::Offsets& offsets, const operators::Keys& keys) {
  std::vector<int64_t> shape = weights.sizes().vec();
  shape.back() = points.size(-1);
  const at::Tensor t = at_least_float32(points), x = at_least_float32(values);
  const at::Tensor w = at_least_float32(weights);
  const at::Tensor output = at::empty(shape, t.options());
  int64_t rows = 1;
  for (int64_t dim = 0; dim + 1 < values.dim(); ++dim) rows *= values.size(dim);
  if (offsets.of_values.has_value()) {
    check_ends_of_rows("offsets", *offsets.of_values, rows, values.size(-1));
    check_ends_of_rows("point_offsets", *offsets.of_points, rows, points.size(-1));
  }
  if (output.numel() == 0) return output.to(points.scalar_type());
  at::Tensor point_keys, value_keys;
  if (keys.of_values.has_value()) {
    // NaN is the last of values and the first of points: none is smaller than another.
    constexpr uint64_t kLast = std::numeric_limits<uint64_t>::max();
    const bool has_nan = put_in_order(*keys.of_values, kLast, value_keys);
    point_keys = value_keys;
    const bool shared = keys.of_points->is_same(*keys.of_values) && !has_nan;
    if (!shared) put_in_order(*keys.of_points, 0, point_keys);
  }
  const int64_t lists = offsets.of_values.has_value() ? offsets.of_values->size(-1) - 1 : 1;
  AT_DISPATCH_FLOATING_TYPES(t.scalar_type(), "kernel_sum", [&] {
    batch_of<scalar_t>(x, std::nullopt);  // the checks
    batch_of<scalar_t>(t, std::nullopt);
    cpu::soft_count<scalar_t>(
        {rows, lists, lists_of<scalar_t>(t, offsets.of_points),
         lists_of<scalar_t>(x, offsets.of_values), keys_in_rows(point_keys),
         keys_in_rows(value_keys), rows_of<scalar_t>(w), w.size(-2), static_cast<int>(kernel.order),
         kernel.regularization_strength, kernel.method},
        output.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return output.to(points.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::KernelSum, kernel_sum_cpu>(library);
}

}  // namespace rank_relax
