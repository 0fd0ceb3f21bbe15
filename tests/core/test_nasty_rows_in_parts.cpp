// The rows of test_nasty_rows.cpp in parts, as they lie in several processes.

#include <limits>
#include <vector>

#include "../check_nasty_rows.h"
#include "batches.h"

namespace {

using namespace rank_relax;

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
  constexpr int kTooWideForATest = 12;
  return NastyRowCheck(kNoBoundAtEnds, kNoBoundAtEnds, kTooWideForATest)(
      count > 1 ? arguments[1] : nullptr, [](auto cdf, bool in_double, const auto&... row) {
        return in_double ? in_parts<double>(cdf.name, row...) : in_parts<float>(cdf.name, row...);
      });
}
