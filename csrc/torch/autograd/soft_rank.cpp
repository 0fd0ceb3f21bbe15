#include "torch/operators/soft_rank.h"

#include <ATen/TensorOperators.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "core/projection/permutahedron.h"
#include "torch/autograd/differentiable.h"
#include "torch/declaration/kernel.h"

// Every derivative of a soft rank is one operator D(v_1..v_k; x), k times linear,
//
//     a smooth CDF    D_m = α^k/(n-1) Σ_j Π_l (v_l[m] - v_l[j]) F^(k)(α (x_m - x_j))
//     a projection    cpu/projection/block_derivative.h
//
// where D(; x) = R - 1/2 is the rank itself and D(g; x) is soft_rank_backward. As F^(k) is even for
// odd k and odd for even k, and as ranks by projection are the gradient of a function of x,
// <w, D(v_1..v_k; x)> is symmetric in w and the v_l together. Hence, with w the cotangent of D, or
// the tangent of one argument,
//
//     with respect to v_l:   D(v_1 .. w for v_l .. v_k; x)
//     with respect to x:     D(v_1 .. v_k, w; x)
//
// backward and forward alike, at every order up to max_order(method). A projection hands its blocks
// on, which are constant wherever there is a derivative, so that they need not be found again.

namespace rank_relax::autograd {
namespace {

/// What a call of D is given beside its directions.
struct Point {
  at::Tensor input;
  at::Tensor blocks;  // of a projection, if known
};

/// D along `directions` with `direction` put in one place; the place after the last is x's.
at::Tensor derivative_along(variable_list directions, size_t place, const at::Tensor& direction,
                            const Point& point, const Options& options) {
  directions.resize(std::max(directions.size(), place + 1));
  directions[place] = direction;
  if (point.blocks.defined()) {
    return operators::permutahedron_rank_derivative(directions, point.input, point.blocks, options);
  }
  if (directions.size() == 1) {
    return operators::soft_rank_backward(direction, point.input, options);
  }
  return operators::soft_rank_derivative(directions, point.input, options);
}

struct SoftRankBackward {
  static constexpr const char* name = "SoftRankBackward";

  /// Saved tensors: v_1..v_k, x, and the blocks if known. Next edges: v_1..v_k, x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(needed.size());
    if (!grad_outputs[0].defined()) return gradients;
    const size_t order = needed.size() - 1;
    const variable_list directions(saved.tensors.begin(), saved.tensors.begin() + order);
    Point point{saved.tensors[order], {}};
    if (saved.tensors.size() > order + 1) point.blocks = saved.tensors[order + 1];
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    for (size_t place = 0; place < needed.size(); ++place) {
      if (!needed[place]) continue;
      gradients[place] = derivative_along(directions, place, grad_outputs[0], point, options);
    }
    return gradients;
  }
};

/// The tangent of D; `inputs` are v_1..v_k, x.
at::Tensor tangent_of_derivative(const variable_list& inputs, const at::Tensor& blocks,
                                 const Options& options) {
  variable_list directions;
  for (const at::Tensor& input : inputs) directions.push_back(primal(input));
  const Point point{std::move(directions.back()), blocks};
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

/// Records the derivatives of `output`, of a kernel that ran below autograd; `inputs` are
/// v_1..v_k, x.
void record(const at::Tensor& output, const variable_list& inputs, const at::Tensor& blocks,
            const Options& options) {
  variable_list saved = inputs;
  if (blocks.defined()) saved.push_back(blocks);
  if (const NodePtr node = node_if_required<SoftRankBackward>(inputs, saved, options)) {
    torch::autograd::set_history(output, node);
  }
  if (any_has_tangent(inputs)) set_tangent(output, tangent_of_derivative(inputs, blocks, options));
}

at::Tensor soft_rank(c10::DispatchKeySet keys, const at::Tensor& input, const Options& options) {
  if (Projections::contains(options.method) && is_differentiated({input})) {
    return std::get<0>(operators::permutahedron_rank_forward(input, options));
  }
  const at::Tensor output = below_autograd([&] {
    return operators::soft_rank.redispatch(keys & c10::after_autograd_keyset, input, options);
  });
  record(output, {input}, {}, options);
  return output;
}

at::Tensor soft_rank_backward(c10::DispatchKeySet keys, const at::Tensor& grad_output,
                              const at::Tensor& input, const Options& options) {
  const at::Tensor output = below_autograd([&] {
    return operators::soft_rank_backward.redispatch(keys & c10::after_autograd_keyset, grad_output,
                                                    input, options);
  });
  record(output, {grad_output, input}, {}, options);
  return output;
}

at::Tensor soft_rank_derivative(c10::DispatchKeySet keys, at::TensorList directions,
                                const at::Tensor& input, const Options& options) {
  variable_list inputs = directions.vec();
  inputs.push_back(input);
  const at::Tensor output = below_autograd([&] {
    return operators::soft_rank_derivative.redispatch(keys & c10::after_autograd_keyset, directions,
                                                      input, options);
  });
  record(output, inputs, {}, options);
  return output;
}

std::tuple<at::Tensor, at::Tensor> permutahedron_rank_forward(c10::DispatchKeySet keys,
                                                              const at::Tensor& input,
                                                              const Options& options) {
  auto [rank, blocks] = below_autograd([&] {
    return operators::permutahedron_rank_forward.redispatch(keys & c10::after_autograd_keyset,
                                                            input, options);
  });
  record(rank, {input}, blocks, options);
  return {rank, blocks};
}

at::Tensor permutahedron_rank_derivative(c10::DispatchKeySet keys, at::TensorList directions,
                                         const at::Tensor& input, const at::Tensor& blocks,
                                         const Options& options) {
  variable_list inputs = directions.vec();
  inputs.push_back(input);
  const at::Tensor output = below_autograd([&] {
    return operators::permutahedron_rank_derivative.redispatch(keys & c10::after_autograd_keyset,
                                                               directions, input, blocks, options);
  });
  record(output, inputs, blocks, options);
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::SoftRank, soft_rank>(library);
  autograd_kernel<operators::SoftRankBackward, soft_rank_backward>(library);
  autograd_kernel<operators::SoftRankDerivative, soft_rank_derivative>(library);
  autograd_kernel<operators::PermutahedronRankForward, permutahedron_rank_forward>(library);
  autograd_kernel<operators::PermutahedronRankDerivative, permutahedron_rank_derivative>(library);
}

}  // namespace rank_relax::autograd
