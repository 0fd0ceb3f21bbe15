#include <algorithm>
#include <exception>
#include <limits>
#include <vector>

#include "c/call.h"
#include "c/status.h"
#include "core/refusals.h"

// The functions over plain arrays of doubles, by those over tensors.

using namespace rank_relax;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

rank_relax_tensor doubles(const double* data, int64_t* shape, int32_t dims) {
  return {const_cast<double*>(data), {1, 0}, dims, {2, 64, 1}, shape, nullptr, 0};
}

struct Batch {
  const double* predictions;
  const double* targets;
  size_t batch_size, n_items;
  double regularization_strength;
};

struct Wanted {
  const double* grad_losses;
  double* losses;
  double* grad_predictions;
  double* grad_targets;
};

rank_relax_options on_all_processors(double regularization_strength) {
  rank_relax_options options = RANK_RELAX_OPTIONS;
  options.regularization_strength = regularization_strength;
  options.parallel_for = rank_relax_threads;
  return options;
}

/// Refuses what is none, or lies where something else does: found before anything is written.
void check(const Batch& batch, const Wanted& wanted, const rank_relax_options& options) {
  int64_t shape[] = {static_cast<int64_t>(batch.batch_size), static_cast<int64_t>(batch.n_items)};
  c::Call call(&options);
  const rank_relax_tensor p = doubles(batch.predictions, shape, 2);
  const c::Tensor predictions = call.values("predictions", &p);
  const rank_relax_tensor t = doubles(batch.targets, shape, 2);
  call.like("targets", &t, predictions);
  call.set_lists(predictions);
  if (wanted.grad_losses != nullptr) {
    const rank_relax_tensor g = doubles(wanted.grad_losses, shape, 1);
    call.items("grad_losses", &g, c::Dtype::kFloat64, call.shape_of_lists(), "the lists");
  } else if (wanted.grad_predictions != nullptr || wanted.grad_targets != nullptr) {
    c::refuse("grad_losses must be given where a gradient is wanted, got NULL");
  }
  if (wanted.losses != nullptr) {
    const rank_relax_tensor loss = doubles(wanted.losses, shape, 1);
    call.output("losses", &loss, c::Dtype::kFloat64, call.shape_of_lists(), "the lists");
  }
  const auto gradient = [&](const char* name, const double* data) {
    const rank_relax_tensor output = doubles(data, shape, 2);
    if (data != nullptr) call.output_like(name, &output, predictions);
  };
  gradient("grad_predictions", wanted.grad_predictions);
  gradient("grad_targets", wanted.grad_targets);
}

/// After the check.
rank_relax_status computed(const Batch& batch, const Wanted& wanted,
                           const rank_relax_options& options) {
  const size_t items = batch.batch_size * batch.n_items;
  int64_t shape[] = {static_cast<int64_t>(batch.batch_size), static_cast<int64_t>(batch.n_items)};
  const rank_relax_tensor p = doubles(batch.predictions, shape, 2);
  const rank_relax_tensor t = doubles(batch.targets, shape, 2);
  std::vector<double> own_losses(wanted.losses == nullptr ? batch.batch_size : 0);
  const rank_relax_tensor loss =
      doubles(wanted.losses == nullptr ? own_losses.data() : wanted.losses, shape, 1);
  std::vector<double> of_predictions(wanted.grad_predictions == nullptr ? 0 : items);
  std::vector<double> of_targets(wanted.grad_targets == nullptr ? 0 : items);
  const rank_relax_tensor slopes_p = doubles(of_predictions.data(), shape, 2);
  const rank_relax_tensor slopes_t = doubles(of_targets.data(), shape, 2);
  rank_relax_status status = rank_relax_spearman_loss(
      &p, &t, "soft", &options, &loss, wanted.grad_predictions == nullptr ? nullptr : &slopes_p,
      wanted.grad_targets == nullptr ? nullptr : &slopes_t);
  const rank_relax_tensor weights = doubles(wanted.grad_losses, shape, 1);
  const auto backward = [&](const rank_relax_tensor& values, const rank_relax_tensor& slopes,
                            double* gradient) {
    if (status != RANK_RELAX_OK || gradient == nullptr) return;
    const rank_relax_tensor output = doubles(gradient, shape, 2);
    status = rank_relax_spearman_loss_backward(&weights, &values, &slopes, &options, &output);
  };
  backward(p, slopes_p, wanted.grad_predictions);
  backward(t, slopes_t, wanted.grad_targets);
  return status;
}

rank_relax_status run(const char* function, const Batch& batch, const Wanted& wanted) {
  rank_relax_status status = RANK_RELAX_OK;
  const rank_relax_status outer = c::status_of(function, [&] {
    const rank_relax_options options = on_all_processors(batch.regularization_strength);
    check(batch, wanted, options);
    status = computed(batch, wanted, options);
  });
  return outer == RANK_RELAX_OK ? status : outer;
}

/// Whether there is memory of its own for the losses, whatever else is wrong.
bool can_be_written(const Batch& batch, const double* losses) noexcept {
  int64_t shape[] = {static_cast<int64_t>(batch.batch_size), static_cast<int64_t>(batch.n_items)};
  const rank_relax_tensor loss = doubles(losses, shape, 1);
  try {
    const c::Tensor written("losses", &loss);
    for (const double* input : {batch.predictions, batch.targets}) {
      const rank_relax_tensor given = doubles(input, shape, 2);
      if (input != nullptr && written.shares_memory_with(c::Tensor("an input", &given))) {
        return false;
      }
    }
    return true;
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

double spearman_loss_ffi(const double* predictions, size_t predictions_len, const double* targets,
                         size_t targets_len, double regularization_strength) {
  if (predictions_len != targets_len) {
    c::status_of("spearman_loss_ffi", [&] {
      c::refuse(refusal::sentence("targets_len must be predictions_len, ", predictions_len,
                                  ", got ", targets_len));
    });
    return kNan;
  }
  double loss = kNan;
  const rank_relax_status status =
      run("spearman_loss_ffi", {predictions, targets, 1, predictions_len, regularization_strength},
          {nullptr, &loss, nullptr, nullptr});
  return status == RANK_RELAX_OK ? loss : kNan;
}

void spearman_loss_batch(const double* predictions, const double* targets, size_t batch_size,
                         size_t n_items, double regularization_strength, double* losses) {
  const Batch batch{predictions, targets, batch_size, n_items, regularization_strength};
  const rank_relax_status status =
      run("spearman_loss_batch", batch, {nullptr, losses, nullptr, nullptr});
  if (status != RANK_RELAX_OK && can_be_written(batch, losses)) {
    std::fill_n(losses, batch_size, kNan);
  }
}

rank_relax_status spearman_loss_batch_gradient(const double* predictions, const double* targets,
                                               size_t batch_size, size_t n_items,
                                               double regularization_strength,
                                               const double* grad_losses, double* losses,
                                               double* grad_predictions, double* grad_targets) {
  return run("spearman_loss_batch_gradient",
             {predictions, targets, batch_size, n_items, regularization_strength},
             {grad_losses, losses, grad_predictions, grad_targets});
}
