#include "cpu/soft_rank.h"

#include <vector>

#include "adapter.h"

namespace rank_relax::handlers {
namespace {

/// x [, mask] -> R
ffi::Error soft_rank(ffi::ThreadPool pool, double strength, std::string_view method,
                     ffi::AnyBuffer input, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> ranks) {
  return run([&] {
    check_method(method);
    if (input.element_count() == 0) return;
    check_blocks_fit(size_of(input), method);
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      cpu::soft_rank(batch, data_of<Scalar>(ranks), parallel_for(pool));
    });
  });
}

/// x [, mask], v_1, ..., v_k -> D(v_1..v_k; x)
ffi::Error derivative(ffi::ThreadPool pool, double strength, std::string_view method, bool has_mask,
                      ffi::AnyBuffer input, ffi::RemainingArgs others,
                      ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_method(method);
    if (input.element_count() == 0) return;
    check_blocks_fit(size_of(input), method);
    Optional given(others);
    const auto mask = given.next_if(has_mask);
    visit_batch(input, strength, method, mask, [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      std::vector<Lists<Scalar>> directions;
      while (given.left() > 0) directions.emplace_back(given.next(), count_of(input));
      if (static_cast<int>(directions.size()) > max_order(method)) {
        throw Refused("rank_relax: " +
                      refusal::too_many_directions(max_order(method), method, directions.size()));
      }
      std::vector<cpu::Rows<Scalar>> rows;
      for (const Lists<Scalar>& direction : directions) rows.push_back(direction.rows());
      cpu::soft_rank_derivative(batch, rows.data(), static_cast<int>(rows.size()),
                                data_of<Scalar>(output), parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_rank, soft_rank,
                   bind().Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(
    soft_rank_derivative, derivative,
    bind().Attr<bool>("has_mask").Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
