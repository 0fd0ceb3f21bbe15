// The CPU kernels on the rows that the CUDA kernels are asked for too: whole, and in parts, as the
// rows lie in several processes.

#include <algorithm>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "../check_nasty_rows.h"
#include "batches.h"
#include "core/row/row_form.h"
#include "cpu/soft_rank.h"

namespace {

using namespace rank_relax;

/// The first of so many rows like this one.
template <class Scalar>
std::vector<double> among(int64_t copies, const std::string& method,
                          const std::vector<double>& values, double strength,
                          const std::vector<std::vector<double>>& directions) {
  const auto size = static_cast<int64_t>(values.size());
  const auto copies_of = [&](const std::vector<double>& row) {
    std::vector<double> all;
    for (int64_t copy = 0; copy < copies; ++copy) all.insert(all.end(), row.begin(), row.end());
    return Dense<Scalar>(all, size);
  };
  const Dense<Scalar> input = copies_of(values);
  std::vector<Dense<Scalar>> dense;
  for (const std::vector<double>& direction : directions) dense.push_back(copies_of(direction));
  std::vector<cpu::Rows<Scalar>> rows;
  for (const Dense<Scalar>& direction : dense) rows.push_back(direction.rows());
  std::vector<Scalar> output(copies * size, -7);
  if (directions.empty()) {
    cpu::soft_rank({input.batch(), strength, method}, output.data(), serial);
  } else {
    cpu::soft_rank_derivative({input.batch(), strength, method}, rows.data(),
                              static_cast<int>(rows.size()), output.data(), serial);
  }
  return {output.begin(), output.begin() + size};
}

template <class Scalar>
std::vector<double> whole(const std::string& method, const std::vector<double>& values,
                          double strength, const std::vector<std::vector<double>>& directions) {
  return among<Scalar>(1, method, values, strength, directions);
}

#ifndef RANK_RELAX_PORTABLE
#error "abreast() knows the lanes of the baseline's vectors alone: compile with RANK_RELAX_PORTABLE"
#endif

/// Among twice as many as go abreast in the baseline instruction set, or so many that long ones do,
/// and one more; nothing for a row that is too long for that.
template <class Scalar>
std::vector<double> abreast(const std::string& method, const std::vector<double>& values,
                            double strength, const std::vector<std::vector<double>>& directions) {
  const auto size = static_cast<int64_t>(values.size());
  if (size > kLongestSortedAbreast[precision_of<Scalar>]) return {};
  constexpr int64_t kLanes = 16 / sizeof(Scalar);
  const int64_t groups = size > kLongestAbreast ? kFewestLongGroups : 2;
  return among<Scalar>(groups * kLanes + 1, method, values, strength, directions);
}

template <class Scalar>
std::vector<double> in_parts(const std::string& method, const std::vector<double>& values,
                             double strength, const std::vector<std::vector<double>>& directions) {
  const auto size = static_cast<int64_t>(values.size()), half = size / 2;
  std::vector<double> result =
      derivative_of_parts<Scalar>(values, directions, {half, size - half}, strength, method);
  if (directions.empty() && size > 1) {
    for (double& centered : result) centered += 0.5;
  }
  return result;
}

}  // namespace

int main(int count, char** arguments) {
  // Centred sums are within the bounds in units of n alone (docs/distributed.md).
  constexpr double kNoBoundAtEnds = std::numeric_limits<double>::infinity();
  constexpr int kTooWideForATest = 12, kTooLongToGoAbreast = 112;
  NastyRowCheck check(
      {{"whole",
        {5e-5, 1e-12},
        [](const std::string&) { return true; },
        0,
        [](const std::string& cdf, bool in_double, const auto&... row) {
          return in_double ? whole<double>(cdf, row...) : whole<float>(cdf, row...);
        }},
       {"abreast",
        {5e-5, 1e-12},
        [](const std::string&) { return true; },
        kTooLongToGoAbreast,
        [](const std::string& cdf, bool in_double, const auto&... row) {
          return in_double ? abreast<double>(cdf, row...) : abreast<float>(cdf, row...);
        }},
       {"in parts",
        {kNoBoundAtEnds, kNoBoundAtEnds},
        [](const std::string& cdf) { return SmoothCdfs::WithGrid::contains(cdf); },
        kTooWideForATest,
        [](const std::string& cdf, bool in_double, const auto&... row) {
          return in_double ? in_parts<double>(cdf, row...) : in_parts<float>(cdf, row...);
        }}});
  return check(count > 1 ? arguments[1] : nullptr,
               std::max(1u, std::thread::hardware_concurrency()));
}
