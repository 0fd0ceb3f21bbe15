#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "cuda/soft_sort_and_soft_quantile.h"
#include "torch/declaration/options.h"

namespace rank_relax {

/// Enqueues the problem, whose results and levels are set, of soft quantiles or of soft sorts by a
/// smooth CDF, on the current stream. `input` and `mask` are at one row stride.
void run_quantile(cuda::Quantile problem, const at::Tensor& input,
                  const std::optional<at::Tensor>& mask, const Options& options);

}  // namespace rank_relax
