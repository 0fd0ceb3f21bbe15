#include "cuda/launch/launch.h"
#include "cuda/sum/register_row.cuh"
#include "cuda/sum/register_row.h"

namespace rank_relax::cuda {
namespace {

template <class Cdf, int kOrder>
void enqueue(const KernelSum& problem, Launches& launches) {
  const Shape shape = {(problem.rows + kRegisterRowsABlock - 1) / kRegisterRowsABlock,
                       kRegisterRowsABlock * kWarp};
  if (problem.size <= kWarp) {
    launches.add(sum_rows_in_registers<Cdf, kOrder, 1>, shape, problem);
  } else if (problem.size <= 2 * kWarp) {
    launches.add(sum_rows_in_registers<Cdf, kOrder, 2>, shape, problem);
  } else {
    launches.add(sum_rows_in_registers<Cdf, kOrder, 4>, shape, problem);
  }
}

}  // namespace

bool fits_in_registers(const KernelSum& problem) {
  return problem.size <= kLongestRegisterRow && problem.order <= 1 &&
         problem.input.storage != Storage::kFloat64;
}

cudaError_t sum_in_registers(const KernelSum& problem, std::string_view method,
                             cudaStream_t stream) {
  Launches launches(stream);
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    if (problem.order == 0) {
      enqueue<Cdf, 0>(problem, launches);
    } else {
      enqueue<Cdf, 1>(problem, launches);
    }
  });
  return launches.error();
}

}  // namespace rank_relax::cuda
