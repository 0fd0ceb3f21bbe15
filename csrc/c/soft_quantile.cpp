#include "cpu/soft_quantile.h"

#include <optional>
#include <vector>

#include "c/call.h"
#include "core/refusals.h"

using namespace rank_relax;

namespace {

/// A tensor of float64 numbers for the levels of each list, [..., m], with lists as the call has.
std::vector<int64_t> shape_of_levels(const c::Call& call, const c::Tensor& levels) {
  if (levels.dims() == 0) c::refuse(refusal::without_lists(levels.name()));
  std::vector<int64_t> shape = call.shape_of_lists(levels.size());
  if (levels.shape() != shape) {
    c::refuse(refusal::not_in_rows(levels.name(), "input", c::text_of(call.shape_of_lists()),
                                   c::text_of(levels.shape())));
  }
  return shape;
}

/// Of which a quantile could be one; a list without any that lies among others has NaN.
void check_has_items(const c::Call& call, const c::Tensor& input) {
  if (input.size() == 0 && !call.is_ragged()) {
    c::refuse(refusal::without_items("input", c::text_of(input.shape())));
  }
}

}  // namespace

rank_relax_status rank_relax_soft_quantile(const rank_relax_tensor* input,
                                           const rank_relax_tensor* q,
                                           const rank_relax_options* options,
                                           const rank_relax_tensor* quantiles,
                                           const rank_relax_tensor* points,
                                           const rank_relax_tensor* densities) {
  return c::status_of("soft_quantile", [&] {
    c::Call call(options);
    call.check_smooth_cdf();
    const c::Tensor x = call.values("input", input);
    call.check_on_cpu();
    call.set_lists(x);
    check_has_items(call, x);
    const c::Tensor shares = call.doubles("q", q);
    const std::vector<int64_t> shape = shape_of_levels(call, shares);
    const auto like_q = [&](const char* name, const rank_relax_tensor* given) {
      return call.output(name, given, c::Dtype::kFloat64, shape, "q");
    };
    const c::Tensor result = like_q("quantiles", quantiles);
    const bool saved = points != nullptr || densities != nullptr;
    std::optional<c::Tensor> at, slopes;
    if (saved) {
      at = like_q("points", points);
      slopes = like_q("densities", densities);
    }
    std::vector<double> own(saved ? 0 : 2 * static_cast<size_t>(result.numel()));
    double* const to_points = saved ? at->data<double>() : own.data();
    double* const to_densities = saved ? slopes->data<double>() : own.data() + result.numel();
    if (result.numel() == 0) return;
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x);
      call.for_each_part(true, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const int64_t number = shares.size(), first = part.first_list * number;
        const c::RowsOfPart<double> levels(part, shares.rows<double>());
        cpu::quantiles(call.batch(part, items.rows()), levels.rows(), number,
                       result.data<double>() + first, to_points + first, to_densities + first,
                       parallel_for);
      });
    });
  });
}

rank_relax_status rank_relax_soft_quantile_product(
    const rank_relax_tensor* vector, const rank_relax_tensor* input,
    const rank_relax_tensor* points, const rank_relax_tensor* densities, int32_t transposed,
    const rank_relax_options* options, const rank_relax_tensor* output) {
  return c::status_of("soft_quantile_product", [&] {
    c::Call call(options);
    call.check_smooth_cdf();
    const c::Tensor x = call.values("input", input);
    call.check_on_cpu();
    call.set_lists(x);
    check_has_items(call, x);
    const c::Tensor at = call.doubles("points", points);
    const std::vector<int64_t> shape = shape_of_levels(call, at);
    const c::Tensor slopes =
        call.items("densities", densities, c::Dtype::kFloat64, shape, "points");
    at.check_as_written();
    slopes.check_as_written();
    const int64_t number = at.size();
    const auto part_of_points = [&](const c::Part& part) {
      const int64_t first = part.first_list * number;
      return cpu::LevelPoints{at.data<const double>() + first, slopes.data<const double>() + first,
                              number, /*from_centers=*/true};
    };
    if (transposed != 0) {
      const c::Tensor v = call.items("vector", vector, c::Dtype::kFloat64, shape, "points");
      const c::Tensor result = call.output_like("output", output, x);
      c::visit_scalar(x.dtype(), [&](auto scalar) {
        using Scalar = decltype(scalar);
        const c::Input<Scalar> items(x);
        c::Output<Scalar> product(result);
        call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
          const c::RowsOfPart<double> factors(part, v.rows<double>());
          cpu::quantiles_to_items(call.batch(part, items.rows()), part_of_points(part),
                                  factors.rows(), product.data() + part.first_item, parallel_for);
        });
        product.finish();
      });
      return;
    }
    const c::Tensor v = call.like("vector", vector, x);
    const c::Tensor result = call.output("output", output, c::Dtype::kFloat64, shape, "points");
    if (result.numel() == 0) return;
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x), along(v);
      call.for_each_part(true, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        cpu::quantiles_to_levels(call.batch(part, items.rows()), part_of_points(part),
                                 part.of(along.rows()),
                                 result.data<double>() + part.first_list * number, parallel_for);
      });
    });
  });
}
