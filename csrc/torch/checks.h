#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

#include "torch/operators.h"

// What every kernel asks of its arguments before any work. ValueError or TypeError, naming the
// operator, the argument, what was given and what to do.

namespace rank_relax {

/// A float64, float32, bfloat16 or float16 tensor with at least one dimension.
void check_values(const char* op, const char* name, const at::Tensor& values);

void check_soft_rank(const at::Tensor& input, const Options& options);
void check_soft_rank_backward(const at::Tensor& grad_output, const at::Tensor& input,
                              const Options& options);
void check_soft_rank_derivative(at::TensorList directions, const at::Tensor& input,
                                const Options& options);
void check_permutahedron_rank_forward(const at::Tensor& input, const Options& options);
void check_permutahedron_rank_derivative(at::TensorList directions, const at::Tensor& input,
                                         const at::Tensor& blocks, const Options& options);
void check_soft_sort(const at::Tensor& input, const Options& options);
void check_permutahedron_sort_forward(const at::Tensor& input, const Options& options);
/// Of the operators that multiply by the Jacobian; `name` is that of the vector.
void check_permutahedron_sort_product(const char* op, const char* name, const at::Tensor& vector,
                                      const at::Tensor& input, const at::Tensor& permutation,
                                      const at::Tensor& blocks, const Options& options);
void check_quantile_sort_forward(const at::Tensor& input, const Options& options);
/// As above.
void check_quantile_sort_product(const char* op, const char* name, const at::Tensor& vector,
                                 const at::Tensor& input, const at::Tensor& points,
                                 const at::Tensor& densities, const Options& options);
void check_soft_quantile(const at::Tensor& input, const at::Tensor& q, const Options& options);
void check_soft_topk(const at::Tensor& input, const at::Tensor& k, const Options& options);
void check_soft_topk_forward(const at::Tensor& input, const at::Tensor& k, const Options& options);
void check_soft_topk_backward(const at::Tensor& grad_output, const at::Tensor& input,
                              const at::Tensor& k, const at::Tensor& densities,
                              const Options& options);
void check_quantile_at_levels(const char* op, const at::Tensor& input, const at::Tensor& levels,
                              const Options& options);
/// Of two tensors that have an element for each level: one of them comes from the forward.
void check_at_levels(const char* op, const char* name, const at::Tensor& values,
                     const at::Tensor& levels);
/// Of the operators that multiply by the Jacobian of points at levels.
void check_quantile_at_levels_product(const char* op, const at::Tensor& input,
                                      const at::Tensor& levels, const at::Tensor& points,
                                      const Options& options);
/// Of the vector that the tangent of points at levels is taken along.
void check_direction(const char* op, const at::Tensor& direction, const at::Tensor& input);
void check_spearman_loss_forward(const at::Tensor& predictions, const at::Tensor& targets,
                                 const Options& options);
void check_spearman_loss_backward(const at::Tensor& grad_output, const at::Tensor& predictions,
                                  const at::Tensor& targets, const at::Tensor& rank_gradient,
                                  const Options& options);

/// If a list is too long for its blocks, by a method that makes them, to be numbered.
void check_blocks_fit(int64_t size, std::string_view method);

/// The dtype of what passes between forward and backward: float32 for the half precisions.
at::ScalarType statistics_dtype(const at::Tensor& values);

}  // namespace rank_relax
