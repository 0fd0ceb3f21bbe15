#include "cpu/soft_topk.h"

#include <optional>

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
    std::optional<Levels> k;
    if (has_levels) {
      k.emplace(given.next());
    } else {
      k.emplace(level);
    }
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (has_mask) batch.set_mask(given.next());
      cpu::topk(batch.batch(), k->rows(), static_cast<Scalar*>(chosen->untyped_data()),
                static_cast<double*>(densities->untyped_data()), parallel_for(pool));
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
    const Lists<double> slopes(static_cast<const double*>(densities.untyped_data()),
                               count_of(vector), size_of(vector));
    visit_floating(vector.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      const Batch<Scalar> batch(vector, strength, method);
      cpu::topk_product(batch.batch(), slopes.rows(), static_cast<Scalar*>(output->untyped_data()),
                        parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_topk, soft_topk,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
                       .Attr<double>("level")
                       .Attr<bool>("has_levels")
                       .Attr<bool>("has_mask")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(soft_topk_product, product,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
