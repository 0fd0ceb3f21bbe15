#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <tuple>

#include "torch/declaration/operator.h"

namespace rank_relax::operators {

using at::Tensor;

struct SpearmanLoss : Declaration {
  static constexpr auto name = "spearman_loss";
  static constexpr auto schema =
      "(Tensor predictions, Tensor targets, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None, str target_ranks=\"hard\") -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kDecomposed;
  static constexpr auto lists = "predictions";
  static constexpr int autocast = 2;
  using Function = Tensor(const Tensor& predictions, const Tensor& targets, const Options& options,
                          std::string_view target_ranks);
  static Check<Function> check;
  /// Whether the targets are ranked before they meet the predictions, hard or as integers, and have
  /// no gradient.
  static bool has_constant_ranks(const Tensor& targets, std::string_view target_ranks);
};
inline constexpr Operator<SpearmanLoss> spearman_loss{};

/// The gradients with respect to the ranks are constants to autograd: handed to the backward, which
/// finds its own derivatives from predictions and targets.
struct SpearmanLossForward : Declaration {
  static constexpr auto name = "_spearman_loss_forward";
  static constexpr auto schema =
      "(Tensor predictions, Tensor targets, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor loss, Tensor rank_gradient_predictions, "
      "Tensor rank_gradient_targets)";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr auto lists = "predictions";
  using Function = std::tuple<Tensor, Tensor, Tensor>(const Tensor& predictions,
                                                      const Tensor& targets,
                                                      const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SpearmanLossForward> spearman_loss_forward{};

struct SpearmanLossBackward : Declaration {
  static constexpr auto name = "_spearman_loss_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor predictions, Tensor targets, Tensor rank_gradient, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr auto lists = "predictions";
  using Function = Tensor(const Tensor& grad_output, const Tensor& predictions,
                          const Tensor& targets, const Tensor& rank_gradient,
                          const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SpearmanLossBackward> spearman_loss_backward{};

/// Against given ranks of the targets, which are constants, add up to zero in each list and have
/// the dtype of the statistics: float32 for half-precision predictions.
struct SpearmanLossAtRanksForward : Declaration {
  static constexpr auto name = "_spearman_loss_at_ranks_forward";
  static constexpr auto schema =
      "(Tensor predictions, Tensor target_ranks, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor loss, Tensor rank_gradient)";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr auto lists = "predictions";
  using Function = std::tuple<Tensor, Tensor>(const Tensor& predictions, const Tensor& target_ranks,
                                              const Options& options);
  static Check<Function> check;
  static Function outputs;
};
inline constexpr Operator<SpearmanLossAtRanksForward> spearman_loss_at_ranks_forward{};

struct SpearmanLossAtRanksBackward : Declaration {
  static constexpr auto name = "_spearman_loss_at_ranks_backward";
  static constexpr auto schema =
      "(Tensor grad_output, Tensor predictions, Tensor target_ranks, Tensor rank_gradient, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kTensorOperators;
  static constexpr auto lists = "predictions";
  using Function = Tensor(const Tensor& grad_output, const Tensor& predictions,
                          const Tensor& target_ranks, const Tensor& rank_gradient,
                          const Options& options);
  static Check<Function> check;
};
inline constexpr Operator<SpearmanLossAtRanksBackward> spearman_loss_at_ranks_backward{};

}  // namespace rank_relax::operators
