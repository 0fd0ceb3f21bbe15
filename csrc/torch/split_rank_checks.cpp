#include "torch/split_rank_checks.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>

#include <optional>

#include "torch/argument_checks.h"
#include "torch/checks.h"

namespace rank_relax {
namespace {

void check_tensor(const char* op, const char* name, const at::Tensor& tensor,
                  c10::SymIntArrayRef shape, at::ScalarType dtype, const at::Tensor& input) {
  check_dtype(op, name, tensor, dtype);
  check_device(op, name, tensor, "input", input);
  TORCH_CHECK_VALUE(tensor.sym_sizes().equals(shape), op, ": ", name, " must have shape ", shape,
                    ", got ", tensor.sym_sizes());
}

void check_input(const char* op, at::TensorList directions, const at::Tensor& input,
                 const std::optional<at::Tensor>& mask) {
  check_values(op, "input", input);
  TORCH_CHECK_TYPE(!at::isReducedFloatingType(input.scalar_type()), op,
                   ": input must be float64 or float32, got ", name_of(input.scalar_type()),
                   "; convert it with input.float()");
  TORCH_CHECK_VALUE(directions.size() <= kMostSplitDirections, op, ": directions must be at most ",
                    kMostSplitDirections, " tensors, got ", directions.size());
  for (const at::Tensor& direction : directions) {
    check_tensor(op, "directions", direction, input.sym_sizes(), at::kDouble, input);
  }
  if (mask.has_value()) check_tensor(op, "mask", *mask, input.sym_sizes(), at::kBool, input);
}

/// [*, last] for an input [*, n].
c10::SymDimVector row_shape(const at::Tensor& input, c10::SymInt last) {
  c10::SymDimVector shape(input.sym_sizes().begin(), input.sym_sizes().end());
  shape.back() = std::move(last);
  return shape;
}

void check_rows(const char* op, const SplitRankArguments& arguments) {
  const at::Tensor& input = arguments.input;
  check_input(op, arguments.directions, input, arguments.mask);
  check_smooth_cdf(op, arguments.method);
  const auto order = static_cast<int64_t>(arguments.directions.size());
  check_tensor(op, "extents", arguments.extents, row_shape(input, 2), at::kDouble, input);
  check_tensor(op, "strengths", arguments.strengths, input.sym_sizes().slice(0, input.dim() - 1),
               at::kDouble, input);
  check_tensor(op, "centers", arguments.centers, row_shape(input, order), at::kDouble, input);
}

}  // namespace

void check_split_rank_summary(at::TensorList directions, const at::Tensor& input,
                              const std::optional<at::Tensor>& mask) {
  check_input("_split_rank_summary", directions, input, mask);
}

void check_split_rank_sizes(const at::Tensor& extents, const at::Tensor& strengths, int64_t order,
                            at::ScalarType dtype, std::string_view method) {
  constexpr const char* op = "_split_rank_sizes";
  check_smooth_cdf(op, method);
  TORCH_CHECK_VALUE(0 <= order && order <= kMostSplitDirections, op, ": order must be at most ",
                    kMostSplitDirections, ", got ", order);
  TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, op,
                   ": dtype must be float64 or float32, got ", name_of(dtype));
  TORCH_CHECK_VALUE(extents.dim() > 0 && extents.sym_size(-1) == 2, op,
                    ": extents must have shape [*, 2], got ", extents.sym_sizes());
  check_tensor(op, "extents", extents, extents.sym_sizes(), at::kDouble, extents);
  check_tensor(op, "strengths", strengths, extents.sym_sizes().slice(0, extents.dim() - 1),
               at::kDouble, extents);
}

void check_split_rank_moments(const SplitRankArguments& arguments, const c10::SymInt& size) {
  constexpr const char* op = "_split_rank_moments";
  check_rows(op, arguments);
  TORCH_CHECK_VALUE(size >= 0, op, ": size must not be negative, got ", size);
}

void check_split_rank_derivative(const SplitRankArguments& arguments, const at::Tensor& counts,
                                 const at::Tensor& moments) {
  constexpr const char* op = "_split_rank_derivative";
  check_rows(op, arguments);
  const at::Tensor& input = arguments.input;
  check_tensor(op, "counts", counts, row_shape(input, 3), at::kDouble, input);
  TORCH_CHECK_VALUE(moments.dim() == input.dim(), op, ": moments must have shape [*, size], got ",
                    moments.sym_sizes());
  check_tensor(op, "moments", moments, row_shape(input, moments.sym_size(-1)), at::kDouble, input);
}

}  // namespace rank_relax
