#include "torch/operators/ragged.h"

#include <ATen/TensorOperators.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/frontend/tracer.h>
#include <torch/library.h>

#include <cstdint>
#include <optional>
#include <tuple>
#include <vector>

#include "torch/autograd/differentiable.h"
#include "torch/autograd/function_call.h"
#include "torch/composite/ragged.h"
#include "torch/declaration/kernel.h"

// Where the ends of the lists are known, the operators that the value is composed of are recorded,
// each with its derivatives. A graph that is to serve other ends holds the call, and its backward,
// of first order, as one operator each.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

/// If they have values and nothing records what is done to them.
std::optional<std::vector<int64_t>> known_ends(const Tensor& offsets) {
  const bool is_recorded = offsets.is_meta() || torch::jit::tracer::isTracing() ||
                           c10::impl::TorchDispatchModeTLS::any_modes_set() ||
                           offsets.key_set().has_any(c10::DispatchKeySet(
                               {c10::DispatchKey::Python, c10::DispatchKey::Functionalize,
                                c10::DispatchKey::FuncTorchBatched, c10::DispatchKey::Batched}));
  if (is_recorded) return std::nullopt;
  if (!offsets.key_set().has(c10::DispatchKey::FuncTorchGradWrapper)) {
    return values_of(offsets);
  }
  // An argument of a function within several transforms, which has no memory of its own.
  const Tensor flat = offsets.reshape({-1});
  std::vector<int64_t> ends;
  for (int64_t i = 0; i < flat.numel(); ++i) ends.push_back(flat.select(0, i).item<int64_t>());
  return ends;
}

std::vector<int64_t> needed_ends(const Tensor& offsets) {
  const auto ends = known_ends(offsets);
  TORCH_CHECK_NOT_IMPLEMENTED(ends.has_value(),
                              "rank_relax: higher derivatives of lists with offsets need the "
                              "values of the offsets: call them outside of the compiled graph");
  return *ends;
}

struct RaggedBackward {
  static constexpr const char* name = "RaggedBackward";

  /// Saved: those of the call, and offsets. Next edges: input, targets, strength.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    if (!grad_outputs[0].defined()) return variable_list(3);
    const auto gradients = operators::ragged_backward(
        grad_outputs[0], call_of(saved), {needed[0], needed[1], needed[2]},
        {saved.regularization_strength, saved.method, saved.mask}, saved.tensors.back());
    return where_needed(gradients, needed);
  }
};

Tensor ragged(c10::DispatchKeySet keys, const FunctionCall& call, const Options& options,
              const Tensor& offsets) {
  operators::Ragged::check(call, options, offsets);
  const auto [input, targets, strength] = call.differentiated();
  const variable_list inputs{input, targets, strength};
  if (call.has_level()) check_levels_are_constant(*call.level);
  if (const auto ends = known_ends(offsets)) {
    return operators::Ragged::value(call, options, *ends);
  }
  if (any_has_tangent(inputs)) needed_ends(offsets);
  const Tensor value = below_autograd([&] {
    return operators::ragged.redispatch(keys & c10::after_autograd_keyset, call, options, offsets);
  });
  if (const NodePtr node =
          node_if_required<RaggedBackward>(inputs, saved_call(call, options, {offsets}))) {
    torch::autograd::set_history(value, node);
  }
  return value;
}

std::tuple<Tensor, Tensor, Tensor> ragged_backward(c10::DispatchKeySet keys,
                                                   const Tensor& grad_output,
                                                   const FunctionCall& call,
                                                   std::array<bool, 3> needed,
                                                   const Options& options, const Tensor& offsets) {
  const auto [input, targets, strength] = call.differentiated();
  if (!is_differentiated({grad_output, input, targets, strength})) {
    return below_autograd([&] {
      return operators::ragged_backward.redispatch(keys & c10::after_autograd_keyset, grad_output,
                                                   call, needed, options, offsets);
    });
  }
  operators::RaggedBackward::check(grad_output, call, needed, options, offsets);
  const std::vector<int64_t> ends = needed_ends(offsets);
  const auto value = [&](const FunctionCall& of) {
    return operators::Ragged::value(of, options, ends);
  };
  return returned(call.gradients(value, grad_output, needed, /*create_graph=*/true), input);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::Ragged, ragged>(library);
  autograd_kernel<operators::RaggedBackward, ragged_backward>(library);
}

}  // namespace rank_relax::autograd
