#include "cpu/soft_topk.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/any_device/float64.h"
#include "torch/cpu/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_topk.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> soft_topk_forward_cpu(const at::Tensor& input,
                                                         const at::Tensor& k,
                                                         const Options& options) {
  const at::Tensor items = at_least_float32(input);
  const at::Tensor chosen = at::empty(items.sizes(), items.options());
  const at::Tensor densities = at::empty(input.sizes(), input.options().dtype(at::kDouble));
  if (input.numel() == 0) return {chosen.to(input.scalar_type()), bits_of(densities)};
  const at::Tensor counts = k.to(at::kDouble);
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "soft_topk", [&] {
    cpu::topk(soft_batch_of<scalar_t>(items, options), rows_of<double>(counts),
              chosen.mutable_data_ptr<scalar_t>(), densities.mutable_data_ptr<double>(),
              torch_parallel_for);
  });
  return {chosen.to(input.scalar_type()), bits_of(densities)};
}

at::Tensor soft_topk_backward_cpu(const at::Tensor& grad_output, const at::Tensor& input,
                                  const at::Tensor&, const at::Tensor& densities,
                                  const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  const at::Tensor vector = at_least_float32(grad_output), slopes = float64_of(densities);
  const at::Tensor product = at::empty(vector.sizes(), vector.options());
  AT_DISPATCH_FLOATING_TYPES(vector.scalar_type(), "soft_topk_backward", [&] {
    cpu::topk_product(soft_batch_of<scalar_t>(vector, options), rows_of<double>(slopes),
                      product.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return product.to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SoftTopKForward, soft_topk_forward_cpu>(library);
  kernel<operators::SoftTopKBackward, soft_topk_backward_cpu>(library);
}

}  // namespace rank_relax
