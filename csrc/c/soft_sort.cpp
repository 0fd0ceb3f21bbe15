#include "cpu/soft_sort.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "c/call.h"
#include "c/on_cuda.h"
#include "core/projection/permutahedron.h"
#include "core/refusals.h"
#include "cpu/projection/permutahedron.h"

using namespace rank_relax;

namespace {

struct SavedDtypes {
  c::Dtype points, densities;
};

/// By a projection they are the permutation and the blocks.
SavedDtypes saved_dtypes(const c::Call& call) {
  if (Projections::contains(call.method())) return {c::Dtype::kInt64, c::Dtype::kInt32};
  return {c::Dtype::kFloat64, c::Dtype::kFloat64};
}

}  // namespace

rank_relax_status rank_relax_soft_sort(const rank_relax_tensor* input,
                                       const rank_relax_options* options,
                                       const rank_relax_tensor* values,
                                       const rank_relax_tensor* points,
                                       const rank_relax_tensor* densities) {
  return c::status_of("soft_sort", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    call.set_lists(x);
    const c::Tensor result = call.output_like("values", values, x);
    const bool saved = points != nullptr || densities != nullptr;
    std::vector<c::Tensor> both;
    if (saved) {
      const SavedDtypes dtypes = saved_dtypes(call);
      both.push_back(call.output("points", points, dtypes.points, x.shape(), "input"));
      both.push_back(call.output("densities", densities, dtypes.densities, x.shape(), "input"));
    }
    const bool projected = Projections::contains(call.method());
    if (call.is_on_cuda()) {
      if (!projected) {
        const auto one = [&](size_t which) {
          return saved ? std::optional<c::Tensor>(both[which]) : std::nullopt;
        };
        return c::on_cuda::sort_by_cdf(call, x, result, one(0), one(1));
      }
      if (!saved) c::refuse("points and densities must be given on CUDA with this method");
      return c::on_cuda::sort_by_projection(call, x, result, both[0], both[1]);
    }
    std::vector<int64_t> permutation(!saved && projected ? x.numel() : 0);
    std::vector<int32_t> blocks(permutation.size());
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x);
      c::Output<Scalar> output(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const auto batch = call.batch(part, items.rows());
        Scalar* const to = output.data() + part.first_item;
        if (projected) {
          int64_t* const places = saved ? both[0].data<int64_t>() : permutation.data();
          int32_t* const numbers = saved ? both[1].data<int32_t>() : blocks.data();
          cpu::permutahedron_sort(batch, to, places + part.first_item, numbers + part.first_item,
                                  parallel_for);
        } else {
          const auto at = [&](size_t which) {
            return saved ? both[which].data<double>() + part.first_item : nullptr;
          };
          cpu::quantile_sort(batch, to, at(0), at(1), parallel_for);
        }
      });
      output.finish();
    });
  });
}

rank_relax_status rank_relax_soft_sort_product(
    const rank_relax_tensor* vector, const rank_relax_tensor* input,
    const rank_relax_tensor* points, const rank_relax_tensor* densities, int32_t transposed,
    const rank_relax_options* options, const rank_relax_tensor* output) {
  return c::status_of("soft_sort_product", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    const c::Tensor v = call.like("vector", vector, x);
    const SavedDtypes dtypes = saved_dtypes(call);
    const c::Tensor at = call.items("points", points, dtypes.points, x.shape(), "input");
    const c::Tensor slopes =
        call.items("densities", densities, dtypes.densities, x.shape(), "input");
    at.check_as_written();
    slopes.check_as_written();
    call.set_lists(x);
    const c::Tensor result = call.output_like("output", output, x);
    const bool projected = Projections::contains(call.method());
    if (call.is_on_cuda()) {
      if (!projected) call.check_on_cpu();
      return c::on_cuda::sort_product(call, {v, x, at, slopes, transposed != 0}, result);
    }
    if (projected) {
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor&) {
        if (!cpu::are_permutations(part.of(at.rows<int64_t>()), part.lists, part.size)) {
          c::refuse(refusal::not_from_forward("points"));
        }
      });
    }
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> items(x), along(v);
      c::Output<Scalar> product(result);
      call.for_each_part(false, [&](const c::Part& part, const cpu::ParallelFor& parallel_for) {
        const auto batch = call.batch(part, items.rows());
        const cpu::Rows<Scalar> rows = part.of(along.rows());
        Scalar* const to = product.data() + part.first_item;
        if (projected) {
          cpu::permutahedron_sort_product(
              batch, {part.of(at.rows<int64_t>()), part.of(slopes.rows<int32_t>())}, rows,
              transposed != 0, to, parallel_for);
        } else {
          cpu::quantile_sort_product(
              batch, {at.data<double>() + part.first_item, slopes.data<double>() + part.first_item},
              rows, transposed != 0, to, parallel_for);
        }
      });
      product.finish();
    });
  });
}

rank_relax_status rank_relax_soft_sort_workspace(const rank_relax_tensor* input,
                                                 const rank_relax_options* options, size_t* bytes) {
  return c::status_of("soft_sort_workspace", [&] {
    c::Call call(options);
    const c::Tensor x = call.values("input", input);
    call.set_lists(x);
    if (!call.is_on_cuda()) return c::set_bytes(bytes, 0);
    size_t needed = c::on_cuda::sort_workspace(call, x);
    if (Projections::contains(call.method())) {
      needed = std::max(needed, c::on_cuda::sort_product_workspace(call, x));
    }
    c::set_bytes(bytes, needed);
  });
}
