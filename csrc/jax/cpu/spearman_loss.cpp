#include "cpu/spearman_loss.h"

#include "adapter.h"

namespace rank_relax::handlers {
namespace {

/// predictions, targets [, mask] -> a loss for each list, and its gradients with respect to the
/// ranks of both sides. Targets are scores, or, `are_ranks`, ranks that add up to 0.
ffi::Error loss(ffi::ThreadPool pool, double strength, std::string_view method, bool are_ranks,
                ffi::AnyBuffer predictions, ffi::AnyBuffer targets, ffi::RemainingArgs others,
                ffi::Result<ffi::AnyBuffer> losses, ffi::Result<ffi::AnyBuffer> of_predictions,
                ffi::Result<ffi::AnyBuffer> of_targets) {
  return run([&] {
    check_method(method);
    if (losses->element_count() == 0) return;
    check_blocks_fit(size_of(predictions), method);
    visit_batch(predictions, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      const Lists<Scalar> of_targets_side(targets, count_of(predictions));
      cpu::spearman_loss_forward(batch, cpu::Targets<Scalar>{of_targets_side.rows(), are_ranks},
                                 data_of<Scalar>(losses), data_of<Scalar>(of_predictions),
                                 data_of<Scalar>(of_targets), parallel_for(pool));
    });
  });
}

/// side, other side, the loss's gradient with respect to the ranks of `side` [, mask] -> its
/// gradient with respect to it. The other side, and what it is, are for the formula of its
/// derivative.
ffi::Error gradient(ffi::ThreadPool pool, double strength, std::string_view method,
                    bool /*are_ranks*/, ffi::AnyBuffer side, ffi::AnyBuffer /*other*/,
                    ffi::AnyBuffer rank_gradient, ffi::RemainingArgs others,
                    ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_method(method);
    if (side.element_count() == 0) return;
    check_blocks_fit(size_of(side), method);
    visit_batch(side, strength, method, mask_of(others), [&](const auto& batch, auto zero) {
      using Scalar = decltype(zero);
      const Scalar one = 1;
      const Lists<Scalar> of_losses = Lists<Scalar>::same(one);
      const Lists<Scalar> of_ranks(rank_gradient, count_of(side));
      cpu::spearman_loss_backward(batch, of_losses.rows(), of_ranks.rows(), data_of<Scalar>(output),
                                  parallel_for(pool));
    });
  });
}

}  // namespace

RANK_RELAX_HANDLER(spearman_loss, loss,
                   bind()
                       .Attr<bool>("are_ranks")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>()
                       .Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(spearman_gradient, gradient,
                   bind()
                       .Attr<bool>("are_ranks")
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
