#include "torch/operators/split_rank.h"

#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <utility>

#include "cpu/split_rank.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

void check_tensor(const char* op, const char* name, const Tensor& tensor, c10::SymIntArrayRef shape,
                  at::ScalarType dtype, const Tensor& input) {
  check_dtype(op, name, tensor, dtype);
  check_device(op, name, tensor, "input", input);
  TORCH_CHECK_VALUE(tensor.sym_sizes().equals(shape), op, ": ", name, " must have shape ", shape,
                    ", got ", tensor.sym_sizes());
}

void check_part(const char* op, at::TensorList directions, const Tensor& input,
                const std::optional<Tensor>& mask) {
  check_values(op, "input", input);
  TORCH_CHECK_TYPE(!at::isReducedFloatingType(input.scalar_type()), op,
                   ": input must be float64 or float32, got ", name_of(input.scalar_type()),
                   "; convert it with input.float()");
  TORCH_CHECK_VALUE(directions.size() <= kMostSplitDirections, op, ": directions must be at most ",
                    kMostSplitDirections, " tensors, got ", directions.size());
  for (const Tensor& direction : directions) {
    check_tensor(op, "directions", direction, input.sym_sizes(), at::kDouble, input);
  }
  if (mask.has_value()) check_tensor(op, "mask", *mask, input.sym_sizes(), at::kBool, input);
}

/// [*, last] for an input [*, n].
c10::SymDimVector row_shape(const Tensor& input, c10::SymInt last) {
  c10::SymDimVector shape(input.sym_sizes().begin(), input.sym_sizes().end());
  shape.back() = std::move(last);
  return shape;
}

void check_split_lists(const char* op, const SplitLists& lists, std::string_view method,
                       const std::optional<Tensor>& mask) {
  const Tensor& input = lists.input;
  check_part(op, lists.directions, input, mask);
  check_cdf_with_grid(op, method);
  const auto order = static_cast<int64_t>(lists.directions.size());
  check_tensor(op, "extents", lists.extents, row_shape(input, 2), at::kDouble, input);
  check_tensor(op, "strengths", lists.strengths, input.sym_sizes().slice(0, input.dim() - 1),
               at::kDouble, input);
  check_tensor(op, "centers", lists.centers, row_shape(input, order), at::kDouble, input);
}

}  // namespace

void SplitRankSummary::check(at::TensorList directions, const Tensor& input,
                             const std::optional<Tensor>& mask) {
  check_part(name, directions, input, mask);
}

std::tuple<Tensor, Tensor> SplitRankSummary::outputs(at::TensorList directions, const Tensor& input,
                                                     const std::optional<Tensor>&) {
  const auto order = static_cast<int64_t>(directions.size());
  return {lists_of(2, input, at::kDouble), lists_of(cpu::kSplitSums + order, input, at::kDouble)};
}

void SplitRankSizes::check(const Tensor& extents, const Tensor& strengths, int64_t order,
                           at::ScalarType dtype, std::string_view method) {
  check_cdf_with_grid(name, method);
  TORCH_CHECK_VALUE(0 <= order && order <= kMostSplitDirections, name, ": order must be at most ",
                    kMostSplitDirections, ", got ", order);
  TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, name,
                   ": dtype must be float64 or float32, got ", name_of(dtype));
  TORCH_CHECK_VALUE(extents.dim() > 0 && extents.sym_size(-1) == 2, name,
                    ": extents must have shape [*, 2], got ", extents.sym_sizes());
  check_tensor(name, "extents", extents, extents.sym_sizes(), at::kDouble, extents);
  check_tensor(name, "strengths", strengths, extents.sym_sizes().slice(0, extents.dim() - 1),
               at::kDouble, extents);
}

Tensor SplitRankSizes::outputs(const Tensor&, const Tensor& strengths, int64_t, at::ScalarType,
                               std::string_view) {
  return like(strengths, at::kLong);
}

void SplitRankMoments::check(const SplitLists& lists, c10::SymInt size, std::string_view method,
                             const std::optional<Tensor>& mask) {
  check_split_lists(name, lists, method, mask);
  TORCH_CHECK_VALUE(size >= 0, name, ": size must not be negative, got ", size);
}

Tensor SplitRankMoments::outputs(const SplitLists& lists, c10::SymInt size, std::string_view,
                                 const std::optional<Tensor>&) {
  return lists_of(std::move(size), lists.input, at::kDouble);
}

void SplitRankDerivative::check(const SplitLists& lists, const Tensor& counts,
                                const Tensor& moments, std::string_view method,
                                const std::optional<Tensor>& mask) {
  check_split_lists(name, lists, method, mask);
  const Tensor& input = lists.input;
  check_tensor(name, "counts", counts, row_shape(input, 3), at::kDouble, input);
  TORCH_CHECK_VALUE(moments.dim() == input.dim(), name, ": moments must have shape [*, size], got ",
                    moments.sym_sizes());
  check_tensor(name, "moments", moments, row_shape(input, moments.sym_size(-1)), at::kDouble,
               input);
}

Tensor SplitRankDerivative::outputs(const SplitLists& lists, const Tensor&, const Tensor&,
                                    std::string_view, const std::optional<Tensor>&) {
  return like(lists.input, at::kDouble);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SplitRankSummary, SplitRankSizes, SplitRankMoments, SplitRankDerivative>(library);
}

}  // namespace rank_relax::operators
