#include <ATen/TensorOperators.h>
#include <ATen/ops/zeros_like.h>
#include <torch/library.h>

#include <tuple>
#include <type_traits>

#include "core/projection/permutahedron.h"
#include "torch/autograd/differentiable.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/soft_sort.h"

// With J the Jacobian of the sorted values at x (cpu/projection/permutahedron.h), `tangent` is J v
// and `backward` Jᵀg. J is constant between the kinks for l2; for kl, with ⊙ item by item and Pᵀ
// from places to items, the weights r = softmax(-x) of a block move by dr = -r ⊙ (dx - <r, dx>), so
// that
//
//     d(Jᵀg) = -Jᵀg ⊙ (dx - PᵀJ dx)
//     d(Jv)  = Jv ⊙ J dx - J(v ⊙ dx)
//     and with cotangents c of Jᵀg and b of Jv, with respect to x:
//     -Jᵀg ⊙ (c - PᵀJc)  and  -Jᵀb ⊙ (v - PᵀJv).

namespace rank_relax::autograd {
namespace {

using at::Tensor;

/// J at `input`, whose products these are.
struct SortJacobian {
  Tensor input;
  Tensor permutation;
  Tensor blocks;

  Tensor backward(const Tensor& grad_output, const Options& options) const {
    return operators::permutahedron_sort_backward(grad_output, input, permutation, blocks, options);
  }

  Tensor tangent(const Tensor& direction, const Options& options) const {
    return operators::permutahedron_sort_tangent(direction, input, permutation, blocks, options);
  }

  Tensor to_items(const Tensor& places) const {
    return at::zeros_like(places).scatter(-1, permutation, places);
  }

  /// What stands at items outside of all blocks is ignored.
  Tensor inside(const Tensor& items) const { return items.masked_fill(to_items(blocks) < 0, 0); }

  /// -Jᵀg ⊙ (v - PᵀJv).
  Tensor second(const Tensor& places, const Tensor& items, const Options& options) const {
    if (options.method == L2::name) return at::zeros_like(items);
    const Tensor deviation = inside(items) - to_items(tangent(items, options));
    return backward(places, options).neg() * inside(deviation);
  }
};

struct PermutahedronSortBackward {
  static constexpr const char* name = "PermutahedronSortBackward";

  /// Saved: x, permutation, blocks. Next edge: x.
  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(1);
    if (!needed[0] || !grad_outputs[0].defined()) return gradients;
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    const SortJacobian jacobian{saved.tensors[0], saved.tensors[1], saved.tensors[2]};
    gradients[0] = jacobian.backward(grad_outputs[0], options);
    return gradients;
  }
};

/// Saved by both products: the vector, x, permutation, blocks. Next edges: the vector, x.
template <bool transposed>
struct PermutahedronSortProductBackward {
  static constexpr const char* name =
      transposed ? "PermutahedronSortBackwardBackward" : "PermutahedronSortTangentBackward";

  static variable_list backward(const variable_list& grad_outputs, const std::vector<bool>& needed,
                                const SavedValues& saved) {
    variable_list gradients(2);
    const Tensor& cotangent = grad_outputs[0];
    if (!cotangent.defined()) return gradients;
    const Options options{saved.regularization_strength, saved.method, saved.mask};
    const Tensor& vector = saved.tensors[0];
    const SortJacobian jacobian{saved.tensors[1], saved.tensors[2], saved.tensors[3]};
    if (needed[0]) {
      gradients[0] =
          transposed ? jacobian.tangent(cotangent, options) : jacobian.backward(cotangent, options);
    }
    if (needed[1]) {
      gradients[1] = transposed ? jacobian.second(vector, cotangent, options)
                                : jacobian.second(cotangent, vector, options);
    }
    return gradients;
  }
};

std::tuple<Tensor, Tensor, Tensor> permutahedron_sort_forward(c10::DispatchKeySet keys,
                                                              const Tensor& input,
                                                              const Options& options) {
  auto [values, permutation, blocks] = below_autograd([&] {
    return operators::permutahedron_sort_forward.redispatch(keys & c10::after_autograd_keyset,
                                                            input, options);
  });
  const NodePtr node =
      node_if_required<PermutahedronSortBackward>({input}, {input, permutation, blocks}, options);
  if (node) torch::autograd::set_history(values, node);
  if (has_tangent(input)) {
    const SortJacobian jacobian{primal(input), permutation, blocks};
    set_tangent(values, jacobian.tangent(tangent(input), options));
  }
  return {values, permutation, blocks};
}

/// The tangent of J v, or of Jᵀv if transposed.
template <bool transposed>
Tensor tangent_of_product(const Tensor& vector, const Tensor& input, const SortJacobian& jacobian,
                          const Options& options) {
  Tensor sum;
  if (has_tangent(vector)) {
    sum = transposed ? jacobian.backward(tangent(vector), options)
                     : jacobian.tangent(tangent(vector), options);
  }
  if (!has_tangent(input)) return sum;
  const Tensor v = primal(vector), dx = tangent(input);
  Tensor term;
  if (transposed || options.method == L2::name) {
    term = jacobian.second(v, dx, options);  // for l2: zeros
  } else {
    term = jacobian.tangent(v, options) * jacobian.tangent(dx, options) -
           jacobian.tangent(jacobian.inside(v) * jacobian.inside(dx), options);
  }
  return sum.defined() ? sum + term : term;
}

template <bool transposed>
Tensor product(c10::DispatchKeySet keys, const Tensor& vector, const Tensor& input,
               const Tensor& permutation, const Tensor& blocks, const Options& options) {
  using Product = std::conditional_t<transposed, operators::PermutahedronSortBackward,
                                     operators::PermutahedronSortTangent>;
  const Tensor output = below_autograd([&] {
    return Operator<Product>().redispatch(keys & c10::after_autograd_keyset, vector, input,
                                          permutation, blocks, options);
  });
  const variable_list inputs{vector, input};
  const NodePtr node = node_if_required<PermutahedronSortProductBackward<transposed>>(
      inputs, {vector, input, permutation, blocks}, options);
  if (node) torch::autograd::set_history(output, node);
  if (any_has_tangent(inputs)) {
    const SortJacobian jacobian{primal(input), permutation, blocks};
    set_tangent(output, tangent_of_product<transposed>(vector, input, jacobian, options));
  }
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::PermutahedronSortForward, permutahedron_sort_forward>(library);
  autograd_kernel<operators::PermutahedronSortBackward, product<true>>(library);
  autograd_kernel<operators::PermutahedronSortTangent, product<false>>(library);
}

}  // namespace rank_relax::autograd
