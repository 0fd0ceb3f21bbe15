#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "c/call.h"
#include "c/tensor.h"

// The functions that have kernels for CUDA, after all checks: csrc/c/cuda where the library is
// built with CUDA, without_cuda.cpp where it is not. They enqueue on the stream of the options, in
// its workspace, and never wait.

namespace rank_relax::c::on_cuda {

bool is_built();

/// Of order 0 with a shift, else along so many directions.
struct Ranks {
  const Tensor& input;
  int order;
  double shift;
};

size_t ranks_workspace(const Call& call, const Ranks& ranks);
void ranks(const Call& call, const Ranks& ranks, const std::vector<Tensor>& directions,
           const Tensor& output);

/// Of predictions and soft targets; the gradients hold the ranks on the way.
struct Spearman {
  const Tensor& predictions;
  const Tensor& targets;
};

size_t spearman_workspace(const Call& call, const Spearman& spearman);
void spearman(const Call& call, const Spearman& spearman, const Tensor& loss,
              const Tensor& rank_gradient_predictions, const Tensor& rank_gradient_targets);
/// In the workspace of ranks along one direction.
void spearman_backward(const Call& call, const Tensor& grad_loss, const Tensor& values,
                       const Tensor& rank_gradient, const Tensor& gradient);

size_t sort_workspace(const Call& call, const Tensor& input);
/// By a smooth CDF; points and densities may both be absent.
void sort_by_cdf(const Call& call, const Tensor& input, const Tensor& values,
                 const std::optional<Tensor>& points, const std::optional<Tensor>& densities);
void sort_by_projection(const Call& call, const Tensor& input, const Tensor& values,
                        const Tensor& permutation, const Tensor& blocks);

/// A product with the Jacobian of a sort by projection. Places that are no item's are passed over.
struct SortProduct {
  const Tensor& vector;
  const Tensor& input;
  const Tensor& permutation;
  const Tensor& blocks;
  bool transposed;
};

size_t sort_product_workspace(const Call& call, const Tensor& input);
void sort_product(const Call& call, const SortProduct& product, const Tensor& output);

}  // namespace rank_relax::c::on_cuda
