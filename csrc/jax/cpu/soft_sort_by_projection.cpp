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
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      cpu::permutahedron_sort(batch, data_of<Scalar>(values), places.data(),
                              data_of<int32_t>(blocks), parallel_for(pool));
    });
    std::copy(places.begin(), places.end(), data_of<int32_t>(permutation));
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
    const auto* const given = data_of<int32_t>(permutation);
    const std::vector<int64_t> places(given, given + count * size);
    const Lists<int64_t> items(places.data(), count, size);
    const Lists<int32_t> numbers(blocks, count);
    visit_batch(input, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      const Lists<Scalar> factors(vector, count);
      cpu::permutahedron_sort_product(batch, {items.rows(), numbers.rows()}, factors.rows(),
                                      transposed, data_of<Scalar>(output), parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(projection_sort, soft_sort,
                   bind()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(projection_sort_product, product,
                   bind()
                       .Attr<bool>("transposed")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
