#include "torch/operators/soft_sort.h"

#include <torch/library.h>

#include <tuple>

#include "core/methods.h"
#include "torch/autograd/differentiable.h"
#include "torch/declaration/kernel.h"

namespace rank_relax::autograd {
namespace {

/// Where a derivative will be wanted, by the forward of the method, which hands on what it needs.
at::Tensor soft_sort(c10::DispatchKeySet keys, const at::Tensor& input, const Options& options) {
  if (is_differentiated({input}) && is_method(options.method)) {
    return Projections::contains(options.method)
               ? std::get<0>(operators::permutahedron_sort_forward(input, options))
               : std::get<0>(operators::quantile_sort_forward(input, options));
  }
  return below_autograd([&] {
    return operators::soft_sort.redispatch(keys & c10::after_autograd_keyset, input, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::SoftSort, soft_sort>(library);
}

}  // namespace rank_relax::autograd
