#include "cpu/soft_count.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "ordered_items.h"

namespace rank_relax::handlers {
namespace {

/// Keys as numbers that order as they do, NaN as `of_nan`; never none, which would be no keys.
std::vector<uint64_t> in_order(const ffi::AnyBuffer& keys, uint64_t of_nan) {
  const size_t count = keys.element_count();
  std::vector<uint64_t> numbers(std::max<size_t>(count, 1));
  visit_order(keys.element_type(), [&](auto order) {
    using Order = decltype(order);
    const auto* const from = data_of<typename Order::Bits>(keys);
    cpu::put_in_order<Order>({from, 1}, static_cast<int64_t>(count), of_nan, numbers.data());
  });
  return numbers;
}

/// points [*, m], values [*, n], weights [*, K, n] [, point keys, value keys] -> sums [*, K, m]
ffi::Error kernel_sum(ffi::ThreadPool pool, double strength, std::string_view method, int64_t order,
                      ffi::AnyBuffer points, ffi::AnyBuffer values, ffi::AnyBuffer weights,
                      ffi::RemainingArgs keys, ffi::Result<ffi::AnyBuffer> sums) {
  return run([&] {
    check_smooth_cdf(method);
    if (sums->element_count() == 0) return;
    const int64_t count = count_of(points), m = size_of(points), n = size_of(values);
    const int64_t sets = count_of(weights) / count;
    std::vector<uint64_t> of_points, of_values;
    Lists<uint64_t> point_keys, value_keys;
    if (keys.size() > 0) {
      // NaN is the last of values and the first of points: none is smaller than another.
      Optional given(keys);
      of_points = in_order(given.next(), 0);
      of_values = in_order(given.next(), std::numeric_limits<uint64_t>::max());
      point_keys = Lists<uint64_t>(of_points.data(), count, m);
      value_keys = Lists<uint64_t>(of_values.data(), count, n);
    }
    visit_floating(points.element_type(), [&](auto zero) {
      using Scalar = decltype(zero);
      const Lists<Scalar> t(points, count), x(values, count), w(weights, count * sets);
      cpu::soft_count<Scalar>({count,
                               1,
                               {t.rows(), m, {}},
                               {x.rows(), n, {}},
                               point_keys.rows(),
                               value_keys.rows(),
                               w.rows(),
                               sets,
                               static_cast<int>(order),
                               strength,
                               method},
                              data_of<Scalar>(sums), parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(kernel_sum, kernel_sum,
                   bind()
                       .Attr<int64_t>("order")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
