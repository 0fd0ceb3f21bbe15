#include "torch/composite/in_float64.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <c10/util/Exception.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <tuple>
#include <vector>

#include "torch/declaration/kernel.h"
#include "torch/operators/in_float64.h"

namespace rank_relax {
namespace {

using at::Tensor;

std::vector<const Float64Function*>& functions() {
  static std::vector<const Float64Function*> all;
  return all;
}

}  // namespace

Float64Function::Float64Function(const char* function, decltype(check) its_check,
                                 decltype(value) its_value, decltype(shape) its_shape)
    : name(function), check(its_check), value(its_value), shape(its_shape) {
  functions().push_back(this);
}

const Float64Function& Float64Call::of() const {
  for (const Float64Function* known : functions()) {
    if (function == known->name) return *known;
  }
  TORCH_CHECK_VALUE(false, "_in_float64: function must be a function of rank_relax, got '",
                    function, "'");
}

ScaledList Float64Call::scaled(const Tensor& list, const Options& options) const {
  return ScaledList(list.to(at::kDouble), strength, standardize, options.mask);
}

Tensor Float64Call::level_or_number(c10::IntArrayRef shape) const {
  if (level.has_value() && level->defined()) return *level;
  return at::full(shape, number, input.options().dtype(at::kDouble));
}

Tensor Float64Call::value(const Options& options) const {
  const Tensor result = of().value(*this, options);
  return is_float64() ? result : result.to(at::kFloat);
}

std::vector<c10::SymInt> shape_of_items(const Float64Call& call) {
  return call.input.sym_sizes().vec();
}

std::vector<c10::SymInt> shape_of_batch(const Float64Call& call) {
  return call.input.sym_sizes().slice(0, call.input.dim() - 1).vec();
}

const Tensor& targets_of(const Float64Call& call) {
  TORCH_CHECK_TYPE(call.targets.has_value() && call.targets->defined(),
                   "spearman_loss: targets must be a tensor, got None");
  return *call.targets;
}

std::array<Tensor, 3> Float64Call::differentiated() const {
  return {input, targets.value_or(Tensor()), strength.value_or(Tensor())};
}

std::array<Tensor, 3> Float64Call::gradients(const Tensor& grad_output, std::array<bool, 3> needed,
                                             bool create_graph, const Options& options) const {
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
  Float64Call call = *this;
  call.input = leaves[0];
  if (leaves[1].defined()) call.targets = leaves[1];
  if (leaves[2].defined()) call.strength = leaves[2];
  const torch::autograd::variable_list found = torch::autograd::grad(
      {call.value(options)}, wanted, {grad_output}, /*retain_graph=*/create_graph, create_graph,
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

namespace {

Tensor in_float64(const Float64Call& call, const Options& options) {
  const Tensor value = call.value(options);
  return value.is_alias_of(call.input) ? value.clone() : value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(const Tensor& grad_output,
                                                       const Float64Call& call,
                                                       std::array<bool, 3> needed,
                                                       const Options& options) {
  // Below autograd, where this runs, no graph is made: that of the value is, for as long as it
  // takes.
  const c10::impl::LocalDispatchKeySet now = c10::impl::tls_local_dispatch_key_set();
  const c10::impl::ForceDispatchKeyGuard with_autograd(
      now.included_, now.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  std::array<Tensor, 3> gradients =
      call.gradients(grad_output, needed, /*create_graph=*/false, options);
  std::vector<int64_t> nothing = call.input.sizes().vec();
  nothing.back() = 0;
  const std::array<Tensor, 3> of = call.differentiated();
  for (const size_t place : {0, 1, 2}) {
    Tensor& gradient = gradients[place];
    gradient = gradient.defined() ? gradient.detach().contiguous()
                                  : at::empty(nothing, call.input.options());
    if (of[place].defined() && gradient.is_alias_of(grad_output)) gradient = gradient.clone();
  }
  return {gradients[0], gradients[1], gradients[2]};
}

void register_on(torch::Library& library) {
  kernel<operators::InFloat64, in_float64>(library);
  kernel<operators::InFloat64Backward, in_float64_backward>(library);
}

}  // namespace

// Elsewhere on the host.
TORCH_LIBRARY_IMPL(rank_relax, CPU, library) { register_on(library); }
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) { register_on(library); }

}  // namespace rank_relax
