#include "cpu/soft_topk.h"

#include "adapter.h"
#include "levels.h"

namespace rank_relax::handlers {
namespace {

/// x [, k] [, mask] -> shares, densities; k is [*, 1], or the number `level` for all lists. The
/// densities are float64 as its bits, [*, n, 2] of uint32.
ffi::Error soft_topk(ffi::ThreadPool pool, double strength, std::string_view method, double level,
                     bool has_levels, bool has_mask, ffi::AnyBuffer input,
                     ffi::RemainingArgs others, ffi::Result<ffi::AnyBuffer> chosen,
                     ffi::Result<ffi::AnyBuffer> densities) {
  return run([&] {
    check_smooth_cdf(method);
    if (input.element_count() == 0) return;
    Optional given(others);
    const Levels k = next_levels(given, has_levels, level);
    const auto mask = given.next_if(has_mask);
    visit_batch(input, strength, method, mask, [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      cpu::topk(batch, k.rows(), data_of<Scalar>(chosen), data_of<double>(densities),
                parallel_for(pool));
    });
  });
}

/// vector, densities, ... -> the product with the Jacobian of the shares, which is symmetric. What
/// else is given is for the formula of its derivative.
ffi::Error product(ffi::ThreadPool pool, double strength, std::string_view method,
                   ffi::AnyBuffer vector, ffi::AnyBuffer densities, ffi::RemainingArgs,
                   ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_smooth_cdf(method);
    if (vector.element_count() == 0) return;
    const Lists<double> slopes(data_of<double>(densities), count_of(vector), size_of(vector));
    visit_batch(vector, strength, method, std::nullopt, [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      cpu::topk_product(batch, slopes.rows(), data_of<Scalar>(output), parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_topk, soft_topk,
                   bind()
                       .Attr<double>("level")
                       .Attr<bool>("has_levels")
                       .Attr<bool>("has_mask")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(
    soft_topk_product, product,
    bind().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
