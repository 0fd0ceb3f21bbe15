#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <algorithm>
#include <utility>

#include "torch/autograd/differentiable.h"
#include "torch/operators.h"

// Every derivative of a soft rank is one operator,
//
//     D(v_1..v_k; x)_m = α^k/(n-1) Σ_j Π_l (v_l[m] - v_l[j]) F^(k)(α (x_m - x_j)),
//
// where D(; x) = R - 1/2 is the rank itself and D(g; x) is soft_rank_backward. As F^(k) is even for
// odd k and odd for even k, <w, D(v_1..v_k; x)> is symmetric in w and the v_l together. Hence, with
// w the cotangent of D, or the tangent of one argument,
//
//     with respect to v_l:   D(v_1 .. w for v_l .. v_k; x)
//     with respect to x:     D(v_1 .. v_k, w; x)
//
// backward and forward alike, at every order up to SmoothCdfs::kMaxOrder.

namespace rank_relax::autograd {
namespace {

/// D along `directions` with `direction` put in one place; the place after the last is x's.
at::Tensor derivative_along(variable_list directions, size_t place, const at::Tensor& direction,
                            const at::Tensor& input, const Options& options) {
  directions.resize(std::max(directions.size(), place + 1));
  directions[place] = direction;
  if (directions.size() == 1) return operators::soft_rank_backward()(direction, input, options);
  return operators::soft_rank_derivative()(directions, input, options);
}

struct SoftRankBackward {
  static constexpr const char* name = "SoftRankBackward";

  /// Saved tensors and next edges: v_1..v_k, x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(needed.size());
    if (!grad_outputs[0].defined()) return gradients;
    variable_list directions = saved.tensors;
    const at::Tensor input = std::move(directions.back());
    directions.pop_back();
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    for (size_t place = 0; place < needed.size(); ++place) {
      if (!needed[place]) continue;
      gradients[place] = derivative_along(directions, place, grad_outputs[0], input, options);
    }
    return gradients;
  }
};

/// The tangent of D; `inputs` are v_1..v_k, x.
at::Tensor tangent_of_derivative(const variable_list& inputs, const Options& options) {
  variable_list directions;
  for (const at::Tensor& input : inputs) directions.push_back(primal(input));
  const at::Tensor point = std::move(directions.back());
  directions.pop_back();
  at::Tensor sum;
  for (size_t place = 0; place < inputs.size(); ++place) {
    if (!has_tangent(inputs[place])) continue;
    const at::Tensor term =
        derivative_along(directions, place, tangent(inputs[place]), point, options);
    sum = sum.defined() ? sum + term : term;
  }
  return sum;
}

/// Runs `kernel` below autograd and records its derivatives; `inputs` are v_1..v_k, x.
template <class Kernel>
at::Tensor differentiable(const variable_list& inputs, const Options& options,
                          const Kernel& kernel) {
  const at::Tensor output = [&] {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return kernel();
  }();
  if (const NodePtr node = node_if_required<SoftRankBackward>(inputs, inputs, options)) {
    torch::autograd::set_history(output, node);
  }
  if (any_has_tangent(inputs)) set_tangent(output, tangent_of_derivative(inputs, options));
  return output;
}

at::Tensor soft_rank(c10::DispatchKeySet keys, const at::Tensor& input,
                     double regularization_strength, std::string_view method,
                     const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  return differentiable({input}, options, [&] {
    return operators::soft_rank().redispatch(keys & c10::after_autograd_keyset, input, options);
  });
}

at::Tensor soft_rank_backward(c10::DispatchKeySet keys, const at::Tensor& grad_output,
                              const at::Tensor& input, double regularization_strength,
                              std::string_view method, const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  return differentiable({grad_output, input}, options, [&] {
    return operators::soft_rank_backward().redispatch(keys & c10::after_autograd_keyset,
                                                      grad_output, input, options);
  });
}

at::Tensor soft_rank_derivative(c10::DispatchKeySet keys, at::TensorList directions,
                                const at::Tensor& input, double regularization_strength,
                                std::string_view method, const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  variable_list inputs = directions.vec();
  inputs.push_back(input);
  return differentiable(inputs, options, [&] {
    return operators::soft_rank_derivative().redispatch(keys & c10::after_autograd_keyset,
                                                        directions, input, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  library.impl("soft_rank", soft_rank);
  library.impl("soft_rank_backward", soft_rank_backward);
  library.impl("_soft_rank_derivative", soft_rank_derivative);
}

}  // namespace rank_relax::autograd
