#include <algorithm>
#include <limits>
#include <vector>

#include "c/status.h"
#include "core/refusals.h"

// The functions over plain arrays of doubles, by those over tensors.

using namespace rank_relax;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

rank_relax_tensor doubles(const double* data, int64_t* shape, int32_t dims) {
  return {const_cast<double*>(data), {1, 0}, dims, {2, 64, 1}, shape, nullptr, 0};
}

rank_relax_options on_all_processors(double regularization_strength) {
  rank_relax_options options = RANK_RELAX_OPTIONS;
  options.regularization_strength = regularization_strength;
  options.parallel_for = rank_relax_threads;
  return options;
}

}  // namespace

double spearman_loss_ffi(const double* predictions, size_t predictions_len, const double* targets,
                         size_t targets_len, double regularization_strength) {
  double loss = kNan;
  if (predictions_len != targets_len) {
    c::status_of("spearman_loss_ffi", [&] {
      c::refuse(refusal::sentence("targets_len must be predictions_len, ", predictions_len,
                                  ", got ", targets_len));
    });
    return kNan;
  }
  const rank_relax_status status =
      spearman_loss_batch_gradient(predictions, targets, 1, predictions_len,
                                   regularization_strength, nullptr, &loss, nullptr, nullptr);
  return status == RANK_RELAX_OK ? loss : kNan;
}

void spearman_loss_batch(const double* predictions, const double* targets, size_t batch_size,
                         size_t n_items, double regularization_strength, double* losses) {
  const rank_relax_status status =
      spearman_loss_batch_gradient(predictions, targets, batch_size, n_items,
                                   regularization_strength, nullptr, losses, nullptr, nullptr);
  if (status != RANK_RELAX_OK && losses != nullptr) std::fill_n(losses, batch_size, kNan);
}

rank_relax_status spearman_loss_batch_gradient(const double* predictions, const double* targets,
                                               size_t batch_size, size_t n_items,
                                               double regularization_strength,
                                               const double* grad_losses, double* losses,
                                               double* grad_predictions, double* grad_targets) {
  rank_relax_status status = RANK_RELAX_OK;
  const rank_relax_status outer = c::status_of("spearman_loss_batch", [&] {
    const bool with_gradient = grad_predictions != nullptr || grad_targets != nullptr;
    if (with_gradient && grad_losses == nullptr) {
      c::refuse("grad_losses must be given where a gradient is wanted, got NULL");
    }
    int64_t shape[] = {static_cast<int64_t>(batch_size), static_cast<int64_t>(n_items)};
    const rank_relax_tensor p = doubles(predictions, shape, 2), t = doubles(targets, shape, 2);
    std::vector<double> own_losses(losses == nullptr ? batch_size : 0);
    const rank_relax_tensor loss =
        doubles(losses == nullptr ? own_losses.data() : losses, shape, 1);
    // Of the ranks, if it is wanted.
    std::vector<double> of_predictions(grad_predictions == nullptr ? 0 : batch_size * n_items);
    std::vector<double> of_targets(grad_targets == nullptr ? 0 : batch_size * n_items);
    const rank_relax_tensor slopes_p = doubles(of_predictions.data(), shape, 2);
    const rank_relax_tensor slopes_t = doubles(of_targets.data(), shape, 2);
    const rank_relax_options options = on_all_processors(regularization_strength);
    status = rank_relax_spearman_loss(&p, &t, "soft", &options, &loss,
                                      grad_predictions == nullptr ? nullptr : &slopes_p,
                                      grad_targets == nullptr ? nullptr : &slopes_t);
    const rank_relax_tensor weights = doubles(grad_losses, shape, 1);
    const auto backward = [&](const rank_relax_tensor& values, const rank_relax_tensor& slopes,
                              double* gradient) {
      if (status != RANK_RELAX_OK || gradient == nullptr) return;
      const rank_relax_tensor output = doubles(gradient, shape, 2);
      status = rank_relax_spearman_loss_backward(&weights, &values, &slopes, &options, &output);
    };
    backward(p, slopes_p, grad_predictions);
    backward(t, slopes_t, grad_targets);
  });
  return outer == RANK_RELAX_OK ? status : outer;
}
