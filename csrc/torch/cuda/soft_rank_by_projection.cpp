#include "torch/cuda/soft_rank_by_projection.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <tuple>

#include "cuda/projection/of_kernel_sum.h"
#include "torch/cuda/projection_inputs.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> permutahedron_rank_forward_cuda(const at::Tensor& input,
                                                                   const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor ranks = at::empty(input.sizes(), input.options());
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {ranks, blocks};
  ProjectionInputs inputs;
  cuda::PermutahedronRank problem;
  problem.batch = inputs.batch(input, options);
  problem.shift = 0.5;
  problem.ranks = results_of(ranks);
  problem.blocks = blocks.mutable_data_ptr<int32_t>();
  run_projection(problem, cuda::permutahedron_rank_workspace(problem), options.method,
                 cuda::permutahedron_rank);
  return {ranks, blocks};
}

at::Tensor permutahedron_rank_derivative_cuda(at::TensorList directions, const at::Tensor& input,
                                              const at::Tensor& blocks, const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor output = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return output;
  ProjectionInputs inputs;
  const at::Tensor dense_blocks = blocks.contiguous();
  cuda::PermutahedronRankDerivative problem;
  problem.batch = inputs.batch(input, options);
  problem.blocks = dense_blocks.const_data_ptr<int32_t>();
  problem.order = 0;
  for (const at::Tensor& direction : directions) {
    problem.directions[problem.order++] = inputs.items(direction);
  }
  problem.output = results_of(output);
  run_projection(problem, cuda::permutahedron_rank_derivative_workspace(problem), options.method,
                 cuda::permutahedron_rank_derivative);
  return output;
}

}  // namespace

void run_rank_by_projection(const cuda::KernelSum& problem, std::string_view method) {
  check_blocks_fit(problem.size, method);
  if (problem.order == 0) {
    const cuda::PermutahedronRank rank = cuda::rank_of(problem);
    return run_projection(rank, cuda::permutahedron_rank_workspace(rank), method,
                          cuda::permutahedron_rank);
  }
  const cuda::PermutahedronRankDerivative derivative = cuda::rank_derivative_of(problem);
  run_projection(derivative, cuda::permutahedron_rank_derivative_workspace(derivative), method,
                 cuda::permutahedron_rank_derivative);
}

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  kernel<operators::PermutahedronRankForward, permutahedron_rank_forward_cuda>(library);
  kernel<operators::PermutahedronRankDerivative, permutahedron_rank_derivative_cuda>(library);
}

}  // namespace rank_relax
