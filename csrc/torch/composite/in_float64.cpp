#include "torch/composite/in_float64.h"

#include <ATen/TensorOperators.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/clone.h>
#include <ATen/ops/cumsum.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/library.h>

#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "torch/checks.h"
#include "torch/composite/scaled_list.h"
#include "torch/composite/soft_quantile.h"
#include "torch/target_checks.h"
#include "torch/target_operators.h"

namespace rank_relax {
namespace {

using at::Tensor;

bool given(const std::optional<Tensor>& tensor) { return tensor.has_value() && tensor->defined(); }

}  // namespace

void InFloat64::check() const {
  const std::string name(function);
  if (function == "soft_rank") {
    check_soft_rank(input, options);
  } else if (function == "spearman_loss") {
    TORCH_CHECK_TYPE(given(targets), "spearman_loss: targets must be a tensor, got None");
    check_spearman_loss_forward(input, *targets, options);
  } else if (function == "spearman_loss_at_ranks") {
    TORCH_CHECK_TYPE(given(targets), "spearman_loss: targets must be a tensor, got None");
    check_spearman_loss_at_ranks_forward(input, *targets, options);
  } else if (function == "soft_sort") {
    check_soft_sort(input, options);
  } else if (function == "soft_quantile") {
    check_soft_quantile(input, level.value_or(at::Tensor()), options);
  } else {
    TORCH_CHECK_VALUE(function == "soft_topk",
                      "_in_float64: function must be a function of "
                      "rank_relax, got '",
                      name, "'");
    check_soft_topk(input, level.value_or(at::Tensor()), options);
  }
  if (!given(strength)) return;
  TORCH_CHECK_TYPE(at::isFloatingType(strength->scalar_type()), name,
                   ": regularization_strength must be of a floating dtype");
  TORCH_CHECK_VALUE(strength->device() == input.device(), name, ": regularization_strength is on ",
                    strength->device(), " but the scores are on ", input.device(),
                    "; move them to one device");
  TORCH_CHECK_VALUE(strength->dim() < input.dim() &&
                        strength->sym_sizes().equals(input.sym_sizes().slice(0, strength->dim())),
                    name, ": regularization_strength must have the first dimensions of ",
                    input.sym_sizes(), ", got ", strength->sym_sizes());
}

Tensor InFloat64::value() const {
  const auto scaled = [&](const Tensor& list) {
    return ScaledList(list.to(at::kDouble), strength, standardize, options.mask);
  };
  const auto rounded = [&](const Tensor& result) {
    return is_float64() ? result : result.to(at::kFloat);
  };
  if (function == "soft_rank") {
    return rounded(operators::soft_rank()(scaled(input).values(), options));
  }
  if (function == "spearman_loss") {
    return rounded(std::get<0>(operators::spearman_loss_forward()(
        scaled(input).values(), scaled(*targets).values(), options)));
  }
  if (function == "spearman_loss_at_ranks") {
    return rounded(std::get<0>(operators::spearman_loss_at_ranks_forward()(
        scaled(input).values(), targets->to(at::kDouble), options)));
  }
  if (function == "soft_quantile") {
    const ScaledList list = scaled(input);
    const Tensor q =
        given(level) ? *level : at::full({1}, number, input.options().dtype(at::kDouble));
    return rounded(list.restored(quantile(list.values(), q, options)));
  }
  if (function == "soft_topk") {
    const Tensor k =
        given(level) ? *level : at::full({}, number, input.options().dtype(at::kDouble));
    return rounded(operators::soft_topk()(scaled(input).values(), k, options));
  }
  // By l2 a strength is in units of the value.
  std::optional<Tensor> factor = strength;
  if (given(strength) && options.method == "l2") factor = strength->to(at::kDouble).reciprocal();
  const ScaledList list(input.to(at::kDouble), factor, standardize, options.mask);
  Tensor ordered = list.restored(operators::soft_sort()(list.values(), options));
  if (options.mask.has_value()) {  // the zeros at the end are no points
    // Counted from 1. Not by arange, which would not be sharded as a mask that is a DTensor.
    const Tensor places =
        at::ones_like(*options.mask, options.mask->options().dtype(at::kLong)).cumsum(-1);
    ordered = ordered.masked_fill(places > options.mask->sum(-1, /*keepdim=*/true), 0);
  }
  return rounded(ordered);
}

std::array<Tensor, 3> InFloat64::differentiated() const {
  return {input, targets.value_or(Tensor()), strength.value_or(Tensor())};
}

std::array<Tensor, 3> InFloat64::gradients(const Tensor& grad_output, std::array<bool, 3> needed,
                                           bool create_graph) const {
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
  InFloat64 call = *this;
  call.input = leaves[0];
  if (leaves[1].defined()) call.targets = leaves[1];
  if (leaves[2].defined()) call.strength = leaves[2];
  const torch::autograd::variable_list found = torch::autograd::grad(
      {call.value()}, wanted, {grad_output}, /*retain_graph=*/create_graph, create_graph,
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

Tensor in_float64(const Tensor& input, const std::optional<Tensor>& targets,
                  const std::optional<Tensor>& level, const std::optional<Tensor>& strength,
                  std::string_view function, double number, bool standardize,
                  double regularization_strength, std::string_view method,
                  const std::optional<Tensor>& mask) {
  const InFloat64 call{function, input,    targets,     level,
                       number,   strength, standardize, {regularization_strength, method, mask}};
  call.check();
  const Tensor value = call.value();
  return value.is_alias_of(input) ? value.clone() : value;
}

std::tuple<Tensor, Tensor, Tensor> in_float64_backward(
    const Tensor& grad_output, const Tensor& input, const std::optional<Tensor>& targets,
    const std::optional<Tensor>& level, const std::optional<Tensor>& strength,
    std::string_view function, double number, bool standardize, std::array<bool, 3> needed,
    double regularization_strength, std::string_view method, const std::optional<Tensor>& mask) {
  const InFloat64 call{function, input,    targets,     level,
                       number,   strength, standardize, {regularization_strength, method, mask}};
  call.check();
  // Below autograd, where this runs, no graph is made: that of the value is, for as long as it
  // takes.
  const c10::impl::LocalDispatchKeySet now = c10::impl::tls_local_dispatch_key_set();
  const c10::impl::ForceDispatchKeyGuard with_autograd(
      now.included_, now.excluded_ - c10::autograd_dispatch_keyset_with_ADInplaceOrView);
  std::array<Tensor, 3> gradients = call.gradients(grad_output, needed, /*create_graph=*/false);
  std::vector<int64_t> nothing = input.sizes().vec();
  nothing.back() = 0;
  const std::array<Tensor, 3> of = call.differentiated();
  for (const size_t place : {0, 1, 2}) {
    Tensor& gradient = gradients[place];
    gradient =
        gradient.defined() ? gradient.detach().contiguous() : at::empty(nothing, input.options());
    if (of[place].defined() && gradient.is_alias_of(grad_output)) gradient = gradient.clone();
  }
  return {gradients[0], gradients[1], gradients[2]};
}

void register_on(torch::Library& library) {
  library.impl("_in_float64", in_float64);
  library.impl("_in_float64_backward", in_float64_backward);
}

}  // namespace

// Elsewhere on the host.
TORCH_LIBRARY_IMPL(rank_relax, CPU, library) { register_on(library); }
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) { register_on(library); }

}  // namespace rank_relax
