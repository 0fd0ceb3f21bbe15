#include "cpu/soft_quantile.h"

#include <optional>
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
    std::optional<Levels> q;
    if (has_levels) {
      q.emplace(given.next());
    } else {
      q.emplace(level);
    }
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (has_mask) batch.set_mask(given.next());
      std::vector<double> results(quantiles->element_count());
      cpu::quantiles(batch.batch(), q->rows(), q->size(), results.data(),
                     static_cast<double*>(points->untyped_data()),
                     static_cast<double*>(densities->untyped_data()), parallel_for(pool));
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
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (others.size() > 0) batch.set_mask(Optional(others).next());
      auto* const found = static_cast<double*>(points->untyped_data());
      cpu::quantile_at_levels(batch.batch(), wanted.rows(), wanted.size(), found,
                              parallel_for(pool));
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
    const cpu::LevelPoints at{
        static_cast<const double*>(points.untyped_data()),
        from_centers ? static_cast<const double*>(densities.untyped_data()) : nullptr,
        sizes[sizes.size() - 2], from_centers};
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (others.size() > 0) batch.set_mask(Optional(others).next());
      if (transposed) {
        const Levels factors(vector);
        return cpu::quantiles_to_items(batch.batch(), at, factors.rows(),
                                       static_cast<Scalar*>(output->untyped_data()),
                                       parallel_for(pool));
      }
      const Lists<Scalar> along(vector, count_of(input));
      std::vector<double> results(output->element_count());
      cpu::quantiles_to_levels(batch.batch(), at, along.rows(), results.data(), parallel_for(pool));
      round_to<Scalar>(results, output);
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_quantile, soft_quantile,
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
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(quantile_at_levels, at_levels,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(quantile_product, product,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
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
