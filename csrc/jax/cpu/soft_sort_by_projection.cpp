#include <algorithm>
#include <vector>

#include "adapter.h"
#include "core/projection/permutahedron.h"
#include "cpu/projection/permutahedron.h"

namespace rank_relax::handlers {
namespace {

void check_projection(std::string_view method, int64_t size) {
  if (!Projections::contains(method)) {
    throw Refused("rank_relax: " + refusal::not_a_choice("method", Projections::names(), method));
  }
  check_blocks_fit(size, method);  // and so places fit int32
}

/// x [, mask] -> values, permutation and blocks, int32 both
ffi::Error soft_sort(ffi::ThreadPool pool, double strength, std::string_view method,
                     ffi::AnyBuffer input, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> values, ffi::Result<ffi::AnyBuffer> permutation,
                     ffi::Result<ffi::AnyBuffer> blocks) {
  return run([&] {
    if (input.element_count() == 0) return;
    check_projection(method, size_of(input));
    std::vector<int64_t> places(input.element_count());
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (others.size() > 0) batch.set_mask(Optional(others).next());
      cpu::permutahedron_sort(batch.batch(), static_cast<Scalar*>(values->untyped_data()),
                              places.data(), static_cast<int32_t*>(blocks->untyped_data()),
                              parallel_for(pool));
    });
    std::copy(places.begin(), places.end(), static_cast<int32_t*>(permutation->untyped_data()));
  });
}

/// x, permutation, blocks, vector [, mask] -> the vector times the Jacobian at x, or its transpose
ffi::Error product(ffi::ThreadPool pool, double strength, std::string_view method, bool transposed,
                   ffi::AnyBuffer input, ffi::AnyBuffer permutation, ffi::AnyBuffer blocks,
                   ffi::AnyBuffer vector, ffi::RemainingArgs others,
                   ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    if (input.element_count() == 0) return;
    check_projection(method, size_of(input));
    const int64_t count = count_of(input), size = size_of(input);
    const auto* const given = static_cast<const int32_t*>(permutation.untyped_data());
    const std::vector<int64_t> places(given, given + count * size);
    const Lists<int64_t> items(places.data(), count, size);
    const Lists<int32_t> numbers(blocks, count);
    visit_floating(input.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      Batch<Scalar> batch(input, strength, method);
      if (others.size() > 0) batch.set_mask(Optional(others).next());
      const Lists<Scalar> factors(vector, count);
      cpu::permutahedron_sort_product(batch.batch(), {items.rows(), numbers.rows()}, factors.rows(),
                                      transposed, static_cast<Scalar*>(output->untyped_data()),
                                      parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(projection_sort, soft_sort,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(projection_sort_product, product,
                   ffi::Ffi::Bind()
                       .Ctx<ffi::ThreadPool>()
                       .Attr<double>("regularization_strength")
                       .Attr<std::string_view>("method")
                       .Attr<bool>("transposed")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
