#pragma once

#include <ATen/core/Tensor.h>

#include <string_view>
#include <vector>

#include "cuda/projection/permutahedron.h"
#include "torch/cuda/adapter.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/options.h"

// What soft ranks and soft sorts by projection share on the way to their kernels.

namespace rank_relax {

/// Enqueues enqueue(problem, method, memory, stream) on the current stream.
template <class Problem, class Enqueue>
void run_projection(const Problem& problem, size_t workspace, std::string_view method,
                    const Enqueue& enqueue) {
  const at::DataPtr memory = device_memory(workspace);
  enqueue_on_current_stream(
      [&](cudaStream_t stream) { return enqueue(problem, method, memory.get(), stream); });
}

/// The tensors of a call, at one row stride each; copies live until the kernels are enqueued.
class ProjectionInputs {
 public:
  cuda::Items items(const at::Tensor& tensor) {
    kept_.push_back(at_one_row_stride(tensor));
    return items_of(kept_.back());
  }

  cuda::RowBatch batch(const at::Tensor& input, const Options& options) {
    check_blocks_fit(input.size(-1), options.method);
    cuda::RowBatch batch;
    batch.rows = rows_of(input);
    batch.size = input.size(-1);
    batch.input = items(input);
    if (options.mask.has_value()) batch.mask = items(*options.mask);
    batch.regularization_strength = options.regularization_strength;
    return batch;
  }

 private:
  std::vector<at::Tensor> kept_;
};

}  // namespace rank_relax
