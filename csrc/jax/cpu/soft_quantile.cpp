#include "cpu/soft_quantile.h"

#include <vector>

#include "adapter.h"
#include "levels.h"

namespace rank_relax::handlers {
namespace {

/// x [, q] [, mask] -> quantiles, points, densities; q is [*, L], or the number `level` for all
/// lists. The last two results are float64 as its bits, [*, L, 2] of uint32.
ffi::Error soft_quantile(ffi::ThreadPool pool, double strength, std::string_view method,
                         double level, bool has_levels, bool has_mask, ffi::AnyBuffer input,
                         ffi::RemainingArgs others, ffi::Result<ffi::AnyBuffer> quantiles,
                         ffi::Result<ffi::AnyBuffer> points,
                         ffi::Result<ffi::AnyBuffer> densities) {
  return run([&] {
    check_smooth_cdf(method);
    if (quantiles->element_count() == 0) return;
    Optional given(others);
    const Levels q = next_levels(given, has_levels, level);
    const auto mask = given.next_if(has_mask);
    visit_batch(input, strength, method, mask, [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      std::vector<double> results(quantiles->element_count());
      cpu::quantiles(batch, q.rows(), q.size(), results.data(), data_of<double>(points),
                     data_of<double>(densities), parallel_for(pool));
      round_to<Scalar>(results, quantiles);
    });
  });
}

/// x, levels [*, L] [, mask] -> the points where the smoothed count has them, and as bits
ffi::Error at_levels(ffi::ThreadPool pool, double strength, std::string_view method,
                     ffi::AnyBuffer input, ffi::AnyBuffer levels, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> rounded, ffi::Result<ffi::AnyBuffer> points) {
  return run([&] {
    check_smooth_cdf(method);
    if (rounded->element_count() == 0) return;
    const Levels wanted(levels);
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      auto* const found = data_of<double>(points);
      cpu::quantile_at_levels(batch, wanted.rows(), wanted.size(), found, parallel_for(pool));
      round_to<Scalar>(std::vector<double>(found, found + rounded->element_count()), rounded);
    });
  });
}

/// x, levels, points, densities, vector [, mask] -> the vector times the Jacobian of the points, or
/// its transpose. Points from_centers are soft_quantile's, the others at_levels', of which no
/// densities are known: these are not read. The levels are for the formula of its derivative.
ffi::Error product(ffi::ThreadPool pool, double strength, std::string_view method, bool transposed,
                   bool from_centers, ffi::AnyBuffer input, ffi::AnyBuffer /*levels*/,
                   ffi::AnyBuffer points, ffi::AnyBuffer densities, ffi::AnyBuffer vector,
                   ffi::RemainingArgs others, ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_smooth_cdf(method);
    if (output->element_count() == 0) return;
    const auto sizes = points.dimensions();
    const cpu::LevelPoints at{data_of<double>(points),
                              from_centers ? data_of<double>(densities) : nullptr,
                              sizes[sizes.size() - 2], from_centers};
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      if (transposed) {
        const Levels factors(vector);
        return cpu::quantiles_to_items(batch, at, factors.rows(), data_of<Scalar>(output),
                                       parallel_for(pool));
      }
      const Lists<Scalar> along(vector, count_of(input));
      std::vector<double> results(output->element_count());
      cpu::quantiles_to_levels(batch, at, along.rows(), results.data(), parallel_for(pool));
      round_to<Scalar>(results, output);
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_quantile, soft_quantile,
                   bind()
                       .Attr<double>("level")
                       .Attr<bool>("has_levels")
                       .Attr<bool>("has_mask")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(quantile_at_levels, at_levels,
                   bind()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(quantile_product, product,
                   bind()
                       .Attr<bool>("transposed")
                       .Attr<bool>("from_centers")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
