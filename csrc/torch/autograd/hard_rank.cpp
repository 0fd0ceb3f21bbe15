#include "torch/operators/hard_rank.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "torch/autograd/differentiable.h"
#include "torch/declaration/kernel.h"

// Hard ranks are piecewise constant, and where they jump there is no derivative: like torch.argsort
// and torch.bucketize they return tensors that require no gradient and have no tangent. Targets of
// a loss are refused where a derivative is wanted of them, rather than given none: here, where each
// level of torch.func asks, and not in the loss, which sees the innermost alone.

namespace rank_relax::autograd {
namespace {

using at::Tensor;

Tensor hard_rank(c10::DispatchKeySet keys, const Tensor& input, bool descending, bool normalize,
                 const std::optional<Tensor>& mask, std::optional<at::ScalarType> dtype) {
  return below_autograd([&] {
    return operators::hard_rank.redispatch(keys & c10::after_autograd_keyset, input, descending,
                                           normalize, mask, dtype);
  });
}

Tensor centered_hard_rank(c10::DispatchKeySet keys, const Tensor& input,
                          const std::optional<Tensor>& mask, at::ScalarType dtype) {
  TORCH_CHECK_VALUE(!is_differentiated({input}),
                    "spearman_loss: targets have no gradient with target_ranks='hard': detach "
                    "them, or rank them softly with target_ranks='soft'");
  return below_autograd([&] {
    return operators::centered_hard_rank.redispatch(keys & c10::after_autograd_keyset, input, mask,
                                                    dtype);
  });
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Autograd, library) {
  autograd_kernel<operators::HardRank, hard_rank>(library);
  autograd_kernel<operators::CenteredHardRank, centered_hard_rank>(library);
}

}  // namespace rank_relax::autograd
