#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

namespace rank_relax::cuda {

constexpr int64_t kSharedWithoutAsking = 48 << 10;  // bytes of shared memory that a block may have

/// A one-dimensional grid, and the bytes of dynamic shared memory of a block.
struct Shape {
  int64_t blocks;
  int threads;
  int64_t shared = 0;
};

/// Enqueues kernel(arguments...). In the code for the host, which runs kernels without a device
/// (tests/cuda), cuda_runtime.h is that of the tests.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const Shape& shape, cudaStream_t stream,
                   Arguments&&... arguments) {
  if (shape.shared > 0) {  // what is static in a kernel counts too
    const cudaError_t error = cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                                                   cudaFuncAttributeMaxDynamicSharedMemorySize,
                                                   static_cast<int>(shape.shared));
    if (error != cudaSuccess) return error;
  }
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = dim3(static_cast<unsigned>(shape.blocks));
  configuration.blockDim = dim3(static_cast<unsigned>(shape.threads));
  configuration.dynamicSmemBytes = static_cast<size_t>(shape.shared);
  configuration.stream = stream;
  return cudaLaunchKernelEx(&configuration, kernel,
                            Parameters(std::forward<Arguments>(arguments))...);
}

/// The most shared memory of a block on the current device, static and dynamic.
inline int64_t most_shared_memory() {
  int device = 0, bytes = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device) !=
          cudaSuccess) {
    return kSharedWithoutAsking;
  }
  return bytes;
}

}  // namespace rank_relax::cuda
