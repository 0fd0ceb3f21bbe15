#include "cpu/soft_topk.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>

#include "torch/checks.h"
#include "torch/cpu/adapter.h"
#include "torch/float64.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> soft_topk_forward_cpu(const at::Tensor& input,
                                                         const at::Tensor& k,
                                                         double regularization_strength,
                                                         std::string_view method,
                                                         const std::optional<at::Tensor>& mask) {
  check_soft_topk_forward(input, k, {regularization_strength, method, mask});
  const at::Tensor items = at_least_float32(input);
  const at::Tensor chosen = at::empty(items.sizes(), items.options());
  const at::Tensor densities = at::empty(input.sizes(), input.options().dtype(at::kDouble));
  if (input.numel() == 0) return {chosen.to(input.scalar_type()), bits_of(densities)};
  const at::Tensor counts = k.to(at::kDouble);
  AT_DISPATCH_FLOATING_TYPES(items.scalar_type(), "soft_topk", [&] {
    cpu::topk(batch_of<scalar_t>(items, mask), rows_of<double>(counts), regularization_strength,
              method, chosen.mutable_data_ptr<scalar_t>(), densities.mutable_data_ptr<double>(),
              torch_parallel_for);
  });
  return {chosen.to(input.scalar_type()), bits_of(densities)};
}

at::Tensor soft_topk_backward_cpu(const at::Tensor& grad_output, const at::Tensor& input,
                                  const at::Tensor& k, const at::Tensor& densities,
                                  double regularization_strength, std::string_view method,
                                  const std::optional<at::Tensor>& mask) {
  check_soft_topk_backward(grad_output, input, k, densities,
                           {regularization_strength, method, mask});
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  const at::Tensor vector = at_least_float32(grad_output), slopes = float64_of(densities);
  const at::Tensor product = at::empty(vector.sizes(), vector.options());
  AT_DISPATCH_FLOATING_TYPES(vector.scalar_type(), "soft_topk_backward", [&] {
    cpu::topk_product(batch_of<scalar_t>(vector, std::nullopt), rows_of<double>(slopes),
                      regularization_strength, product.mutable_data_ptr<scalar_t>(),
                      torch_parallel_for);
  });
  return product.to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  library.impl("_soft_topk_forward", soft_topk_forward_cpu);
  library.impl("_soft_topk_backward", soft_topk_backward_cpu);
}

}  // namespace rank_relax
