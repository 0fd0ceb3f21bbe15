// The CPU kernels on the rows that the CUDA kernels are asked for too: whole, and in parts as they
// lie in several processes.

#include <limits>
#include <vector>

#include "../check_nasty_rows.h"
#include "batches.h"
#include "cpu/soft_rank.h"

namespace {

using namespace rank_relax;

template <class Scalar>
std::vector<double> whole(const std::string& method, const std::vector<double>& values,
                          double strength, const std::vector<std::vector<double>>& directions) {
  const auto size = static_cast<int64_t>(values.size());
  const Dense<Scalar> input(values, size);
  std::vector<Dense<Scalar>> dense;
  for (const std::vector<double>& direction : directions) dense.emplace_back(direction, size);
  std::vector<cpu::Rows<Scalar>> rows;
  for (const Dense<Scalar>& direction : dense) rows.push_back(direction.rows());
  std::vector<Scalar> output(size, -7);
  if (directions.empty()) {
    cpu::soft_rank(input.batch(), strength, method, output.data(), serial);
  } else {
    cpu::soft_rank_derivative(input.batch(), rows.data(), static_cast<int>(rows.size()), strength,
                              method, output.data(), serial);
  }
  return {output.begin(), output.end()};
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
  const char* const only = count > 1 ? arguments[1] : nullptr;
  const int of_whole =
      NastyRowCheck(5e-5, 1e-12)(only, [](auto cdf, bool in_double, const auto&... row) {
        return in_double ? whole<double>(cdf.name, row...) : whole<float>(cdf.name, row...);
      });
  // Centred sums are within the bounds in units of n alone (docs/distributed.md).
  constexpr double kNoBoundAtEnds = std::numeric_limits<double>::infinity();
  constexpr int kTooWideForATest = 11;
  const int of_parts = NastyRowCheck(kNoBoundAtEnds, kNoBoundAtEnds, kTooWideForATest)(
      only, [](auto cdf, bool in_double, const auto&... row) {
        return in_double ? in_parts<double>(cdf.name, row...) : in_parts<float>(cdf.name, row...);
      });
  return of_whole == EXIT_SUCCESS ? of_parts : of_whole;
}
