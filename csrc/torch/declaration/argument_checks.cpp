#include "torch/declaration/argument_checks.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include "core/methods.h"
#include "core/projection/block_number.h"
#include "core/refusals.h"

namespace rank_relax {
namespace {

/// Whether `longer` is `shorter` as a column: a list that has not been squeezed.
bool is_column_of(const at::Tensor& longer, const at::Tensor& shorter) {
  return longer.dim() == shorter.dim() + 1 && longer.sym_size(-1) == 1 &&
         longer.sym_sizes().slice(0, shorter.dim()).equals(shorter.sym_sizes());
}

/// What to do about two shapes that differ.
std::string shape_advice(const char* name, const at::Tensor& tensor, const char* values_name,
                         const at::Tensor& values) {
  if (is_column_of(values, tensor)) return std::string("use ") + values_name + ".squeeze(-1)";
  if (is_column_of(tensor, values)) return std::string("use ") + name + ".squeeze(-1)";
  return "use expand_as to repeat one over a batch";
}

c10::SymIntArrayRef batch_shape(const at::Tensor& values) {
  return values.sym_sizes().slice(0, values.dim() - 1);
}

/// What has been found to be of a right dtype.
void check_lists(const char* op, const char* name, const at::Tensor& items) {
  check_dense(op, name, items);
  check_has_lists(op, name, items);
}

}  // namespace

bool is_floating(at::ScalarType dtype) {
  return dtype == at::kDouble || dtype == at::kFloat || dtype == at::kBFloat16 ||
         dtype == at::kHalf;
}

bool is_integer(at::ScalarType dtype) { return at::isIntegralType(dtype, /*includeBool=*/true); }

std::string name_of(at::ScalarType dtype) { return std::string(c10::getDtypeNames(dtype).first); }

at::ScalarType statistics_dtype(const at::Tensor& values) {
  return values.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

void check_values(const char* op, const char* name, const at::Tensor& values) {
  TORCH_CHECK_TYPE(values.defined(), op, ": ", name, " must be a tensor, got None");
  TORCH_CHECK_TYPE(is_floating(values.scalar_type()), op, ": ",
                   refusal::not_floating(name, name_of(values.scalar_type())),
                   "; convert it, with ", name, ".float() for example");
  check_lists(op, name, values);
}

void check_real(const char* op, const char* name, const at::Tensor& items) {
  TORCH_CHECK_TYPE(is_floating(items.scalar_type()) || is_integer(items.scalar_type()), op, ": ",
                   refusal::not_real(name, name_of(items.scalar_type())));
  check_lists(op, name, items);
}

void check_integers(const char* op, const char* name, const at::Tensor& items) {
  TORCH_CHECK_TYPE(is_integer(items.scalar_type()), op, ": ", name,
                   " must be of an integer dtype or bool, got ", name_of(items.scalar_type()));
  check_lists(op, name, items);
}

void check_dense(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(tensor.layout() == at::kStrided, op, ": ", name,
                   " must be a dense tensor, got layout ", tensor.layout(),
                   "; convert it with to_dense()");
}

void check_has_lists(const char* op, const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_VALUE(tensor.dim() > 0, op, ": ", refusal::without_lists(name));
}

void check_dtype(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype) {
  TORCH_CHECK_TYPE(tensor.scalar_type() == dtype, op, ": ",
                   refusal::not_of_dtype(name, name_of(dtype), name_of(tensor.scalar_type())));
}

void check_device(const char* op, const char* name, const at::Tensor& tensor,
                  const char* values_name, const at::Tensor& values) {
  check_dense(op, name, tensor);
  TORCH_CHECK_VALUE(
      tensor.device() == values.device(), op, ": ",
      refusal::on_another_device(name, tensor.device(), values_name, values.device()));
}

void check_shape(const char* op, const char* name, const at::Tensor& tensor,
                 const char* values_name, const at::Tensor& values) {
  TORCH_CHECK_VALUE(
      tensor.sym_sizes().equals(values.sym_sizes()), op, ": ",
      refusal::not_of_shape(name, values_name, values.sym_sizes(), tensor.sym_sizes()), "; ",
      shape_advice(name, tensor, values_name, values));
}

void check_items(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                 const char* values_name, const at::Tensor& values) {
  check_dtype(op, name, tensor, dtype);
  check_device(op, name, tensor, values_name, values);
  check_shape(op, name, tensor, values_name, values);
}

void check_matches(const char* op, const char* name, const at::Tensor& tensor,
                   const char* values_name, const at::Tensor& values) {
  check_items(op, name, tensor, values.scalar_type(), values_name, values);
}

void check_batch_shape(const char* op, const char* name, const at::Tensor& tensor,
                       const char* values_name, const at::Tensor& values) {
  TORCH_CHECK_VALUE(
      tensor.sym_sizes().equals(batch_shape(values)), op, ": ",
      refusal::not_of_batch_shape(name, values_name, batch_shape(values), tensor.sym_sizes()));
}

void check_rows(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                const char* values_name, const at::Tensor& values) {
  check_dtype(op, name, tensor, dtype);
  check_device(op, name, tensor, values_name, values);
  TORCH_CHECK_VALUE(
      tensor.dim() == values.dim() && batch_shape(tensor).equals(batch_shape(values)), op, ": ",
      refusal::not_in_rows(name, values_name, batch_shape(values), tensor.sym_sizes()));
}

void check_one_number_a_row(const char* op, const char* name, const at::Tensor& tensor,
                            at::ScalarType dtype, const char* values_name,
                            const at::Tensor& values) {
  check_rows(op, name, tensor, dtype, values_name, values);
  TORCH_CHECK_VALUE(tensor.sym_size(-1) == 1, op, ": ", name,
                    " must have one number a list, got shape ", tensor.sym_sizes());
}

void check_method(const char* op, std::string_view method) {
  TORCH_CHECK_VALUE(is_method(method), op, ": ",
                    refusal::not_a_choice("method", method_names(), method));
}

void check_projection(const char* op, std::string_view method) {
  TORCH_CHECK_VALUE(Projections::contains(method), op, ": ",
                    refusal::not_a_choice("method", Projections::names(), method));
}

void check_smooth_cdf(const char* op, std::string_view method) {
  TORCH_CHECK_VALUE(SmoothCdfs::contains(method), op, ": ",
                    refusal::not_a_choice("method", SmoothCdfs::names(), method));
}

void check_cdf_with_grid(const char* op, std::string_view method) {
  TORCH_CHECK_VALUE(SmoothCdfs::WithGrid::contains(method), op, ": ",
                    refusal::not_a_choice("method", SmoothCdfs::WithGrid::names(), method));
}

void check_mask(const char* op, const std::optional<at::Tensor>& mask, const char* values_name,
                const at::Tensor& values) {
  if (!mask.has_value()) return;
  TORCH_CHECK_TYPE(mask->scalar_type() == at::kBool, op, ": ",
                   refusal::not_a_mask(name_of(mask->scalar_type())),
                   "; convert it with mask.bool()");
  check_device(op, "mask", *mask, values_name, values);
  check_shape(op, "mask", *mask, values_name, values);
}

void check_options(const char* op, const char* values_name, const at::Tensor& values,
                   const Options& options) {
  const double strength = options.regularization_strength;
  TORCH_CHECK_VALUE(refusal::is_strength(strength), op, ": ", refusal::not_a_strength(strength));
  check_method(op, options.method);
  check_mask(op, options.mask, values_name, values);
}

void check_blocks_fit(int64_t size, std::string_view method) {
  TORCH_CHECK_VALUE(!Projections::contains(method) || size <= kMostBlocks,
                    "rank_relax: ", refusal::too_long_for_blocks(kMostBlocks, method, size));
}

}  // namespace rank_relax
