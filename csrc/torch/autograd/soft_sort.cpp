#include <torch/library.h>

#include <tuple>

#include "core/methods.h"
#include "torch/autograd/differentiable.h"
#include "torch/operators.h"

namespace rank_relax::autograd {
namespace {

/// Where a derivative will be wanted, by the forward of the method, which hands on what it needs.
at::Tensor soft_sort(c10::DispatchKeySet keys, const at::Tensor& input,
                     double regularization_strength, std::string_view method,
                     const std::optional<at::Tensor>& mask) {
  const Options options{regularization_strength, method, mask};
  if (is_differentiated({input}) && is_method(method)) {
    return Projections::contains(method)
               ? std::get<0>(operators::permutahedron_sort_forward()(input, options))
               : std::get<0>(operators::quantile_sort_forward()(input, options));
  }
  return below_autograd([&] {
    return operators::soft_sort().redispatch(keys & c10::after_autograd_keyset, input, options);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) { library.impl("soft_sort", soft_sort); }

}  // namespace rank_relax::autograd
