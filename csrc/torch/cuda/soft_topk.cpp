#include "cuda/soft_topk.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "torch/any_device/float64.h"
#include "torch/cuda/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_topk.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> soft_topk_forward_cuda(const at::Tensor& input,
                                                          const at::Tensor& k,
                                                          const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor chosen = at::empty(input.sizes(), input.options());
  const at::Tensor densities = at::empty(input.sizes(), input.options().dtype(at::kDouble));
  if (input.numel() == 0) return {chosen, bits_of(densities)};
  const at::Tensor items = at_one_row_stride(input);
  const at::Tensor numbers = at_one_row_stride(k.to(at::kDouble));
  const std::optional<at::Tensor> mask = at_one_row_stride(options.mask);
  cuda::SoftTopK problem;
  problem.rows = rows_of(input);
  problem.size = input.size(-1);
  problem.input = items_of(items);
  if (mask.has_value()) problem.mask = items_of(*mask);
  problem.regularization_strength = options.regularization_strength;
  problem.numbers = items_of(numbers);
  problem.chosen = results_of(chosen);
  problem.densities = densities.mutable_data_ptr<double>();
  check_length(problem.size, cuda::kLongestRow, options.method);
  const at::DataPtr workspace = device_memory(cuda::soft_topk_workspace(problem));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::soft_topk(problem, options.method, workspace.get(), stream);
  });
  return {chosen, bits_of(densities)};
}

at::Tensor soft_topk_backward_cuda(const at::Tensor& grad_output, const at::Tensor& input,
                                   const at::Tensor&, const at::Tensor& densities,
                                   const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor product = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return product;
  const at::Tensor vectors = at_one_row_stride(grad_output);
  const at::Tensor slopes = at_one_row_stride(float64_of(densities));
  const cuda::SoftTopKProduct problem = {rows_of(input),
                                         input.size(-1),
                                         items_of(vectors),
                                         items_of(slopes),
                                         options.regularization_strength,
                                         results_of(product)};
  const at::DataPtr workspace = device_memory(cuda::soft_topk_product_workspace(problem));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::soft_topk_product(problem, workspace.get(), stream);
  });
  return product;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::SoftTopKForward, soft_topk_forward_cuda>(library);
  kernel<operators::SoftTopKBackward, soft_topk_backward_cuda>(library);
}

}  // namespace rank_relax
