#include "torch/composite/in_float64.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "torch/checks.h"

namespace rank_relax {
namespace {

using at::Tensor;

Tensor in_float64_meta(const Tensor& input, const std::optional<Tensor>& targets,
                       const std::optional<Tensor>& level, const std::optional<Tensor>& strength,
                       std::string_view function, double number, bool standardize,
                       double regularization_strength, std::string_view method,
                       const std::optional<Tensor>& mask) {
  const InFloat64 call{function, input,    targets,     level,
                       number,   strength, standardize, {regularization_strength, method, mask}};
  call.check();
  std::vector<c10::SymInt> shape = input.sym_sizes().vec();
  if (function == "spearman_loss" || function == "spearman_loss_at_ranks") shape.pop_back();
  if (function == "soft_quantile") {
    shape.back() = level.has_value() ? level->sym_size(-1) : c10::SymInt(1);
  }
  return at::empty_symint(shape, input.options().dtype(statistics_dtype(input)));
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward_meta(
    const Tensor& /*grad_output*/, const Tensor& input, const std::optional<Tensor>& targets,
    const std::optional<Tensor>& level, const std::optional<Tensor>& strength,
    std::string_view function, double number, bool standardize, std::array<bool, 3> needed,
    double regularization_strength, std::string_view method, const std::optional<Tensor>& mask) {
  const InFloat64 call{function, input,    targets,     level,
                       number,   strength, standardize, {regularization_strength, method, mask}};
  call.check();
  std::vector<c10::SymInt> nothing = input.sym_sizes().vec();
  nothing.back() = 0;
  const std::array<Tensor, 3> of = call.differentiated();
  const auto gradient = [&](size_t place) {
    return needed[place] && of[place].defined()
               ? at::empty_symint(of[place].sym_sizes(), of[place].options())
               : at::empty_symint(nothing, input.options());
  };
  return {gradient(0), gradient(1), gradient(2)};
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_in_float64", in_float64_meta);
  library.impl("_in_float64_backward", in_float64_backward_meta);
}

}  // namespace rank_relax
