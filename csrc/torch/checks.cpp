#include "torch/checks.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <cmath>
#include <string>

#include "core/block_number.h"
#include "core/methods.h"

namespace rank_relax {
namespace {

bool is_supported(at::ScalarType dtype) {
  return dtype == at::kDouble || dtype == at::kFloat || dtype == at::kBFloat16 ||
         dtype == at::kHalf;
}

/// "int64", as Python writes it.
std::string name_of(at::ScalarType dtype) { return std::string(c10::getDtypeNames(dtype).first); }

void check_dense(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(tensor.layout() == at::kStrided, op, ": ", name,
                   " must be a dense tensor, got layout ", tensor.layout(),
                   "; convert it with to_dense()");
}

void check_device(const char* op, const char* other_name, const at::Tensor& other, const char* name,
                  const at::Tensor& values) {
  check_dense(op, other_name, other);
  TORCH_CHECK_VALUE(other.device() == values.device(), op, ": ", other_name, " is on ",
                    other.device(), " but ", name, " is on ", values.device(),
                    "; move them to one device");
}

void check_dtype(const char* op, const char* other_name, const at::Tensor& other,
                 at::ScalarType dtype) {
  TORCH_CHECK_TYPE(other.scalar_type() == dtype, op, ": ", other_name, " must have dtype ",
                   name_of(dtype), ", got ", name_of(other.scalar_type()));
}

/// Whether `longer` is `shorter` as a column: a list that has not been squeezed.
bool is_column_of(const at::Tensor& longer, const at::Tensor& shorter) {
  return longer.dim() == shorter.dim() + 1 && longer.sym_size(-1) == 1 &&
         longer.sym_sizes().slice(0, shorter.dim()).equals(shorter.sym_sizes());
}

/// What to do about two shapes that differ.
std::string shape_advice(const char* other_name, const at::Tensor& other, const char* name,
                         const at::Tensor& values) {
  if (is_column_of(values, other)) return std::string("use ") + name + ".squeeze(-1)";
  if (is_column_of(other, values)) return std::string("use ") + other_name + ".squeeze(-1)";
  return "use expand_as to repeat one over a batch";
}

void check_shape(const char* op, const char* other_name, const at::Tensor& other, const char* name,
                 const at::Tensor& values) {
  TORCH_CHECK_VALUE(other.sym_sizes().equals(values.sym_sizes()), op, ": ", other_name,
                    " must have the shape of ", name, ", ", values.sym_sizes(), ", got ",
                    other.sym_sizes(), "; ", shape_advice(other_name, other, name, values));
}

/// Strength and method; the mask if given: bool, on the device and of the shape of `values`.
void check_options(const char* op, const char* name, const at::Tensor& values,
                   const Options& options) {
  const double strength = options.regularization_strength;
  TORCH_CHECK_VALUE(std::isfinite(strength) && strength > 0, op,
                    ": regularization_strength must be positive and finite, got ", strength,
                    "; larger is closer to the hard ranks");
  TORCH_CHECK_VALUE(is_method(options.method), op, ": method must be one of ", method_names(),
                    ", got '", options.method, "'");
  if (!options.mask.has_value()) return;
  TORCH_CHECK_TYPE(options.mask->scalar_type() == at::kBool, op,
                   ": mask must be bool, true where an item counts, got ",
                   name_of(options.mask->scalar_type()), "; convert it with mask.bool()");
  check_device(op, "mask", *options.mask, name, values);
  check_shape(op, "mask", *options.mask, name, values);
}

/// `other` has the dtype, device and shape of `values`.
void check_matches(const char* op, const char* other_name, const at::Tensor& other,
                   const char* name, const at::Tensor& values) {
  check_dtype(op, other_name, other, values.scalar_type());
  check_device(op, other_name, other, name, values);
  check_shape(op, other_name, other, name, values);
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

/// What a forward returned beside its result.
void check_indices(const char* op, const char* name, const at::Tensor& indices,
                   at::ScalarType dtype, const at::Tensor& input) {
  check_dtype(op, name, indices, dtype);
  check_device(op, name, indices, "input", input);
  check_shape(op, name, indices, "input", input);
}

void check_projection(const char* op, const Options& options) {
  TORCH_CHECK_VALUE(Projections::contains(options.method), op, ": method must be one of ",
                    Projections::names(), ", got '", options.method, "'");
}

void check_smooth_cdf(const char* op, const Options& options) {
  TORCH_CHECK_VALUE(SmoothCdfs::contains(options.method), op, ": method must be one of ",
                    SmoothCdfs::names(), ", got '", options.method, "'");
}

/// `other` has `dtype`, and one row for each of input's.
void check_rows(const char* op, const char* other_name, const at::Tensor& other,
                at::ScalarType dtype, const at::Tensor& input) {
  check_dtype(op, other_name, other, dtype);
  check_device(op, other_name, other, "input", input);
  const auto batch_shape = input.sym_sizes().slice(0, input.dim() - 1);
  TORCH_CHECK_VALUE(
      other.dim() == input.dim() && other.sym_sizes().slice(0, other.dim() - 1).equals(batch_shape),
      op, ": ", other_name, " must have the batch shape of input, ", batch_shape,
      ", and one more dimension, got ", other.sym_sizes());
}

bool is_real(at::ScalarType dtype) {
  return is_supported(dtype) || at::isIntegralType(dtype, /*includeBool=*/false);
}

}  // namespace

void check_values(const char* op, const char* name, const at::Tensor& values) {
  TORCH_CHECK_TYPE(values.defined(), op, ": ", name, " must be a tensor, got None");
  TORCH_CHECK_TYPE(is_supported(values.scalar_type()), op, ": ", name,
                   " must be float64, float32, bfloat16 or float16, got ",
                   name_of(values.scalar_type()), "; convert it, with ", name,
                   ".float() for example");
  check_dense(op, name, values);
  TORCH_CHECK_VALUE(values.dim() > 0, op, ": ", name,
                    " must have at least one dimension, the last of which is ranked, got a 0-dim "
                    "tensor");
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
  check_projection("_permutahedron_rank_forward", options);
  check_soft_rank(input, options);  // which calls it where a gradient is wanted
}

void check_permutahedron_rank_derivative(at::TensorList directions, const at::Tensor& input,
                                         const at::Tensor& blocks, const Options& options) {
  constexpr const char* op = "_permutahedron_rank_derivative";
  check_values(op, "input", input);
  TORCH_CHECK_VALUE(!directions.empty(), op, ": directions must be at least one tensor, got none");
  check_directions(op, directions, input, options);
  check_projection(op, options);
  check_indices(op, "blocks", blocks, at::kInt, input);
}

void check_soft_sort(const at::Tensor& input, const Options& options) {
  check_values("soft_sort", "input", input);
  check_options("soft_sort", "input", input, options);
}

// The forwards are called by soft_sort, and speak as it does where the user can be at fault.
void check_permutahedron_sort_forward(const at::Tensor& input, const Options& options) {
  check_soft_sort(input, options);
  check_projection("_permutahedron_sort_forward", options);
}

void check_quantile_sort_forward(const at::Tensor& input, const Options& options) {
  check_soft_sort(input, options);
  check_smooth_cdf("_quantile_sort_forward", options);
}

void check_quantile_sort_product(const char* op, const char* name, const at::Tensor& vector,
                                 const at::Tensor& input, const at::Tensor& points,
                                 const at::Tensor& densities, const Options& options) {
  check_values(op, "input", input);
  check_matches(op, name, vector, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  check_indices(op, "points", points, at::kLong, input);
  check_indices(op, "densities", densities, at::kLong, input);
}

void check_soft_quantile(const at::Tensor& input, const at::Tensor& q, const Options& options) {
  constexpr const char* op = "soft_quantile";
  check_values(op, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  TORCH_CHECK_VALUE(input.sym_size(-1) != 0, op,
                    ": input must have at least one item in its last dimension, got shape ",
                    input.sym_sizes());
  if (!q.defined()) return;  // a number
  TORCH_CHECK_TYPE(is_supported(q.scalar_type()), op,
                   ": q must be float64, float32, bfloat16 or float16, got ",
                   name_of(q.scalar_type()));
  if (q.dim() == 1 && input.dim() > 1) {
    check_device(op, "q", q, "input", input);
  } else {
    check_rows(op, "q", q, q.scalar_type(), input);
  }
}

void check_soft_topk(const at::Tensor& input, const at::Tensor& k, const Options& options) {
  constexpr const char* op = "soft_topk";
  check_values(op, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  if (!k.defined()) return;  // a number
  TORCH_CHECK_TYPE(is_real(k.scalar_type()), op,
                   ": k must be of an integer or a floating dtype, got ", name_of(k.scalar_type()));
  check_device(op, "k", k, "input", input);
  const auto batch_shape = input.sym_sizes().slice(0, input.dim() - 1);
  TORCH_CHECK_VALUE(k.dim() == 0 || k.sym_sizes().equals(batch_shape), op,
                    ": k must be one number or have the batch shape of input, ", batch_shape,
                    ", got ", k.sym_sizes());
}

namespace {

void check_one_number_a_row(const char* op, const at::Tensor& k, const at::Tensor& input) {
  TORCH_CHECK_TYPE(is_real(k.scalar_type()), op,
                   ": k must be of an integer or a floating dtype, got ", name_of(k.scalar_type()));
  check_rows(op, "k", k, k.scalar_type(), input);
  TORCH_CHECK_VALUE(k.sym_size(-1) == 1, op, ": k must have one number a list, got shape ",
                    k.sym_sizes());
}

}  // namespace

void check_soft_topk_forward(const at::Tensor& input, const at::Tensor& k, const Options& options) {
  constexpr const char* op = "_soft_topk_forward";
  check_values(op, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  check_one_number_a_row(op, k, input);
}

void check_soft_topk_backward(const at::Tensor& grad_output, const at::Tensor& input,
                              const at::Tensor& k, const at::Tensor& densities,
                              const Options& options) {
  constexpr const char* op = "_soft_topk_backward";
  check_values(op, "input", input);
  check_matches(op, "grad_output", grad_output, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  check_one_number_a_row(op, k, input);
  check_indices(op, "densities", densities, at::kLong, input);
}

void check_quantile_at_levels(const char* op, const at::Tensor& input, const at::Tensor& levels,
                              const Options& options) {
  check_values(op, "input", input);
  check_smooth_cdf(op, options);
  check_options(op, "input", input, options);
  check_rows(op, "levels", levels, at::kDouble, input);
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
  check_projection(op, options);
  check_options(op, "input", input, options);
  check_indices(op, "permutation", permutation, at::kLong, input);
  check_indices(op, "blocks", blocks, at::kInt, input);
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
  check_dtype(op, "rank_gradient", rank_gradient, statistics_dtype(predictions));
  check_device(op, "rank_gradient", rank_gradient, "predictions", predictions);
  check_shape(op, "rank_gradient", rank_gradient, "predictions", predictions);
  check_dtype(op, "grad_output", grad_output, predictions.scalar_type());
  check_device(op, "grad_output", grad_output, "predictions", predictions);
  const auto batch_shape = predictions.sym_sizes().slice(0, predictions.dim() - 1);
  TORCH_CHECK_VALUE(grad_output.sym_sizes().equals(batch_shape), op,
                    ": grad_output must have the batch shape of predictions, ", batch_shape,
                    ", got ", grad_output.sym_sizes());
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
