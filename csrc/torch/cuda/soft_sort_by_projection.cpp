#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "torch/cuda/projection_inputs.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_sort.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor, at::Tensor> permutahedron_sort_forward_cuda(
    const at::Tensor& input, const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor sorted = at::empty(input.sizes(), input.options());
  const at::Tensor permutation = at::empty(input.sizes(), input.options().dtype(at::kLong));
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {sorted, permutation, blocks};
  ProjectionInputs inputs;
  const cuda::PermutahedronSort problem = {inputs.batch(input, options), results_of(sorted),
                                           permutation.mutable_data_ptr<int64_t>(),
                                           blocks.mutable_data_ptr<int32_t>()};
  run_projection(problem, cuda::permutahedron_sort_workspace(problem), options.method,
                 cuda::permutahedron_sort);
  return {sorted, permutation, blocks};
}

at::Tensor product(const at::Tensor& vector, const at::Tensor& input, const at::Tensor& permutation,
                   const at::Tensor& blocks, bool transposed, const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor output = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return output;
  ProjectionInputs inputs;
  const at::Tensor dense_permutation = permutation.contiguous(), dense_blocks = blocks.contiguous();
  const cuda::PermutahedronSortProduct problem = {inputs.batch(input, options),
                                                  dense_permutation.const_data_ptr<int64_t>(),
                                                  dense_blocks.const_data_ptr<int32_t>(),
                                                  inputs.items(vector),
                                                  transposed,
                                                  results_of(output)};
  run_projection(problem, cuda::permutahedron_sort_product_workspace(problem), options.method,
                 cuda::permutahedron_sort_product);
  return output;
}

at::Tensor permutahedron_sort_backward_cuda(const at::Tensor& grad_output, const at::Tensor& input,
                                            const at::Tensor& permutation, const at::Tensor& blocks,
                                            const Options& options) {
  return product(grad_output, input, permutation, blocks, /*transposed=*/true, options);
}

at::Tensor permutahedron_sort_tangent_cuda(const at::Tensor& direction, const at::Tensor& input,
                                           const at::Tensor& permutation, const at::Tensor& blocks,
                                           const Options& options) {
  return product(direction, input, permutation, blocks, /*transposed=*/false, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::PermutahedronSortForward, permutahedron_sort_forward_cuda>(library);
  kernel<operators::PermutahedronSortBackward, permutahedron_sort_backward_cuda>(library);
  kernel<operators::PermutahedronSortTangent, permutahedron_sort_tangent_cuda>(library);
}

}  // namespace rank_relax
