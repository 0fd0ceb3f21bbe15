#include "torch/operators/soft_topk.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "core/refusals.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

/// Numbers of items, with or without a fraction.
void check_count(const char* op, const Tensor& k) {
  const at::ScalarType dtype = k.scalar_type();
  TORCH_CHECK_TYPE(is_floating(dtype) || (is_integer(dtype) && dtype != at::kBool), op,
                   ": k must be of an integer or a floating dtype, got ", name_of(dtype));
}

}  // namespace

void SoftTopK::check(const Tensor& input, const Tensor& k, const Options& options) {
  check_values(name, "input", input);
  check_smooth_cdf(name, options.method);
  check_options(name, "input", input, options);
  if (!k.defined()) return;  // a number
  check_count(name, k);
  check_device(name, "k", k, "input", input);
  const auto batch_shape = input.sym_sizes().slice(0, input.dim() - 1);
  TORCH_CHECK_VALUE(k.dim() == 0 || k.sym_sizes().equals(batch_shape), name, ": ",
                    refusal::not_a_number_of_places(batch_shape, k.sym_sizes()));
}

void SoftTopKForward::check(const Tensor& input, const Tensor& k, const Options& options) {
  check_values(name, "input", input);
  check_smooth_cdf(name, options.method);
  check_options(name, "input", input, options);
  check_count(name, k);
  check_one_number_a_row(name, "k", k, k.scalar_type(), "input", input);
}

std::tuple<Tensor, Tensor> SoftTopKForward::outputs(const Tensor& input, const Tensor&,
                                                    const Options&) {
  return {like(input), float64_bits_like(input)};
}

void SoftTopKBackward::check(const Tensor& grad_output, const Tensor& input, const Tensor& k,
                             const Tensor& densities, const Options& options) {
  check_values(name, "input", input);
  check_matches(name, "grad_output", grad_output, "input", input);
  check_smooth_cdf(name, options.method);
  check_options(name, "input", input, options);
  check_count(name, k);
  check_one_number_a_row(name, "k", k, k.scalar_type(), "input", input);
  check_items(name, "densities", densities, at::kLong, "input", input);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SoftTopK, SoftTopKForward, SoftTopKBackward>(library);
}

}  // namespace rank_relax::operators
