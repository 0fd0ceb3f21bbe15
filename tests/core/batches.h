#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "core/precision.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/split_rank.h"

namespace rank_relax {

inline void serial(int64_t count, int64_t, const cpu::Work& work) {
  if (count > 0) work(0, count);
}

inline void thread_per_row(int64_t count, int64_t, const cpu::Work& work) {
  std::vector<std::thread> threads;
  for (int64_t row = 0; row < count; ++row) threads.emplace_back([=] { work(row, row + 1); });
  for (std::thread& thread : threads) thread.join();
}

/// A contiguous [rows, size] batch; sizes and strides outlive what borrows them.
template <class Scalar>
struct Dense {
  std::vector<Scalar> data;
  int64_t sizes[2];
  int64_t strides[2];

  Dense(const std::vector<double>& values, int64_t size)
      : data(values.begin(), values.end()),
        sizes{size == 0 ? 0 : static_cast<int64_t>(values.size()) / size, size},
        strides{size, 1} {}

  cpu::Rows<Scalar> rows() const { return {data.data(), sizes, strides, 2}; }
  cpu::Batch<Scalar> batch() const { return {sizes[0], sizes[1], rows(), {}}; }
};

/// The derivative at the items of a row, part by part, as if each part lay in a process of its
/// own; nothing if that takes too many numbers for a test.
template <class Scalar>
std::vector<double> derivative_of_parts(const std::vector<double>& values,
                                        const std::vector<std::vector<double>>& directions,
                                        const std::vector<int64_t>& lengths, double strength,
                                        const std::string& method) {
  const int order = static_cast<int>(directions.size());
  struct Part {
    Dense<Scalar> input;
    std::vector<Dense<double>> dense;
    std::vector<cpu::Rows<double>> directions;
  };
  std::vector<Part> parts;
  int64_t first = 0;
  for (const int64_t length : lengths) {
    const auto of = [&](const std::vector<double>& all) {
      return std::vector<double>(all.begin() + first, all.begin() + first + length);
    };
    parts.push_back({Dense<Scalar>(of(values), length), {}, {}});
    for (const auto& direction : directions) parts.back().dense.emplace_back(of(direction), length);
    first += length;
  }
  std::vector<double> extent = {-std::numeric_limits<double>::infinity(),
                                -std::numeric_limits<double>::infinity()},
                      sums(cpu::kSplitSums + order, 0.0);
  for (Part& part : parts) {
    part.input.sizes[0] = 1;
    for (const Dense<double>& direction : part.dense) part.directions.push_back(direction.rows());
    std::vector<double> extent_of_part(2), sums_of_part(sums.size());
    cpu::split_row_summary(part.input.batch(), part.directions.data(), order, extent_of_part.data(),
                           sums_of_part.data(), thread_per_row);
    for (int i = 0; i < 2; ++i) extent[i] = std::max(extent[i], extent_of_part[i]);
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += sums_of_part[i];
  }
  const WholeRow row = {-extent[0], extent[1], strength};
  const int64_t size = cpu::split_row_numbers(precision_of<Scalar>, order, row, method);
  if (size > 1 << 21) return {};
  std::vector<double> centers;
  for (int l = 0; l < order; ++l) {
    centers.push_back(sums[cpu::kSplitSums + l] / std::max(sums[0], 1.0));
  }
  const auto batch_of = [&](const Part& part) {
    return cpu::SplitBatch<Scalar>{
        part.input.batch(), part.directions.data(), order, &row, centers.data(), method};
  };
  std::vector<double> moments(size, 0.0), result;
  for (const Part& part : parts) {
    std::vector<double> of_part(size, -7);
    cpu::split_row_moments(batch_of(part), size, of_part.data(), thread_per_row);
    for (int64_t i = 0; i < size; ++i) moments[i] += of_part[i];
  }
  for (const Part& part : parts) {
    std::vector<double> of_part(part.input.data.size(), -7);
    cpu::split_row_derivative(batch_of(part), sums.data(), size, moments.data(), of_part.data(),
                              thread_per_row);
    result.insert(result.end(), of_part.begin(), of_part.end());
  }
  return result;
}

}  // namespace rank_relax
