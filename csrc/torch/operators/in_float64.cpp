#include "torch/operators/in_float64.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {

void InFloat64::check(const FunctionCall& call, const Options& options) {
  call.of().check(call, options);
  if (!call.has_strength()) return;
  const Tensor& strength = *call.strength;
  const std::string_view function = call.function;
  TORCH_CHECK_TYPE(at::isFloatingType(strength.scalar_type()), function,
                   ": regularization_strength must be of a floating dtype");
  TORCH_CHECK_VALUE(strength.device() == call.input.device(), function,
                    ": regularization_strength is on ", strength.device(),
                    " but the scores are on ", call.input.device(), "; move them to one device");
  TORCH_CHECK_VALUE(
      strength.dim() < call.input.dim() &&
          strength.sym_sizes().equals(call.input.sym_sizes().slice(0, strength.dim())),
      function, ": regularization_strength must have the first dimensions of ",
      call.input.sym_sizes(), ", got ", strength.sym_sizes());
}

Tensor InFloat64::outputs(const FunctionCall& call, const Options&) {
  return at::empty_symint(
      call.of().shape(call, call.input.sym_sizes().slice(0, call.input.dim() - 1)),
      call.input.options().dtype(statistics_dtype(call.input)));
}

void InFloat64Backward::check(const Tensor&, const FunctionCall& call, std::array<bool, 3>,
                              const Options& options) {
  InFloat64::check(call, options);
}

std::tuple<Tensor, Tensor, Tensor> InFloat64Backward::outputs(const Tensor&,
                                                              const FunctionCall& call,
                                                              std::array<bool, 3> needed,
                                                              const Options&) {
  return call.outputs_of_gradients(needed);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) { declare<InFloat64, InFloat64Backward>(library); }

}  // namespace rank_relax::operators
