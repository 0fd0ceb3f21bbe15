#include "cpu/soft_rank.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <vector>

#include "torch/cpu/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"

namespace rank_relax {
namespace {

at::Tensor soft_rank_cpu(const at::Tensor& input, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  const at::Tensor values = at_least_float32(input);
  const at::Tensor ranks = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "soft_rank", [&] {
    cpu::soft_rank(soft_batch_of<scalar_t>(values, options), ranks.mutable_data_ptr<scalar_t>(),
                   torch_parallel_for);
  });
  return ranks.to(input.scalar_type());
}

at::Tensor derivative(at::TensorList directions, const at::Tensor& input, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  check_blocks_fit(input.size(-1), options.method);
  const at::Tensor values = at_least_float32(input);
  std::vector<at::Tensor> direction_values;
  for (const at::Tensor& direction : directions) {
    direction_values.push_back(at_least_float32(direction));
  }
  const at::Tensor output = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "soft_rank_derivative", [&] {
    std::vector<cpu::Rows<scalar_t>> rows;
    for (const at::Tensor& direction : direction_values) {
      rows.push_back(rows_of<scalar_t>(direction));
    }
    cpu::soft_rank_derivative(soft_batch_of<scalar_t>(values, options), rows.data(),
                              static_cast<int>(rows.size()), output.mutable_data_ptr<scalar_t>(),
                              torch_parallel_for);
  });
  return output.to(input.scalar_type());
}

at::Tensor soft_rank_backward_cpu(const at::Tensor& grad_output, const at::Tensor& input,
                                  const Options& options) {
  return derivative(grad_output, input, options);
}

at::Tensor soft_rank_derivative_cpu(at::TensorList directions, const at::Tensor& input,
                                    const Options& options) {
  return derivative(directions, input, options);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SoftRank, soft_rank_cpu>(library);
  kernel<operators::SoftRankBackward, soft_rank_backward_cpu>(library);
  kernel<operators::SoftRankDerivative, soft_rank_derivative_cpu>(library);
}

}  // namespace rank_relax
