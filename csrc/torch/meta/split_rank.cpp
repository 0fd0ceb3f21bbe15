#include "cpu/split_rank.h"

#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <tuple>

#include "torch/split_rank_checks.h"

namespace rank_relax {
namespace {

at::Tensor empty_rows(const at::Tensor& input, c10::SymInt last) {
  c10::SymDimVector shape(input.sym_sizes().begin(), input.sym_sizes().end());
  shape.back() = std::move(last);
  return at::empty_symint(shape, input.options().dtype(at::kDouble));
}

std::tuple<at::Tensor, at::Tensor> split_rank_summary_meta(at::TensorList directions,
                                                           const at::Tensor& input,
                                                           const std::optional<at::Tensor>& mask) {
  check_split_rank_summary(directions, input, mask);
  const auto order = static_cast<int64_t>(directions.size());
  return {empty_rows(input, 2), empty_rows(input, cpu::kSplitSums + order)};
}

at::Tensor split_rank_sizes_meta(const at::Tensor& extents, const at::Tensor& strengths,
                                 int64_t order, at::ScalarType dtype, std::string_view method) {
  check_split_rank_sizes(extents, strengths, order, dtype, method);
  return at::empty_symint(strengths.sym_sizes(), strengths.options().dtype(at::kLong));
}

at::Tensor split_rank_moments_meta(at::TensorList directions, const at::Tensor& input,
                                   const at::Tensor& extents, const at::Tensor& strengths,
                                   const at::Tensor& centers, c10::SymInt size,
                                   std::string_view method, const std::optional<at::Tensor>& mask) {
  check_split_rank_moments({directions, input, extents, strengths, centers, method, mask}, size);
  return empty_rows(input, std::move(size));
}

at::Tensor split_rank_derivative_meta(at::TensorList directions, const at::Tensor& input,
                                      const at::Tensor& extents, const at::Tensor& strengths,
                                      const at::Tensor& centers, const at::Tensor& counts,
                                      const at::Tensor& moments, std::string_view method,
                                      const std::optional<at::Tensor>& mask) {
  check_split_rank_derivative({directions, input, extents, strengths, centers, method, mask},
                              counts, moments);
  return at::empty_symint(input.sym_sizes(), input.options().dtype(at::kDouble));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("_split_rank_summary", split_rank_summary_meta);
  library.impl("_split_rank_sizes", split_rank_sizes_meta);
  library.impl("_split_rank_moments", split_rank_moments_meta);
  library.impl("_split_rank_derivative", split_rank_derivative_meta);
}

}  // namespace rank_relax
