#include "cpu/integer_scores.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <torch/library.h>

#include <vector>

#include "cpu/soft_rank.h"
#include "torch/cpu/adapter.h"
#include "torch/cpu/ordered_items.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/integer_scores.h"

namespace rank_relax {
namespace {

struct Scores {
  at::Tensor values;            // float64
  std::vector<double> largest;  // of each list; the smallest is 0
};

Scores scores_of(const at::Tensor& input, const cpu::Rows<double>& strengths,
                 std::string_view method, const std::optional<at::Tensor>& mask) {
  Scores scores{at::empty(input.sizes(), input.options().dtype(at::kDouble)), {}};
  if (input.numel() == 0) return scores;
  scores.largest.resize(input.numel() / input.size(-1));
  visit_order_of_integers(input.scalar_type(), [&](auto order) {
    cpu::integer_scores<decltype(order)>(batch_of_bits(order, input, mask), strengths, method,
                                         scores.values.mutable_data_ptr<double>(),
                                         scores.largest.data(), torch_parallel_for);
  });
  return scores;
}

/// Soft ranks less 1/2, in double.
template <class Scalar>
at::Tensor centered_ranks(const at::Tensor& scores, const Options& options) {
  const at::Tensor ranks = at::empty(scores.sizes(), scores.options());
  cpu::soft_rank_derivative(soft_batch_of<Scalar>(scores, options),
                            static_cast<const cpu::Rows<Scalar>*>(nullptr), 0,
                            ranks.mutable_data_ptr<Scalar>(), torch_parallel_for);
  return ranks;
}

at::Tensor integer_scores_cpu(const at::Tensor& input, const at::Tensor& strengths,
                              std::string_view method, const std::optional<at::Tensor>& mask) {
  return scores_of(input, rows_of<double>(strengths), method, mask).values;
}

at::Tensor centered_integer_rank_cpu(const at::Tensor& input, const Options& options,
                                     at::ScalarType dtype) {
  if (input.numel() == 0) return at::empty(input.sizes(), input.options().dtype(dtype));
  // One number for all lists: a tensor of zero strides.
  const std::vector<int64_t> strides(input.dim(), 0);
  const cpu::Rows<double> strengths{&options.regularization_strength, input.sizes().data(),
                                    strides.data(), input.dim()};
  const Scores scores = scores_of(input, strengths, options.method, options.mask);
  if (dtype == at::kDouble) return centered_ranks<double>(scores.values, options);
  // Lists of integers that float32 holds are ranked in it, the others in float64.
  constexpr double kExactFloat32Integers = 0x1p24;
  std::vector<int64_t> wide;
  for (size_t row = 0; row < scores.largest.size(); ++row) {
    if (scores.largest[row] > kExactFloat32Integers) wide.push_back(static_cast<int64_t>(row));
  }
  if (wide.size() == scores.largest.size()) {
    return centered_ranks<double>(scores.values, options).to(at::kFloat);
  }
  at::Tensor ranks = centered_ranks<float>(scores.values.to(at::kFloat), options);
  if (wide.empty()) return ranks;
  const at::Tensor rows = at::tensor(wide);
  const auto picked = [&](const at::Tensor& lists) {
    return lists.reshape({-1, input.size(-1)}).index_select(0, rows);
  };
  std::optional<at::Tensor> mask_of_wide;
  if (options.mask.has_value()) mask_of_wide = picked(*options.mask);
  const at::Tensor of_wide = centered_ranks<double>(
      picked(scores.values), {options.regularization_strength, options.method, mask_of_wide});
  ranks.view({-1, input.size(-1)}).index_copy_(0, rows, of_wide.to(at::kFloat));
  return ranks;
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, CPU, library) {
  kernel<operators::IntegerScores, integer_scores_cpu>(library);
  kernel<operators::CenteredIntegerRank, centered_integer_rank_cpu>(library);
}

}  // namespace rank_relax
