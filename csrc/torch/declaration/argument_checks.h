#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <string_view>

#include "torch/declaration/options.h"

// What is asked of one argument, in the words that are the same for all operators: `op` is the
// operator, `name` the argument. ValueError or TypeError, naming both, what was given and what to
// do. Which of it an operator asks says its check, in torch/operators.

namespace rank_relax {

/// float64, float32, bfloat16 or float16.
bool is_floating(at::ScalarType dtype);
/// bool, or an integer of any width.
bool is_integer(at::ScalarType dtype);
/// "int64", as Python writes it.
std::string name_of(at::ScalarType dtype);

/// The dtype of what passes between forward and backward: float32 for the half precisions.
at::ScalarType statistics_dtype(const at::Tensor& values);

/// A float64, float32, bfloat16 or float16 tensor with at least one dimension.
void check_values(const char* op, const char* name, const at::Tensor& values);
/// Items of any real dtype, which are ranked and have no gradient.
void check_real(const char* op, const char* name, const at::Tensor& items);
/// Items of an integer dtype or bool.
void check_integers(const char* op, const char* name, const at::Tensor& items);
void check_dense(const char* op, const char* name, const at::Tensor& tensor);
/// At least one dimension.
void check_has_lists(const char* op, const char* name, const at::Tensor& tensor);
void check_dtype(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype);
/// The device of `values`, whose name is `values_name`; dense too.
void check_device(const char* op, const char* name, const at::Tensor& tensor,
                  const char* values_name, const at::Tensor& values);
void check_shape(const char* op, const char* name, const at::Tensor& tensor,
                 const char* values_name, const at::Tensor& values);
/// An item of `dtype` for each item of `values`, on its device.
void check_items(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                 const char* values_name, const at::Tensor& values);
/// As many items as `values` has, of its dtype.
void check_matches(const char* op, const char* name, const at::Tensor& tensor,
                   const char* values_name, const at::Tensor& values);
/// A number for each list of `values`.
void check_batch_shape(const char* op, const char* name, const at::Tensor& tensor,
                       const char* values_name, const at::Tensor& values);
/// A list for each list of `values`, of any length; dtype and device too.
void check_rows(const char* op, const char* name, const at::Tensor& tensor, at::ScalarType dtype,
                const char* values_name, const at::Tensor& values);
/// Lists of one item (check_rows).
void check_one_number_a_row(const char* op, const char* name, const at::Tensor& tensor,
                            at::ScalarType dtype, const char* values_name,
                            const at::Tensor& values);

void check_method(const char* op, std::string_view method);
void check_projection(const char* op, std::string_view method);
void check_smooth_cdf(const char* op, std::string_view method);
void check_cdf_with_grid(const char* op, std::string_view method);
/// If given: bool, on the device and of the shape of `values`.
void check_mask(const char* op, const std::optional<at::Tensor>& mask, const char* values_name,
                const at::Tensor& values);
/// Strength, method and mask.
void check_options(const char* op, const char* values_name, const at::Tensor& values,
                   const Options& options);
/// If a list is too long for its blocks, by a method that makes them, to be numbered.
void check_blocks_fit(int64_t size, std::string_view method);

}  // namespace rank_relax
