#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <tuple>
#include <utility>

namespace rank_relax::cuda {

constexpr int64_t kMostBlocksOfAGrid = (int64_t{1} << 31) - 1;  // of a grid
constexpr int64_t kSharedWithoutAsking = 48 << 10;  // bytes of shared memory that a block may have
constexpr int64_t kStaticShared = 4 << 10;  // bytes that are left for the static one of a kernel

/// A one-dimensional grid, and the bytes of dynamic shared memory of a block. `together`: all
/// blocks run at once and may wait for one another (grid.cuh); there are fewer of them where the
/// device has no room for so many.
struct Shape {
  int64_t blocks;
  int threads;
  int64_t shared = 0;
  bool together = false;
};

/// An attribute of the current device; `otherwise` where it can't be asked.
inline int64_t device_attribute(cudaDeviceAttr attribute, int64_t otherwise) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&value, attribute, device) != cudaSuccess) {
    return otherwise;
  }
  return value;
}

/// The most shared memory of a block, static and dynamic.
inline int64_t most_shared_memory() {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, kSharedWithoutAsking);
}

inline int64_t multiprocessors() { return device_attribute(cudaDevAttrMultiProcessorCount, 1); }

/// Lets blocks of the kernel have as much dynamic shared memory as the current device has. Always
/// all of it, once: the limit is one for all threads of the process, and one of them that lowered
/// it to its own need would fail the launches of others.
inline cudaError_t allow_most_shared_memory(const void* kernel) {
  // Never destroyed: other threads may launch while the process exits.
  static auto& mutex = *new std::mutex;
  static auto& allowed = *new std::set<std::pair<const void*, int>>;  // on a device
  int device = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  const std::lock_guard<std::mutex> lock(mutex);
  if (allowed.count({kernel, device}) > 0) return cudaSuccess;
  cudaFuncAttributes attributes;
  if ((error = cudaFuncGetAttributes(&attributes, kernel)) != cudaSuccess) return error;
  const int64_t left = most_shared_memory() - static_cast<int64_t>(attributes.sharedSizeBytes);
  error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                               static_cast<int>(left));
  if (error == cudaSuccess) allowed.insert({kernel, device});
  return error;
}

/// How many blocks of a launch the current device can run at once, so that they may wait for one
/// another: one alone where it launches none together. Asked once for a kernel and a shape; a
/// stream that is being captured is not touched by that, and may capture such a launch.
inline cudaError_t most_blocks_together(const void* kernel, const Shape& shape, int64_t& most) {
  static auto& mutex = *new std::mutex;  // as above
  static auto& known = *new std::map<std::tuple<const void*, int, int, int64_t>, int64_t>;
  int device = 0, of_multiprocessor = 0, processors = 0, can = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  const std::lock_guard<std::mutex> lock(mutex);
  const auto key = std::make_tuple(kernel, device, shape.threads, shape.shared);
  if (const auto found = known.find(key); found != known.end()) {
    most = found->second;
    return cudaSuccess;
  }
  error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_multiprocessor, kernel, shape.threads,
                                                        static_cast<size_t>(shape.shared));
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&can, cudaDevAttrCooperativeLaunch, device);
  if (error != cudaSuccess) return error;
  most = can != 0 ? std::max<int64_t>(int64_t{of_multiprocessor} * processors, 1) : 1;
  known.emplace(key, most);
  return cudaSuccess;
}

/// Enqueues kernel(arguments...). In the code for the host, which runs kernels without a device
/// (tests/cuda), cuda_runtime.h is that of the tests.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(Parameters...), const Shape& shape, cudaStream_t stream,
                   Arguments&&... arguments) {
  if (shape.shared > 0) {
    const cudaError_t error = allow_most_shared_memory(reinterpret_cast<const void*>(kernel));
    if (error != cudaSuccess) return error;
  }
  int64_t blocks = shape.blocks;
  if (shape.together) {
    int64_t most = 1;
    const cudaError_t error =
        most_blocks_together(reinterpret_cast<const void*>(kernel), shape, most);
    if (error != cudaSuccess) return error;
    blocks = std::min(blocks, most);
  }
  cudaLaunchConfig_t configuration{};
  configuration.gridDim = dim3(static_cast<unsigned>(blocks));
  configuration.blockDim = dim3(static_cast<unsigned>(shape.threads));
  configuration.dynamicSmemBytes = static_cast<size_t>(shape.shared);
  configuration.stream = stream;
  cudaLaunchAttribute together{};
  together.id = cudaLaunchAttributeCooperative;
  together.val.cooperative = 1;
  configuration.attrs = &together;
  configuration.numAttrs = shape.together && blocks > 1 ? 1 : 0;
  return cudaLaunchKernelEx(&configuration, kernel,
                            Parameters(std::forward<Arguments>(arguments))...);
}

/// Launches in order on one stream, and keeps the first error.
class Launches {
 public:
  explicit Launches(cudaStream_t stream) : stream_(stream) {}

  /// At most kMostBlocksOfAGrid blocks, which a kernel that may have more work takes in turn.
  template <class... Parameters, class... Arguments>
  void add(void (*kernel)(Parameters...), Shape shape, Arguments&&... arguments) {
    if (error_ != cudaSuccess) return;
    shape.blocks = std::min(shape.blocks, kMostBlocksOfAGrid);
    error_ = launch(kernel, shape, stream_, std::forward<Arguments>(arguments)...);
  }

  cudaError_t error() const { return error_; }

 private:
  cudaStream_t stream_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace rank_relax::cuda
