// The CUDA kernels, run on the host (emulator/cuda_runtime.h), on the rows that the CPU's are asked
// for too.

#include <cstdio>
#include <string>
#include <vector>

#include "../check_nasty_rows.h"
#include "cuda/soft_rank.h"
#include "tensor.h"

int main(int count, char** arguments) {
  using namespace rank_relax;
  const auto run = [](const std::string& cdf, bool in_double, const Row& values, double strength,
                      const std::vector<Row>& directions) {
    const Storage storage = in_double ? Storage::kFloat64 : Storage::kFloat32;
    const auto size = static_cast<int64_t>(values.size());
    Tensor input(storage, values), output(storage, Row(size, 123.0));
    std::vector<Tensor> tensors;
    cuda::KernelSum problem;
    problem.rows = 1;
    problem.size = size;
    problem.input = input.items(size);
    problem.output = output.results();
    problem.regularization_strength = strength;
    problem.order = static_cast<int>(directions.size());
    problem.shift = directions.empty() ? 0.5 : 0;
    for (const Row& direction : directions) tensors.emplace_back(storage, direction);
    for (size_t l = 0; l < tensors.size(); ++l) problem.directions[l] = tensors[l].items(size);
    std::vector<char> workspace(cuda::kernel_sum_workspace(problem, cdf) + 1, '\x5a');
    if (cuda::kernel_sum(problem, cdf, workspace.data(), nullptr) != cudaSuccess) {
      return Row(size, kNan);
    }
    return output.values();
  };
  return NastyRowCheck({{"CUDA", {5e-5, 1e-12}, [](const std::string&) { return true; }, 0, run}})(
      count > 1 ? arguments[1] : nullptr);
}
