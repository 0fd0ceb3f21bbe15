#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "core/refusals.h"
#include "cpu/projection/permutahedron.h"
#include "torch/cpu/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_rank.h"

namespace rank_relax {
namespace {

std::tuple<at::Tensor, at::Tensor> permutahedron_rank_forward_cpu(const at::Tensor& input,
                                                                  const Options& options) {
  const at::Tensor blocks = at::empty(input.sizes(), input.options().dtype(at::kInt));
  if (input.numel() == 0) return {at::empty(input.sizes(), input.options()), blocks};
  check_blocks_fit(input.size(-1), options.method);
  const at::Tensor values = at_least_float32(input);
  const at::Tensor ranks = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "permutahedron_rank", [&] {
    cpu::permutahedron_rank(soft_batch_of<scalar_t>(values, options),
                            /*centered=*/false, ranks.mutable_data_ptr<scalar_t>(),
                            blocks.mutable_data_ptr<int32_t>(), torch_parallel_for);
  });
  return {ranks.to(input.scalar_type()), blocks};
}

/// The kernel uses them as indices.
void check_blocks(const at::Tensor& blocks) {
  const int32_t* data = blocks.const_data_ptr<int32_t>();
  const int64_t size = blocks.size(-1);
  TORCH_CHECK_VALUE(
      std::all_of(
          data, data + blocks.numel(),
          [=](int32_t block) { return block_number(Kind::kAbove) <= block && block < size; }),
      operators::PermutahedronRankDerivative::name, ": ", refusal::not_from_forward("blocks"));
}

at::Tensor permutahedron_rank_derivative_cpu(at::TensorList directions, const at::Tensor& input,
                                             const at::Tensor& blocks, const Options& options) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options());
  check_blocks_fit(input.size(-1), options.method);
  const at::Tensor dense_blocks = blocks.contiguous();
  check_blocks(dense_blocks);
  const at::Tensor values = at_least_float32(input);
  std::vector<at::Tensor> direction_values;
  for (const at::Tensor& direction : directions) {
    direction_values.push_back(at_least_float32(direction));
  }
  const at::Tensor output = at::empty(values.sizes(), values.options());
  AT_DISPATCH_FLOATING_TYPES(values.scalar_type(), "permutahedron_rank_derivative", [&] {
    std::vector<cpu::Rows<scalar_t>> rows;
    for (const at::Tensor& direction : direction_values) {
      rows.push_back(rows_of<scalar_t>(direction));
    }
    cpu::permutahedron_rank_derivative(
        soft_batch_of<scalar_t>(values, options), rows_of<int32_t>(dense_blocks), rows.data(),
        static_cast<int>(rows.size()), output.mutable_data_ptr<scalar_t>(), torch_parallel_for);
  });
  return output.to(input.scalar_type());
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::PermutahedronRankForward, permutahedron_rank_forward_cpu>(library);
  kernel<operators::PermutahedronRankDerivative, permutahedron_rank_derivative_cpu>(library);
}

}  // namespace rank_relax
