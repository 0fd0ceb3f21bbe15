#include "torch/operators/ragged.h"

#include <ATen/ops/empty.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <optional>
#include <string>
#include <vector>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

std::vector<c10::SymInt> batch_of_lists(const FunctionCall& call, const Tensor& offsets) {
  std::vector<c10::SymInt> batch = call.input.sym_sizes().vec();
  batch.back() = offsets.sym_size(-1) - 1;
  return batch;
}

/// A tensor of that kind with lists of one item, without memory for them.
Tensor rows_like(const Tensor& tensor, c10::SymIntArrayRef batch) {
  std::vector<c10::SymInt> shape = batch.vec();
  shape.emplace_back(1);
  return at::empty({1}, tensor.options()).expand_symint(shape);
}

}  // namespace

/// Shapes here, all else by the function itself of rows of the same kind.
void Ragged::check(const FunctionCall& call, const Options& options, const Tensor& offsets) {
  const std::string function(call.function.substr(0, call.function.find(' ')));
  const char* op = function.c_str();
  const char* values = call.has_targets() ? "predictions" : "input";
  check_values(op, values, call.input);
  check_dtype(op, "offsets", offsets, at::kLong);
  check_device(op, "offsets", offsets, values, call.input);
  TORCH_CHECK_VALUE(offsets.dim() == call.input.dim() &&
                        offsets.sym_sizes()
                            .slice(0, offsets.dim() - 1)
                            .equals(call.input.sym_sizes().slice(0, offsets.dim() - 1)),
                    op, ": offsets must be [*, L + 1] for ", values, " [*, N], got ",
                    offsets.sym_sizes(), " for ", call.input.sym_sizes());
  FunctionCall of_rows = call;
  const std::vector<c10::SymInt> batch = batch_of_lists(call, offsets);
  of_rows.input = rows_like(call.input, batch);
  if (call.has_targets()) {
    check_shape(op, "targets", *call.targets, values, call.input);
    of_rows.targets = rows_like(*call.targets, batch);
  }
  std::optional<Tensor> mask;
  if (options.mask.has_value()) {
    check_shape(op, "mask", *options.mask, values, call.input);
    mask = rows_like(*options.mask, batch);
  }
  call.of().check(of_rows, {options.regularization_strength, options.method, mask});
}

Tensor Ragged::outputs(const FunctionCall& call, const Options&, const Tensor& offsets) {
  const at::ScalarType dtype =
      call.is_in_float64() ? statistics_dtype(call.input) : call.input.scalar_type();
  return at::empty_symint(call.of().shape(call, batch_of_lists(call, offsets)),
                          call.input.options().dtype(dtype));
}

void RaggedBackward::check(const Tensor&, const FunctionCall& call, std::array<bool, 3>,
                           const Options& options, const Tensor& offsets) {
  Ragged::check(call, options, offsets);
}

std::tuple<Tensor, Tensor, Tensor> RaggedBackward::outputs(const Tensor&, const FunctionCall& call,
                                                           std::array<bool, 3> needed,
                                                           const Options&, const Tensor&) {
  return call.outputs_of_gradients(needed);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) { declare<Ragged, RaggedBackward>(library); }

}  // namespace rank_relax::operators
