#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/saved_variable.h>
#include <torch/csrc/dynamo/compiled_autograd.h>

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

// What differs between the torch versions we build against, and what every node of ours shares.
// No other file names a smart pointer to a Node.

namespace rank_relax::autograd {

using torch::autograd::Node;
using torch::autograd::SavedVariable;
using torch::autograd::variable_list;
using NodePtr = decltype(torch::autograd::Edge::function);

/// A Node is held by `std::shared_ptr` with a deleter of its own up to torch 2.11, and by
/// `c10::intrusive_ptr` in 2.13. Asking the type, not the version, also answers for those between.
template <class T, class... Args>
NodePtr make_node(Args&&... args) {
  if constexpr (std::is_same_v<NodePtr, std::shared_ptr<Node>>) {
    // Found by argument-dependent lookup: newer versions have no such function.
    return NodePtr(new T(std::forward<Args>(args)...), [](auto* node) { deleteNode(node); });
  } else {
    return c10::make_intrusive<T>(std::forward<Args>(args)...);
  }
}

/// What a backward formula may read: the operator's tensors and its plain arguments.
struct SavedValues {
  variable_list tensors;
  std::optional<at::Tensor> mask;
  double regularization_strength;
  std::string method;
  // Of torch/composite/function_call.h.
  std::string function = {};
  double number = 0;
  bool standardize = false;
};

/// The node of an operator whose backward is a pure function of the incoming gradients and of
/// what was saved. `Formula` has a `name` and
///
///     static variable_list backward(const variable_list& grad_outputs,
///                                   const std::vector<bool>& needed, const SavedValues& saved);
///
/// which returns one gradient for each next edge, undefined where `needed` is false. Purity is
/// what lets compiled autograd trace it: there the formula runs on the tracer's tensors.
template <class Formula>
class OperatorNode final : public Node {
 public:
  OperatorNode(torch::autograd::edge_list&& next_edges, const SavedValues& values)
      : Node(std::move(next_edges)),
        regularization_strength_(values.regularization_strength),
        method_(values.method),
        function_(values.function),
        number_(values.number),
        standardize_(values.standardize) {
    tensors_.reserve(values.tensors.size());
    for (const at::Tensor& tensor : values.tensors) tensors_.emplace_back(tensor, false);
    if (values.mask.has_value()) mask_.emplace_back(*values.mask, false);
  }

  std::string name() const override { return Formula::name; }

  void release_variables() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (SavedVariable& tensor : tensors_) tensor.reset_data();
    for (SavedVariable& mask : mask_) mask.reset_data();
  }

  void compiled_args(torch::dynamo::autograd::CompiledNodeArgs& args) const override {
    args.collect(tensors_, false);
    args.collect(mask_, false);
    args.collect(regularization_strength_);
    args.collect(method_);
    args.collect(function_);
    args.collect(number_);
    args.collect(standardize_);
  }

  variable_list apply_with_saved(const variable_list& grad_outputs,
                                 torch::dynamo::autograd::SwapSavedVariables& saved) override {
    using torch::dynamo::autograd::IValuePacker;
    const auto& compiler = torch::dynamo::autograd::getPyCompilerInterface();
    saved.before(tensors_);
    saved.before(mask_);
    [[maybe_unused]] static const bool bound = [&] {
      compiler->bind_function(
          saved.get_py_compiler(), name(), traced_backward,
          {IValuePacker<std::vector<bool>>::packed_type(),
           IValuePacker<variable_list>::packed_type(), IValuePacker<variable_list>::packed_type(),
           IValuePacker<double>::packed_type(), IValuePacker<std::string>::packed_type(),
           IValuePacker<std::string>::packed_type(), IValuePacker<double>::packed_type(),
           IValuePacker<bool>::packed_type()});
      return true;
    }();
    torch::dynamo::autograd::PackedArgs packed;
    packed.pack(needed_gradients());
    packed.pack(unpack(tensors_));
    packed.pack(unpack(mask_));
    packed.pack(regularization_strength_);
    packed.pack(method_);
    packed.pack(function_);
    packed.pack(number_);
    packed.pack(standardize_);
    const auto metadata =
        IValuePacker<std::vector<std::optional<torch::autograd::InputMetadata>>>::pack(
            torch::dynamo::autograd::get_input_metadata(next_edges()));
    variable_list grad_inputs =
        compiler->call_function(saved.get_py_compiler(), "apply_functional", name(), grad_outputs,
                                std::move(packed).vec(), metadata);
    saved.after(tensors_);
    saved.after(mask_);
    return grad_inputs;
  }

 private:
  variable_list apply(variable_list&& grad_outputs) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    variable_list masks = unpack(mask_);
    return Formula::backward(
        grad_outputs, needed_gradients(),
        {unpack(tensors_), masks.empty() ? std::nullopt : std::make_optional(masks.front()),
         regularization_strength_, method_, function_, number_, standardize_});
  }

  static variable_list traced_backward(const variable_list& grad_outputs,
                                       const std::vector<c10::IValue>& args) {
    torch::dynamo::autograd::PackedArgs packed(args);
    const auto needed = packed.unpack<std::vector<bool>>();
    SavedValues saved{packed.unpack<variable_list>(), std::nullopt, 0, ""};
    const auto masks = packed.unpack<variable_list>();
    if (!masks.empty()) saved.mask = masks.front();
    saved.regularization_strength = packed.unpack<double>();
    saved.method = packed.unpack<std::string>();
    saved.function = packed.unpack<std::string>();
    saved.number = packed.unpack<double>();
    saved.standardize = packed.unpack<bool>();
    return Formula::backward(grad_outputs, needed, saved);
  }

  std::vector<bool> needed_gradients() const {
    std::vector<bool> needed(num_outputs());
    for (size_t i = 0; i < needed.size(); ++i) needed[i] = task_should_compute_output(i);
    return needed;
  }

  static variable_list unpack(const std::vector<SavedVariable>& saved) {
    variable_list tensors;
    tensors.reserve(saved.size());
    for (const SavedVariable& variable : saved) tensors.push_back(variable.unpack());
    return tensors;
  }

  std::vector<SavedVariable> tensors_;
  std::vector<SavedVariable> mask_;  // empty or one: a saved variable has no "absent"
  double regularization_strength_;
  std::string method_;
  std::string function_;
  double number_;
  bool standardize_;
};

}  // namespace rank_relax::autograd
