#include "torch/composite/function_call.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>

#include "torch/declaration/outputs.h"

namespace rank_relax {
namespace {

using at::Tensor;

std::vector<const ListFunction*>& list_functions() {
  static std::vector<const ListFunction*> all;
  return all;
}

}  // namespace

ListFunction::ListFunction(const char* function, decltype(check) its_check, Value* its_value,
                           Value* its_value_in_float64, Result its_result)
    : name(function),
      check(its_check),
      value(its_value),
      value_in_float64(its_value_in_float64),
      result(its_result) {
  list_functions().push_back(this);
}

std::vector<c10::SymInt> ListFunction::shape(const FunctionCall& call,
                                             c10::SymIntArrayRef batch) const {
  std::vector<c10::SymInt> shape = batch.vec();
  if (result == Result::kItems) shape = call.input.sym_sizes().vec();
  if (result == Result::kLevels) {
    shape.push_back(call.has_level() ? call.level->sym_size(-1) : c10::SymInt(1));
  }
  return shape;
}

const ListFunction& FunctionCall::of() const {
  for (const ListFunction* known : list_functions()) {
    if (function == known->name) return *known;
  }
  TORCH_CHECK_VALUE(false, "function must be a function of rank_relax, got '", function, "'");
}

bool FunctionCall::is_in_float64() const {
  return standardize || has_strength() || (of().result == Result::kLevels && !has_level());
}

ScaledList FunctionCall::scaled(const Tensor& list, const Options& options) const {
  return ScaledList(list.to(at::kDouble), strength, standardize, options.mask);
}

Tensor FunctionCall::level_or_number(c10::IntArrayRef shape) const {
  if (has_level()) return *level;
  return at::full(shape, number, input.options().dtype(at::kDouble));
}

const Tensor& FunctionCall::needed_targets() const {
  TORCH_CHECK_TYPE(has_targets(), "spearman_loss: targets must be a tensor, got None");
  return *targets;
}

std::array<Tensor, 3> FunctionCall::differentiated() const {
  return {input, targets.value_or(Tensor()), strength.value_or(Tensor())};
}

std::array<Tensor, 3> FunctionCall::gradients(const Value& value, const Tensor& grad_output,
                                              std::array<bool, 3> needed, bool create_graph) const {
  const at::AutoGradMode with_graph(true);
  std::array<Tensor, 3> leaves = differentiated();
  torch::autograd::variable_list wanted;
  for (const size_t place : {0, 1, 2}) {
    Tensor& leaf = leaves[place];
    if (!leaf.defined()) continue;
    if (!create_graph) leaf = leaf.detach();
    if (!needed[place]) continue;
    // A tangent of its own stays with a clone.
    if (create_graph && !leaf.requires_grad()) leaf = leaf.clone();
    if (!leaf.requires_grad()) leaf.requires_grad_();
    wanted.push_back(leaf);
  }
  FunctionCall call = *this;
  call.input = leaves[0];
  if (leaves[1].defined()) call.targets = leaves[1];
  if (leaves[2].defined()) call.strength = leaves[2];
  const torch::autograd::variable_list found = torch::autograd::grad(
      {value(call)}, wanted, {grad_output}, /*retain_graph=*/create_graph, create_graph,
      /*allow_unused=*/true);
  std::array<Tensor, 3> gradients;
  size_t next = 0;
  for (const size_t place : {0, 1, 2}) {
    if (!needed[place] || !leaves[place].defined()) continue;
    const Tensor& gradient = found[next++];
    gradients[place] = gradient.defined() ? gradient : at::zeros_like(leaves[place]);
  }
  return gradients;
}

std::tuple<Tensor, Tensor, Tensor> FunctionCall::gradients_below_autograd(
    const Value& value, const Tensor& grad_output, std::array<bool, 3> needed) const {
  // Below autograd, where a kernel runs, no graph is made: that of the value is, for as long as it
  // takes.
  const c10::impl::LocalDispatchKeySet now = c10::impl::tls_local_dispatch_key_set();
  const c10::impl::ForceDispatchKeyGuard with_autograd(
      now.included_, now.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  std::array<Tensor, 3> found = gradients(value, grad_output, needed, /*create_graph=*/false);
  std::vector<int64_t> nothing = input.sizes().vec();
  nothing.back() = 0;
  const std::array<Tensor, 3> of = differentiated();
  for (const size_t place : {0, 1, 2}) {
    Tensor& gradient = found[place];
    gradient =
        gradient.defined() ? gradient.detach().contiguous() : at::empty(nothing, input.options());
    if (of[place].defined() && gradient.is_alias_of(grad_output)) gradient = gradient.clone();
  }
  return {found[0], found[1], found[2]};
}

std::tuple<Tensor, Tensor, Tensor> FunctionCall::outputs_of_gradients(
    std::array<bool, 3> needed) const {
  const std::array<Tensor, 3> of = differentiated();
  const auto gradient = [&](size_t place) {
    return needed[place] && of[place].defined() ? like(of[place])
                                                : lists_of(0, input, input.scalar_type());
  };
  return {gradient(0), gradient(1), gradient(2)};
}

}  // namespace rank_relax
