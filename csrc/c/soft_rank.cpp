#include "cpu/soft_rank.h"

#include <deque>
#include <vector>

#include "c/call.h"
#include "c/on_cuda.h"
#include "core/methods.h"
#include "core/refusals.h"

using namespace rank_relax;

namespace {

void check_order(const c::Call& call, int32_t order) {
  const int most = max_order(call.method());
  if (order < 0) c::refuse(refusal::not_an_order(0, most, order));
  if (order > most) c::refuse(refusal::too_many_directions(most, call.method(), order));
}

}  // namespace

rank_relax_status rank_relax_soft_rank(const rank_relax_tensor* input,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* ranks) {
  return c::status_of("soft_rank", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    call.set_lists(x);
    const c::Tensor result = call.output_like("ranks", ranks, x);
    if (call.is_on_cuda()) return c::on_cuda::ranks(call, {x, 0, 0.5}, {}, result);
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x);
      c::Output<Scalar> output(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        cpu::soft_rank(call.batch(part, items.rows()), output.data() + part.first_item,
                       parallel_for);
      });
      output.finish();
    });
  });
}

rank_relax_status rank_relax_soft_rank_derivative(const rank_relax_tensor* input,
                                                  const rank_relax_tensor* const* directions,
                                                  int32_t order, const rank_relax_options* options,
                                                  const rank_relax_tensor* output) {
  return c::status_of("soft_rank_derivative", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    check_order(call, order);
    if (order > 0 && directions == nullptr) {
      c::refuse(refusal::sentence("directions must be ", order, " tensors, got NULL"));
    }
    std::vector<c::Tensor> along;
    for (int32_t k = 0; k < order; ++k) {
      along.push_back(call.like("directions", directions[k], x));
    }
    call.set_lists(x);
    const c::Tensor result = call.output_like("output", output, x);
    if (call.is_on_cuda()) return c::on_cuda::ranks(call, {x, order, 0}, along, result);
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x);
      std::deque<c::Input<Scalar>> vectors;
      for (const c::Tensor& direction : along) vectors.emplace_back(direction);
      c::Output<Scalar> derivative(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        std::vector<cpu::Rows<Scalar>> rows;
        for (const auto& vector : vectors) rows.push_back(part.of(vector.rows()));
        cpu::soft_rank_derivative(call.batch(part, items.rows()), rows.data(), order,
                                  derivative.data() + part.first_item, parallel_for);
      });
      derivative.finish();
    });
  });
}

rank_relax_status rank_relax_soft_rank_workspace(const rank_relax_tensor* input, int32_t order,
                                                 const rank_relax_options* options, size_t* bytes) {
  return c::status_of("soft_rank_workspace", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    check_order(call, order);
    call.set_lists(x);
    c::set_bytes(bytes, call.is_on_cuda() ? c::on_cuda::ranks_workspace(call, {x, order, 0}) : 0);
  });
}
