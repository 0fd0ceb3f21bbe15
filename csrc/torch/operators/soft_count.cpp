#include "torch/operators/soft_count.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "core/refusals.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

void check_order(const char* op, std::string_view method, int64_t order) {
  const int64_t most = SmoothCdfs::kMaxOrder;
  TORCH_CHECK_VALUE(kLowestOrder <= order && order <= most, op, ": ",
                    refusal::not_an_order(kLowestOrder, most, order));
  if (order >= 0) return;
  SmoothCdfs::visit(method, [&](auto cdf) {
    TORCH_CHECK_VALUE(kHasIntegral<decltype(cdf)>, op, ": ", refusal::without_integral(method));
  });
}

void check_ends(const char* op, const char* name, const Tensor& ends, const char* lists_name,
                const Tensor& lists) {
  check_rows(op, name, ends, at::kLong, lists_name, lists);
  TORCH_CHECK_VALUE(ends.sym_size(-1) > 0, op, ": ", refusal::without_ends(name));
}

void check_offsets(const char* op, const Tensor& points, const Tensor& values,
                   const Offsets& offsets) {
  if (offsets.of_values.has_value()) {
    check_ends(op, "offsets", *offsets.of_values, "values", values);
  }
  if (!offsets.of_points.has_value()) return;
  TORCH_CHECK_VALUE(offsets.of_values.has_value(), op,
                    ": point_offsets cut points into lists, so values need offsets too");
  check_ends(op, "point_offsets", *offsets.of_points, "points", points);
  const c10::SymInt lists = offsets.of_values->sym_size(-1) - 1;
  const c10::SymInt of_points = offsets.of_points->sym_size(-1) - 1;
  TORCH_CHECK_VALUE(of_points == lists, op, ": ", refusal::not_as_many_lists(lists, of_points));
}

void check_keys_of(const char* op, const char* name, const Tensor& keys, const char* items_name,
                   const Tensor& items) {
  const at::ScalarType dtype = keys.scalar_type();
  TORCH_CHECK_TYPE(dtype == at::kLong || dtype == at::kDouble || dtype == at::kFloat, op, ": ",
                   name, " must be int64, float64 or float32, got ", name_of(dtype),
                   "; convert them, with ", name, ".long() or ", name, ".double()");
  check_device(op, name, keys, items_name, items);
  check_shape(op, name, keys, items_name, items);
}

void check_keys(const char* op, const Tensor& points, const Tensor& values, const Keys& keys) {
  if (keys.of_values.has_value()) check_keys_of(op, "keys", *keys.of_values, "values", values);
  if (!keys.of_points.has_value()) return;
  TORCH_CHECK_VALUE(keys.of_values.has_value(), op,
                    ": point_keys are compared with those of values, which need keys too");
  check_keys_of(op, "point_keys", *keys.of_points, "points", points);
  check_dtype(op, "point_keys", *keys.of_points, keys.of_values->scalar_type());
}

/// For each value a weight, or in one more dimension before the last several.
void check_weights(const char* op, const Tensor& weights, const Tensor& values) {
  check_device(op, "weights", weights, "values", values);
  std::vector<c10::SymInt> shape = weights.sym_sizes().vec();
  if (weights.dim() == values.dim() + 1) shape.erase(shape.end() - 2);
  TORCH_CHECK_VALUE(values.sym_sizes().equals(shape), op,
                    ": weights must have the shape of values, ", values.sym_sizes(),
                    ", or several sets of them in one more dimension before the last, got ",
                    weights.sym_sizes(), "; use expand_as to repeat one over a batch");
}

}  // namespace

void SoftCount::check(const Tensor& points, const Tensor& values,
                      const std::optional<Tensor>& weights, const Options& options, int64_t order,
                      const Offsets& offsets, const Keys& keys) {
  check_values(name, "points", points);
  check_values(name, "values", values);
  check_smooth_cdf(name, options.method);
  check_options(name, "values", values, options);
  check_rows(name, "points", points, points.scalar_type(), "values", values);
  if (weights.has_value()) {
    TORCH_CHECK_TYPE(is_floating(weights->scalar_type()), name,
                     ": weights must be float64, float32, bfloat16 or float16, got ",
                     name_of(weights->scalar_type()),
                     "; convert them, with weights.float() for "
                     "example");
    check_weights(name, *weights, values);
  }
  check_order(name, options.method, order);
  check_offsets(name, points, values, offsets);
  if (offsets.of_values.has_value() && !offsets.of_points.has_value()) {
    TORCH_CHECK_VALUE(
        points.sym_size(-1) == values.sym_size(-1), name,
        ": without point_offsets the lists of points end where those of values do, so "
        "there must be ",
        values.sym_size(-1), " points, got ", points.sym_size(-1));
  }
  check_keys(name, points, values, keys);
  if (keys.of_values.has_value() && !keys.of_points.has_value()) {
    TORCH_CHECK_VALUE(points.sym_size(-1) == values.sym_size(-1), name,
                      ": without point_keys points have the keys of the values, so there must be ",
                      values.sym_size(-1), " points, got ", points.sym_size(-1));
  }
}

void KernelSum::check(const Tensor& points, const Tensor& values, const Tensor& weights,
                      const Kernel& kernel, const Offsets& offsets, const Keys& keys) {
  check_values(name, "points", points);
  check_values(name, "values", values);
  check_smooth_cdf(name, kernel.method);
  const std::optional<Tensor> no_mask;
  check_options(name, "values", values, {kernel.regularization_strength, kernel.method, no_mask});
  check_rows(name, "points", points, values.scalar_type(), "values", values);
  check_dtype(name, "weights", weights, values.scalar_type());
  TORCH_CHECK_VALUE(weights.dim() == values.dim() + 1, name, ": ",
                    refusal::without_sets(weights.sym_sizes()));
  check_weights(name, weights, values);
  check_order(name, kernel.method, kernel.order);
  check_offsets(name, points, values, offsets);
  TORCH_CHECK_VALUE(offsets.of_values.has_value() == offsets.of_points.has_value(), name,
                    ": offsets and point_offsets must be given both or neither");
  check_keys(name, points, values, keys);
  TORCH_CHECK_VALUE(keys.of_values.has_value() == keys.of_points.has_value(), name,
                    ": keys and point_keys must be given both or neither");
}

Tensor KernelSum::outputs(const Tensor& points, const Tensor&, const Tensor& weights, const Kernel&,
                          const Offsets&, const Keys&) {
  std::vector<c10::SymInt> shape = weights.sym_sizes().vec();
  shape.back() = points.sym_size(-1);
  return at::empty_symint(shape, points.options());
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) { declare<SoftCount, KernelSum>(library); }

}  // namespace rank_relax::operators
