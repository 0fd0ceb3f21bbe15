#include "torch/cpu/adapter.h"

#include <c10/util/Exception.h>
#include <torch/csrc/stable/c/shim.h>

#include <stdexcept>

#include "cpu/isa/instruction_set.h"
#include "torch/declaration/argument_checks.h"

namespace rank_relax {

// at::parallel_for is a header template: compiled here it would run serially without OpenMP, and
// with it perhaps on a second OpenMP runtime that doesn't hear torch.set_num_threads. This entry
// point calls into libtorch instead.
void torch_parallel_for(int64_t count, int64_t grain, const cpu::Work& work) {
  const auto call = [](int64_t begin, int64_t end, void* context) {
    (*static_cast<const cpu::Work*>(context))(begin, end);
  };
  const AOTITorchError error =
      ::torch_parallel_for(0, count, grain, call, const_cast<cpu::Work*>(&work));
  TORCH_CHECK(error == AOTI_TORCH_SUCCESS, "rank_relax: a CPU kernel failed; is memory exhausted?");
}

void check_instruction_set() {
  try {
    cpu::instruction_set();
  } catch (const std::invalid_argument& error) {
    TORCH_CHECK_VALUE(false, "rank_relax: ", error.what());
  }
}

at::Tensor at_least_float32(const at::Tensor& values) {
  return values.to(statistics_dtype(values));
}

}  // namespace rank_relax
