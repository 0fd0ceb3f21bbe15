#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "core/refusals.h"
#include "cpu/projection/permutahedron.h"
#include "torch/cpu/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_sort.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> permutahedron_sort_forward_cpu(
    const at::Tensor& input, const Options& options) {
  const at::Tensor permutation = at::empty(input.sizes(), input.options().dtype(at::kLong));
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {at::empty(input.sizes(), input.options()), permutation, blocks};
  check_blocks_fit(input.size(-1), options.method);
  const at::Tensor values = at_least_float32(input);
  const at::Tensor sorted = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "soft_sort", [&] {
    cpu::permutahedron_sort(soft_batch_of<scalar_t>(values, options),
                            sorted.mutable_data_ptr<scalar_t>(),
                            permutation.mutable_data_ptr<int64_t>(),
                            blocks.mutable_data_ptr<int32_t>(), torch_parallel_for);
  });
  return {sorted.to(input.scalar_type()), permutation, blocks};
}

at::Tensor permutahedron_product(const at::Tensor& vector, const at::Tensor& input,
                                 const at::Tensor& permutation, const at::Tensor& blocks,
                                 bool transposed, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  check_blocks_fit(input.size(-1), options.method);
  const int64_t size = input.size(-1);
  TORCH_CHECK_VALUE(
      cpu::are_permutations(rows_of<int64_t>(permutation), input.numel() / size, size),
      transposed ? operators::PermutahedronSortBackward::name
                 : operators::PermutahedronSortTangent::name,
      ": ", refusal::not_from_forward("permutation"));
  const at::Tensor values = at_least_float32(input);
  const at::Tensor vector_values = at_least_float32(vector);
  const at::Tensor output = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "permutahedron_sort_product", [&] {
    cpu::permutahedron_sort_product(soft_batch_of<scalar_t>(values, options),
                                    {rows_of<int64_t>(permutation), rows_of<int32_t>(blocks)},
                                    rows_of<scalar_t>(vector_values), transposed,
                                    output.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return output.to(input.scalar_type());
}

at::Tensor permutahedron_sort_backward_cpu(const at::Tensor& grad_output, const at::Tensor& input,
                                           const at::Tensor& permutation, const at::Tensor& blocks,
                                           const Options& options) {
  return permutahedron_product(grad_output, input, permutation, blocks, /*transposed=*/true,
                               options);
}

at::Tensor permutahedron_sort_tangent_cpu(const at::Tensor& direction, const at::Tensor& input,
                                          const at::Tensor& permutation, const at::Tensor& blocks,
                                          const Options& options) {
  return permutahedron_product(direction, input, permutation, blocks,
                               /*transposed=*/false, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::PermutahedronSortForward, permutahedron_sort_forward_cpu>(library);
  kernel<operators::PermutahedronSortBackward, permutahedron_sort_backward_cpu>(library);
  kernel<operators::PermutahedronSortTangent, permutahedron_sort_tangent_cpu>(library);
}

}  // namespace rank_relax
