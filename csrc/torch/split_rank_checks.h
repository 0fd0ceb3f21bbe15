#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>

namespace rank_relax {

/// The arguments of the operators on split rows (cpu/split_row.h), as far as they take them. Small
/// tensors are float64 and have a row for each list.
struct SplitRankArguments {
  at::TensorList directions;    // float64, of the shape of `input`
  const at::Tensor& input;      // float64 or float32
  const at::Tensor& extents;    // [*, 2]
  const at::Tensor& strengths;  // [*]
  const at::Tensor& centers;    // [*, number of directions]
  std::string_view method;      // a smooth CDF
  const std::optional<at::Tensor>& mask;
};

constexpr int64_t kMostSplitDirections = 2;  // there are no series for more

void check_split_rank_summary(at::TensorList directions, const at::Tensor& input,
                              const std::optional<at::Tensor>& mask);
void check_split_rank_sizes(const at::Tensor& extents, const at::Tensor& strengths, int64_t order,
                            at::ScalarType dtype, std::string_view method);
void check_split_rank_moments(const SplitRankArguments& arguments, const c10::SymInt& size);
void check_split_rank_derivative(const SplitRankArguments& arguments, const at::Tensor& counts,
                                 const at::Tensor& moments);

}  // namespace rank_relax
