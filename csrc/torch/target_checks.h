#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>

#include "torch/operators.h"

// What is asked of items of any real dtype, which are ranked and have no gradient: of targets above
// all (torch/checks.h).

namespace rank_relax {

/// Of an operator that ranks items hard, into a floating dtype.
void check_hard_rank(const char* op, const at::Tensor& input, const std::optional<at::Tensor>& mask,
                     at::ScalarType dtype);
void check_centered_integer_rank(const at::Tensor& input, const Options& options,
                                 at::ScalarType dtype);
void check_integer_scores(const at::Tensor& input, const at::Tensor& strengths,
                          std::string_view method, const std::optional<at::Tensor>& mask);
/// Of targets that are ranked before they meet the predictions, which have been checked.
void check_targets(const at::Tensor& predictions, const at::Tensor& targets,
                   const Options& options);
void check_target_ranks(std::string_view target_ranks);
void check_spearman_loss_at_ranks_forward(const at::Tensor& predictions,
                                          const at::Tensor& target_ranks, const Options& options);
void check_spearman_loss_at_ranks_backward(const at::Tensor& grad_output,
                                           const at::Tensor& predictions,
                                           const at::Tensor& target_ranks,
                                           const at::Tensor& rank_gradient, const Options& options);

/// That of hard ranks, if none is given: the input's, torch's default dtype for integers.
at::ScalarType rank_dtype(const at::Tensor& input, std::optional<at::ScalarType> dtype);

}  // namespace rank_relax
