#include "torch/checks.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include "core/methods.h"
#include "core/projection/block_number.h"
#include "torch/argument_checks.h"

namespace rank_relax {
namespace {

/// As many items as `values` has, of its dtype.
void check_matches(const char* op, const char* name, const at::Tensor& tensor,
                   const char* values_name, const at::Tensor& values) {
  check_items(op, name, tensor, values.scalar_type(), values_name, values);
}

/// At most as many as the method has derivatives; the options too.
void check_directions(const char* op, at::TensorList directions, const at::Tensor& input,
                      const Options& options) {
  const auto most = static_cast<size_t>(max_order(options.method));
  TORCH_CHECK_VALUE(directions.size() <= most, op, ": directions must be at most ", most,
                    " tensors (method '", options.method,
                    "' has no derivatives of a higher order), got ", directions.size());
  for (const at::Tensor& direction : directions) {
    check_matches(op, "directions", direction, "input", input);
  }
  check_options(op, "input", input, options);
}

/// Numbers of items, with or without a fraction.
void check_count(const char* op, const at::Tensor& k) {
  const at::ScalarType dtype = k.scalar_type();
  TORCH_CHECK_TYPE(is_floating(dtype) || (is_integer(dtype) && dtype != at::kBool), op,
                   ": k must be of an integer or a floating dtype, got ", name_of(dtype));
}

}  // namespace

void check_values(const char* op, const char* name, const at::Tensor& values) {
  TORCH_CHECK_TYPE(values.defined(), op, ": ", name, " must be a tensor, got None");
  TORCH_CHECK_TYPE(is_floating(values.scalar_type()), op, ": ", name,
                   " must be float64, float32, bfloat16 or float16, got ",
                   name_of(values.scalar_type()), "; convert it, with ", name,
                   ".float() for example");
  check_dense(op, name, values);
  check_has_lists(op, name, values);
}

void check_soft_rank(const at::Tensor& input, const Options& options) {
  check_values("soft_rank", "input", input);
  check_options("soft_rank", "input", input, options);
}

void check_soft_rank_backward(const at::Tensor& grad_output, const at::Tensor& input,
                              const Options& options) {
  constexpr const char* op = "soft_rank_backward";
  check_values(op, "input", input);
  check_matches(op, "grad_output", grad_output, "input", input);
  check_options(op, "input", input, options);
}

void check_soft_rank_derivative(at::TensorList directions, const at::Tensor& input,
                                const Options& options) {
  constexpr const char* op = "_soft_rank_derivative";
  check_values(op, "input", input);
  check_directions(op, directions, input, options);
}

void check_permutahedron_rank_forward(const at::Tensor& input, const Options& options) {
  check_projection("_permutahedron_rank_forward", options.method);
  check_soft_rank(input, options);  // which calls it where a gradient is wanted
}

void check_permutahedron_rank_derivative(at::TensorList directions, const at::Tensor& input,
                                         const at::Tensor& blocks, const Options& options) {
  constexpr const char* op = "_permutahedron_rank_derivative";
  check_values(op, "input", input);
  TORCH_CHECK_VALUE(!directions.empty(), op, ": directions must be at least one tensor, got none");
  check_directions(op, directions, input, options);
  check_projection(op, options.method);
  check_items(op, "blocks", blocks, at::kInt, "input", input);
}

void check_soft_sort(const at::Tensor& input, const Options& options) {
  check_values("soft_sort", "input", input);
  check_options("soft_sort", "input", input, options);
}

// The forwards are called by soft_sort, and speak as it does where the user can be at fault.
void check_permutahedron_sort_forward(const at::Tensor& input, const Options& options) {
  check_soft_sort(input, options);
  check_projection("_permutahedron_sort_forward", options.method);
}

void check_quantile_sort_forward(const at::Tensor& input, const Options& options) {
  check_soft_sort(input, options);
  check_smooth_cdf("_quantile_sort_forward", options.method);
}

void check_quantile_sort_product(const char* op, const char* name, const at::Tensor& vector,
                                 const at::Tensor& input, const at::Tensor& points,
                                 const at::Tensor& densities, const Options& options) {
  check_values(op, "input", input);
  check_matches(op, name, vector, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  check_items(op, "points", points, at::kLong, "input", input);
  check_items(op, "densities", densities, at::kLong, "input", input);
}

void check_soft_quantile(const at::Tensor& input, const at::Tensor& q, const Options& options) {
  constexpr const char* op = "soft_quantile";
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  TORCH_CHECK_VALUE(input.sym_size(-1) != 0, op,
                    ": input must have at least one item in its last dimension, got shape ",
                    input.sym_sizes());
  if (!q.defined()) return;  // a number
  TORCH_CHECK_TYPE(is_floating(q.scalar_type()), op,
                   ": q must be float64, float32, bfloat16 or float16, got ",
                   name_of(q.scalar_type()));
  if (q.dim() == 1 && input.dim() > 1) {
    check_device(op, "q", q, "input", input);
  } else {
    check_rows(op, "q", q, q.scalar_type(), "input", input);
  }
}

void check_soft_topk(const at::Tensor& input, const at::Tensor& k, const Options& options) {
  constexpr const char* op = "soft_topk";
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  if (!k.defined()) return;  // a number
  check_count(op, k);
  check_device(op, "k", k, "input", input);
  const auto batch_shape = input.sym_sizes().slice(0, input.dim() - 1);
  TORCH_CHECK_VALUE(k.dim() == 0 || k.sym_sizes().equals(batch_shape), op,
                    ": k must be one number or have the batch shape of input, ", batch_shape,
                    ", got ", k.sym_sizes());
}

void check_soft_topk_forward(const at::Tensor& input, const at::Tensor& k, const Options& options) {
  constexpr const char* op = "_soft_topk_forward";
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  check_count(op, k);
  check_one_number_a_row(op, "k", k, k.scalar_type(), "input", input);
}

void check_soft_topk_backward(const at::Tensor& grad_output, const at::Tensor& input,
                              const at::Tensor& k, const at::Tensor& densities,
                              const Options& options) {
  constexpr const char* op = "_soft_topk_backward";
  check_values(op, "input", input);
  check_matches(op, "grad_output", grad_output, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  check_count(op, k);
  check_one_number_a_row(op, "k", k, k.scalar_type(), "input", input);
  check_items(op, "densities", densities, at::kLong, "input", input);
}

void check_quantile_at_levels(const char* op, const at::Tensor& input, const at::Tensor& levels,
                              const Options& options) {
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  check_rows(op, "levels", levels, at::kDouble, "input", input);
}

void check_at_levels(const char* op, const char* name, const at::Tensor& values,
                     const at::Tensor& levels) {
  check_matches(op, name, values, "levels", levels);
}

void check_quantile_at_levels_product(const char* op, const at::Tensor& input,
                                      const at::Tensor& levels, const at::Tensor& points,
                                      const Options& options) {
  check_quantile_at_levels(op, input, levels, options);
  check_at_levels(op, "points", points, levels);
}

void check_direction(const char* op, const at::Tensor& direction, const at::Tensor& input) {
  check_matches(op, "direction", direction, "input", input);
}

void check_permutahedron_sort_product(const char* op, const char* name, const at::Tensor& vector,
                                      const at::Tensor& input, const at::Tensor& permutation,
                                      const at::Tensor& blocks, const Options& options) {
  check_values(op, "input", input);
  check_matches(op, name, vector, "input", input);
  check_projection(op, options.method);
  check_options(op, "input", input, options);
  check_items(op, "permutation", permutation, at::kLong, "input", input);
  check_items(op, "blocks", blocks, at::kInt, "input", input);
}

void check_spearman_loss_forward(const at::Tensor& predictions, const at::Tensor& targets,
                                 const Options& options) {
  constexpr const char* op = "spearman_loss";
  check_values(op, "predictions", predictions);
  check_matches(op, "targets", targets, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

void check_spearman_loss_backward(const at::Tensor& grad_output, const at::Tensor& predictions,
                                  const at::Tensor& targets, const at::Tensor& rank_gradient,
                                  const Options& options) {
  constexpr const char* op = "_spearman_loss_backward";
  check_values(op, "predictions", predictions);
  check_matches(op, "targets", targets, "predictions", predictions);
  check_items(op, "rank_gradient", rank_gradient, statistics_dtype(predictions), "predictions",
              predictions);
  check_dtype(op, "grad_output", grad_output, predictions.scalar_type());
  check_device(op, "grad_output", grad_output, "predictions", predictions);
  check_batch_shape(op, "grad_output", grad_output, "predictions", predictions);
  check_options(op, "predictions", predictions, options);
}

void check_blocks_fit(int64_t size, std::string_view method) {
  TORCH_CHECK_VALUE(!Projections::contains(method) || size <= kMostBlocks,
                    "rank_relax: a list can have ", kMostBlocks, " items at most with method '",
                    method, "', got ", size);
}

at::ScalarType statistics_dtype(const at::Tensor& values) {
  return values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

}  // namespace rank_relax
