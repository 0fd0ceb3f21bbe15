#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace rank_relax::cuda {

/// Enqueues kernel(arguments...) in a one-dimensional grid. In the code for the host, which runs
/// kernels without a device (tests/cuda), cuda_runtime.h is that of the tests.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), int64_t blocks, int threads, cudaStream_t stream,
                   Arguments&&... arguments) {
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = dim3(static_cast<unsigned>(blocks));
  configuration.blockDim = dim3(static_cast<unsigned>(threads));
  configuration.stream = stream;
  return cudaLaunchKernelEx(&configuration, kernel,
                            Parameters(std::forward<Arguments>(arguments))...);
}

}  // namespace rank_relax::cuda
