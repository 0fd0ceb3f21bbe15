#include "cpu/split_rank.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/row/row_statistics.h"

namespace rank_relax::cpu {
namespace {

/// The extent and the sums of a part of a row, one after the other, where all items are finite and
/// all lies together; else nothing.
template <class Scalar>
std::vector<double> summary_of_plain_part(Row<Scalar> input, Row<uint8_t> mask,
                                          const std::vector<Row<double>>& directions, int64_t begin,
                                          int64_t end) {
  if (input.stride != 1 || mask.data != nullptr) return {};
  for (const Row<double>& direction : directions) {
    if (direction.stride != 1) return {};
  }
  const Extent<Scalar> extent = extent_of_part(input.data, begin, end);
  if (!extent.all_finite) return {};
  std::vector<double> summary = {-static_cast<double>(extent.minimum),
                                 extent.maximum,
                                 static_cast<double>(end - begin),
                                 0,
                                 0,
                                 0};
  for (const Row<double>& direction : directions) {
    summary.push_back(size_of_part(direction.data, begin, end).sum);
  }
  return summary;
}

/// The extent and the sums of any part of a row, one after the other.
template <class Scalar>
std::vector<double> summary_of_part(const Batch<Scalar>& batch, int64_t row,
                                    const std::vector<Row<double>>& directions, int64_t begin,
                                    int64_t end) {
  const Row<Scalar> input = batch.input.row(row);
  const Row<uint8_t> mask = batch.mask.row(row);
  const std::vector<double> plain = summary_of_plain_part(input, mask, directions, begin, end);
  if (!plain.empty()) return plain;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> summary(2 + kSplitSums + directions.size(), 0.0);
  double minimum = kInfinity, maximum = -kInfinity;
  double* sums = summary.data() + 2;
  for (int64_t i = begin; i < end; ++i) {
    if (mask.data != nullptr && mask[i] == 0) continue;
    const double value = input[i];
    if (!std::isfinite(value)) {
      sums[std::isnan(value) ? 3 : (value < 0 ? 1 : 2)] += 1;
      continue;
    }
    sums[0] += 1;
    minimum = std::min(minimum, value);
    maximum = std::max(maximum, value);
    for (size_t l = 0; l < directions.size(); ++l) sums[kSplitSums + l] += directions[l][i];
  }
  summary[0] = -minimum;
  summary[1] = maximum;
  return summary;
}

}  // namespace

template <class Scalar>
void split_row_summary(const Batch<Scalar>& batch, const Rows<double>* directions, int order,
                       double* extents, double* sums, const ParallelFor& parallel_for) {
  const int64_t width = kSplitSums + order;
  for (int64_t row = 0; row < batch.count; ++row, extents += 2, sums += width) {
    std::vector<Row<double>> rows;
    for (int l = 0; l < order; ++l) rows.push_back(directions[l].row(row));
    extents[0] = extents[1] = -std::numeric_limits<double>::infinity();
    std::fill_n(sums, width, 0.0);
    for (const std::vector<double>&part : for_each_part<std::vector<double>>(
             batch.size, parallel_for, [&](int64_t begin, int64_t end) {
               return summary_of_part(batch, row, rows, begin, end);
             })) {
      for (int i = 0; i < 2; ++i) extents[i] = std::max(extents[i], part[i]);
      for (int64_t i = 0; i < width; ++i) sums[i] += part[2 + i];
    }
  }
}

int64_t split_row_numbers(Precision precision, int order, const WholeRow& row,
                          std::string_view method) {
  int64_t numbers = 0;
  SmoothCdfs::WithGrid::visit(method, [&](auto cdf) {
    numbers = SplitRowForm<decltype(cdf)>(precision, order, row).numbers;
  });
  return numbers;
}

template <class Scalar>
void split_row_moments(const SplitBatch<Scalar>& batch, int64_t size, double* moments,
                       const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto set) {
    SplitRankKernels<decltype(set), Scalar>::moments(batch, size, moments, parallel_for);
  });
}

template <class Scalar>
void split_row_derivative(const SplitBatch<Scalar>& batch, const double* counts, int64_t size,
                          const double* moments, double* output, const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto set) {
    SplitRankKernels<decltype(set), Scalar>::derivative(batch, counts, size, moments, output,
                                                        parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                     \
  template void split_row_summary(const Batch<Scalar>&, const Rows<double>*, int, double*, \
                                  double*, const ParallelFor&);                            \
  template void split_row_moments(const SplitBatch<Scalar>&, int64_t, double*,             \
                                  const ParallelFor&);                                     \
  template void split_row_derivative(const SplitBatch<Scalar>&, const double*, int64_t,    \
                                     const double*, double*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
