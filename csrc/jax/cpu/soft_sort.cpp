#include "cpu/soft_sort.h"

#include "adapter.h"

namespace rank_relax::handlers {
namespace {

/// x [, mask] -> values, points, densities. The last two are float64 as its bits, [*, n, 2] of
/// uint32: JAX has no float64 where it isn't asked for.
ffi::Error soft_sort(ffi::ThreadPool pool, double strength, std::string_view method,
                     ffi::AnyBuffer input, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> values, ffi::Result<ffi::AnyBuffer> points,
                     ffi::Result<ffi::AnyBuffer> densities) {
  return run([&] {
    check_smooth_cdf(method);
    if (input.element_count() == 0) return;
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      cpu::quantile_sort(batch, data_of<Scalar>(values), data_of<double>(points),
                         data_of<double>(densities), parallel_for(pool));
    });
  });
}

/// x, points, densities, vector [, mask] -> the vector times the Jacobian at x, or its transpose
ffi::Error product(ffi::ThreadPool pool, double strength, std::string_view method, bool transposed,
                   ffi::AnyBuffer input, ffi::AnyBuffer points, ffi::AnyBuffer densities,
                   ffi::AnyBuffer vector, ffi::RemainingArgs others,
                   ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_smooth_cdf(method);
    if (input.element_count() == 0) return;
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      const Lists<Scalar> factors(vector, count_of(input));
      cpu::quantile_sort_product(batch, {data_of<double>(points), data_of<double>(densities)},
                                 factors.rows(), transposed, data_of<Scalar>(output),
                                 parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_sort, soft_sort,
                   bind()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(soft_sort_product, product,
                   bind()
                       .Attr<bool>("transposed")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
