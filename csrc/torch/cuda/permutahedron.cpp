#include "torch/cuda/permutahedron.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "cuda/projection/permutahedron.h"
#include "torch/checks.h"
#include "torch/cuda/adapter.h"

namespace rank_relax {
namespace {

/// Enqueues enqueue(problem, method, memory, stream) on the current stream.
template <class Problem, class Enqueue>
void run(const Problem& problem, size_t workspace, std::string_view method,
         const Enqueue& enqueue) {
  const at::DataPtr memory = device_memory(workspace);
  enqueue_on_current_stream(
      [&](cudaStream_t stream) { return enqueue(problem, method, memory.get(), stream); });
}

/// The tensors of a call, at one row stride each; copies live until the kernels are enqueued.
class Inputs {
 public:
  cuda::Items items(const at::Tensor& tensor) {
    kept_.push_back(at_one_row_stride(tensor));
    return items_of(kept_.back());
  }

  cuda::RowBatch batch(const at::Tensor& input, const Options& options) {
    check_blocks_fit(input.size(-1), options.method);
    cuda::RowBatch batch;
    batch.rows = rows_of(input);
    batch.size = input.size(-1);
    batch.input = items(input);
    if (options.mask.has_value()) batch.mask = items(*options.mask);
    batch.regularization_strength = options.regularization_strength;
    return batch;
  }

 private:
  std::vector<at::Tensor> kept_;
};

std::tuple<at::Tensor, at::Tensor> permutahedron_rank_forward_cuda(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_permutahedron_rank_forward(input, options);
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor ranks = at::empty(input.sizes(), input.options());
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {ranks, blocks};
  Inputs inputs;
  cuda::PermutahedronRank problem;
  problem.batch = inputs.batch(input, options);
  problem.shift = 0.5;
  problem.ranks = results_of(ranks);
  problem.blocks = blocks.mutable_data_ptr<int32_t>();
  run(problem, cuda::permutahedron_rank_workspace(problem), method, cuda::permutahedron_rank);
  return {ranks, blocks};
}

at::Tensor permutahedron_rank_derivative_cuda(at::TensorList directions, const at::Tensor& input,
                                              const at::Tensor& blocks,
                                              double regularization_strength,
                                              std::string_view method,
                                              const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_permutahedron_rank_derivative(directions, input, blocks, options);
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor output = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return output;
  Inputs inputs;
  const at::Tensor dense_blocks = blocks.contiguous();
  cuda::PermutahedronRankDerivative problem;
  problem.batch = inputs.batch(input, options);
  problem.blocks = dense_blocks.const_data_ptr<int32_t>();
  problem.order = 0;
  for (const at::Tensor& direction : directions) {
    problem.directions[problem.order++] = inputs.items(direction);
  }
  problem.output = results_of(output);
  run(problem, cuda::permutahedron_rank_derivative_workspace(problem), method,
      cuda::permutahedron_rank_derivative);
  return output;
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> permutahedron_sort_forward_cuda(
    const at::Tensor& input, double regularization_strength, std::string_view method,
    const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_permutahedron_sort_forward(input, options);
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor sorted = at::empty(input.sizes(), input.options());
  const at::Tensor permutation = at::empty(input.sizes(), input.options().dtype(at::kLong));
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {sorted, permutation, blocks};
  Inputs inputs;
  const cuda::PermutahedronSort problem = {inputs.batch(input, options), results_of(sorted),
                                           permutation.mutable_data_ptr<int64_t>(),
                                           blocks.mutable_data_ptr<int32_t>()};
  run(problem, cuda::permutahedron_sort_workspace(problem), method, cuda::permutahedron_sort);
  return {sorted, permutation, blocks};
}

at::Tensor sort_product(const at::Tensor& vector, const at::Tensor& input,
                        const at::Tensor& permutation, const at::Tensor& blocks, bool transposed,
                        const Options& options) {
  const c10::cuda::CUDAGuard guard(input.device());
  const at::Tensor output = at::empty(input.sizes(), input.options());
  if (input.numel() == 0) return output;
  Inputs inputs;
  const at::Tensor dense_permutation = permutation.contiguous(), dense_blocks = blocks.contiguous();
  const cuda::PermutahedronSortProduct problem = {inputs.batch(input, options),
                                                  dense_permutation.const_data_ptr<int64_t>(),
                                                  dense_blocks.const_data_ptr<int32_t>(),
                                                  inputs.items(vector),
                                                  transposed,
                                                  results_of(output)};
  run(problem, cuda::permutahedron_sort_product_workspace(problem), options.method,
      cuda::permutahedron_sort_product);
  return output;
}

at::Tensor permutahedron_sort_backward_cuda(const at::Tensor& grad_output, const at::Tensor& input,
                                            const at::Tensor& permutation, const at::Tensor& blocks,
                                            double regularization_strength, std::string_view method,
                                            const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_permutahedron_sort_product("_permutahedron_sort_backward", "grad_output", grad_output,
                                   input, permutation, blocks, options);
  return sort_product(grad_output, input, permutation, blocks, /*transposed=*/true, options);
}

at::Tensor permutahedron_sort_tangent_cuda(const at::Tensor& direction, const at::Tensor& input,
                                           const at::Tensor& permutation, const at::Tensor& blocks,
                                           double regularization_strength, std::string_view method,
                                           const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  check_permutahedron_sort_product("_permutahedron_sort_tangent", "direction", direction, input,
                                   permutation, blocks, options);
  return sort_product(direction, input, permutation, blocks, /*transposed=*/false, options);
}

}  // namespace

void run_rank_by_projection(const cuda::KernelSum& problem, std::string_view method) {
  check_blocks_fit(problem.size, method);
  cuda::RowBatch batch;
  batch.rows = problem.rows;
  batch.size = problem.size;
  batch.input = problem.input;
  batch.mask = problem.mask;
  batch.regularization_strength = problem.regularization_strength;
  batch.for_correlation = problem.for_correlation;
  if (problem.order == 0) {
    const cuda::PermutahedronRank rank = {batch, problem.shift, problem.output};
    return run(rank, cuda::permutahedron_rank_workspace(rank), method, cuda::permutahedron_rank);
  }
  cuda::PermutahedronRankDerivative derivative;
  derivative.batch = batch;
  derivative.order = problem.order;
  std::copy_n(problem.directions, problem.order, derivative.directions);
  derivative.factor = problem.factor;
  derivative.spread_nan = problem.spread_nan;
  derivative.output = problem.output;
  run(derivative, cuda::permutahedron_rank_derivative_workspace(derivative), method,
      cuda::permutahedron_rank_derivative);
}

TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) {
  library.impl("_permutahedron_rank_forward", permutahedron_rank_forward_cuda);
  library.impl("_permutahedron_rank_derivative", permutahedron_rank_derivative_cuda);
  library.impl("_permutahedron_sort_forward", permutahedron_sort_forward_cuda);
  library.impl("_permutahedron_sort_backward", permutahedron_sort_backward_cuda);
  library.impl("_permutahedron_sort_tangent", permutahedron_sort_tangent_cuda);
}

}  // namespace rank_relax
