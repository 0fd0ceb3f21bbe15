// The CPU kernels on the rows that the CUDA kernels are asked for too.

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

}  // namespace

int main(int count, char** arguments) {
  return NastyRowCheck(5e-5, 1e-12)(
      count > 1 ? arguments[1] : nullptr, [](auto cdf, bool in_double, const auto&... row) {
        return in_double ? whole<double>(cdf.name, row...) : whole<float>(cdf.name, row...);
      });
}
