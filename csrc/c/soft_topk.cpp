#include "cpu/soft_topk.h"

#include <optional>
#include <vector>

#include "c/call.h"
#include "core/refusals.h"

using namespace rank_relax;

rank_relax_status rank_relax_soft_topk(const rank_relax_tensor* input, const rank_relax_tensor* k,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* chosen,
                                       const rank_relax_tensor* densities) {
  return c::status_of("soft_topk", [&] {
    c::Call call(options);
    call.check_smooth_cdf();
    const c::Tensor x = call.values("input", input);
    call.check_on_cpu();
    call.set_lists(x);
    const c::Tensor number = call.doubles("k", k);
    if (number.dims() > 0 && number.shape() != call.shape_of_lists()) {
      c::refuse(refusal::not_a_number_of_places(c::text_of(call.shape_of_lists()),
                                                c::text_of(number.shape())));
    }
    const c::Tensor result = call.output_like("chosen", chosen, x);
    std::optional<c::Tensor> slopes;
    if (densities != nullptr) {
      slopes = call.output("densities", densities, c::Dtype::kFloat64, x.shape(), "input");
    }
    if (x.numel() == 0) return;
    std::vector<double> own(slopes.has_value() ? 0 : static_cast<size_t>(x.numel()));
    double* const to_densities = slopes.has_value() ? slopes->data<double>() : own.data();
    const c::Columns<double> numbers(number.rows<double>(), call.shape_of_lists(1));
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x);
      c::Output<Scalar> output(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const c::RowsOfPart<double> of_part(part, numbers.rows());
        cpu::topk(call.batch(part, items.rows()), of_part.rows(), output.data() + part.first_item,
                  to_densities + part.first_item, parallel_for);
      });
      output.finish();
    });
  });
}

rank_relax_status rank_relax_soft_topk_product(const rank_relax_tensor* vector,
                                               const rank_relax_tensor* densities,
                                               const rank_relax_options* options,
                                               const rank_relax_tensor* output) {
  return c::status_of("soft_topk_product", [&] {
    c::Call call(options);
    call.check_smooth_cdf();
    const c::Tensor v = call.values("vector", vector);
    const c::Tensor slopes =
        call.items("densities", densities, c::Dtype::kFloat64, v.shape(), "vector");
    call.check_on_cpu();
    call.set_lists(v);
    const c::Tensor result = call.output_like("output", output, v);
    c::visit_scalar(v.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> along(v);
      c::Output<Scalar> product(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        cpu::topk_product(call.batch(part, along.rows()), part.of(slopes.rows<double>()),
                          product.data() + part.first_item, parallel_for);
      });
      product.finish();
    });
  });
}
