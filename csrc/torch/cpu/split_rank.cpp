#include "cpu/split_rank.h"

#include <ATen/Dispatch.h>
#include <ATen/ops/empty.h>
#include <torch/library.h>

#include <optional>
#include <tuple>
#include <vector>

#include "torch/cpu/adapter.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/split_rank.h"

// Stages of rank_relax.distributed, which adds up over processes between them.

namespace rank_relax {
namespace {

at::Tensor empty_rows(const at::Tensor& input, int64_t last) {
  c10::DimVector shape(input.sizes().begin(), input.sizes().end());
  shape.back() = last;
  return at::empty(shape, input.options().dtype(at::kDouble));
}

std::vector<cpu::Rows<double>> rows_of_each(at::TensorList tensors) {
  std::vector<cpu::Rows<double>> rows;
  for (const at::Tensor& tensor : tensors) rows.push_back(rows_of<double>(tensor));
  return rows;
}

/// From [*, 2] and [*] tensors.
std::vector<WholeRow> whole_rows(const at::Tensor& extents, const at::Tensor& strengths) {
  const at::Tensor flat_extents = extents.contiguous(), flat_strengths = strengths.contiguous();
  const double* extent = flat_extents.const_data_ptr<double>();
  const double* strength = flat_strengths.const_data_ptr<double>();
  std::vector<WholeRow> rows(strengths.numel());
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = {extent[2 * i], extent[2 * i + 1], strength[i]};
  }
  return rows;
}

Precision precision(at::ScalarType dtype) { return dtype == at::kFloat ? kSingle : kDouble; }

std::tuple<at::Tensor, at::Tensor> split_rank_summary_cpu(at::TensorList directions,
                                                          const at::Tensor& input,
                                                          const std::optional<at::Tensor>& mask) {
  const int order = static_cast<int>(directions.size());
  const at::Tensor extents = empty_rows(input, 2);
  const at::Tensor sums = empty_rows(input, cpu::kSplitSums + order);
  const std::vector<cpu::Rows<double>> rows = rows_of_each(directions);
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "split_rank_summary", [&] {
    cpu::split_row_summary(batch_of<scalar_t>(input, mask), rows.data(), order,
                           extents.mutable_data_ptr<double>(), sums.mutable_data_ptr<double>(),
                           torch_parallel_for);
  });
  return {extents, sums};
}

at::Tensor split_rank_sizes_cpu(const at::Tensor& extents, const at::Tensor& strengths,
                                int64_t order, at::ScalarType dtype, std::string_view method) {
  const at::Tensor sizes = at::empty(strengths.sizes(), strengths.options().dtype(at::kLong));
  int64_t* size = sizes.mutable_data_ptr<int64_t>();
  for (const WholeRow& row : whole_rows(extents, strengths)) {
    *size++ = cpu::split_row_numbers(precision(dtype), static_cast<int>(order), row, method);
  }
  return sizes;
}

/// Calls stage(batch) after a check that the moments have room for every row.
template <class Stage>
void run_stage(const char* op, const SplitLists& lists, int64_t size, std::string_view method,
               const std::optional<at::Tensor>& mask, const Stage& stage) {
  const std::vector<WholeRow> rows = whole_rows(lists.extents, lists.strengths);
  const int order = static_cast<int>(lists.directions.size());
  for (const WholeRow& row : rows) {
    const int64_t numbers =
        cpu::split_row_numbers(precision(lists.input.scalar_type()), order, row, method);
    TORCH_CHECK_VALUE(numbers <= size, op, ": the moments of a list take ", numbers,
                      " numbers, got room for ", size, "; ask _split_rank_sizes");
  }
  const std::vector<cpu::Rows<double>> directions = rows_of_each(lists.directions);
  const at::Tensor centers = lists.centers.contiguous();
  AT_DISPATCH_FLOATING_TYPES(lists.input.scalar_type(), "split_rank", [&] {
    stage(cpu::SplitBatch<scalar_t>{batch_of<scalar_t>(lists.input, mask), directions.data(), order,
                                    rows.data(), centers.const_data_ptr<double>(), method});
  });
}

at::Tensor split_rank_moments_cpu(const SplitLists& lists, c10::SymInt symbolic_size,
                                  std::string_view method, const std::optional<at::Tensor>& mask) {
  const int64_t size = symbolic_size.expect_int();
  const at::Tensor moments = empty_rows(lists.input, size);
  const auto stage = [&](const auto& batch) {
    cpu::split_row_moments(batch, size, moments.mutable_data_ptr<double>(), torch_parallel_for);
  };
  run_stage(operators::SplitRankMoments::name, lists, size, method, mask, stage);
  return moments;
}

at::Tensor split_rank_derivative_cpu(const SplitLists& lists, const at::Tensor& counts,
                                     const at::Tensor& moments, std::string_view method,
                                     const std::optional<at::Tensor>& mask) {
  const at::Tensor output =
      at::empty(lists.input.sizes(), lists.input.options().dtype(at::kDouble));
  const at::Tensor flat_counts = counts.contiguous(), flat_moments = moments.contiguous();
  const int64_t size = moments.size(-1);
  const auto stage = [&](const auto& batch) {
    cpu::split_row_derivative(batch, flat_counts.const_data_ptr<double>(), size,
                              flat_moments.const_data_ptr<double>(),
                              output.mutable_data_ptr<double>(), torch_parallel_for);
  };
  run_stage(operators::SplitRankDerivative::name, lists, size, method, mask, stage);
  return output;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::SplitRankSummary, split_rank_summary_cpu>(library);
  kernel<operators::SplitRankSizes, split_rank_sizes_cpu>(library);
  kernel<operators::SplitRankMoments, split_rank_moments_cpu>(library);
  kernel<operators::SplitRankDerivative, split_rank_derivative_cpu>(library);
}

}  // namespace rank_relax
