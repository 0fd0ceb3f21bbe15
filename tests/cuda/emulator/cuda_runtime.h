#pragma once

// A CUDA runtime on the host, so that g++ compiles the kernels of csrc/cuda as they stand and the
// tests run them on a machine with no GPU. Blocks run one after the other, in any order that a seed
// gives, or, in a launch whose blocks wait for one another, from one such wait to the next; the
// threads of one are fibers that take turns, in such an order too, from one barrier or
// exchange of a warp to the next. A thread that misses a barrier or an exchange is an error. No
// block finds in its dynamic shared memory what another has left, nor the first dozen of a launch
// in their static one, with which all else that this program has for each thread is spoilt. This
// proves arithmetic, indices and barriers; it says nothing of speed, and little of races between
// barriers.

#include <link.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "fiber.h"

#define __global__
#define __device__
#define __host__
#define __shared__ static thread_local  // in one piece of memory: emulator::StaticSharedMemory
#define __launch_bounds__(...)

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  explicit dim3(unsigned along_x) : x(along_x) {}
};

inline dim3 threadIdx(0), blockIdx(0), blockDim, gridDim;

using std::isfinite;
using std::isnan;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorCooperativeLaunchTooLarge = 720,
  cudaErrorNotSupported = 801
};
using cudaStream_t = void*;

namespace emulator {

constexpr int kLanes = 32;
constexpr unsigned kMultiprocessors = 2;  // so few that blocks take several rows in turn

/// What the lanes of a warp exchange. Two sets in turn: a lane may be at the next exchange before
/// all have read this one.
struct Warp {
  uint64_t values[2][kLanes];
  int arrived = 0;
  int64_t generation = 0;
};

/// What a thread waits for: that a generation has passed.
struct Wait {
  const int64_t* generation = nullptr;
  int64_t seen = 0;

  bool over() const { return generation == nullptr || *generation != seen; }
};

struct Block {
  std::vector<Warp> warps;
  std::vector<Wait> waits;
  int threads = 0, arrived = 0;
  int64_t generation = 0;
};

inline Block block;
inline Block grid;  // of a launch whose blocks wait for one another: arrived, generation
inline bool blocks_are_together = false;
inline std::function<void()> meanwhile;  // what another stream does, time and again
inline unsigned seed = 0;                // of the order in which blocks and threads take turns
inline char* dynamic_shared_memory = nullptr;
inline int64_t launches = 0;  // so far

// What devices differ in.
inline int most_shared_memory = 227 << 10;    // of a block
inline int blocks_of_a_multiprocessor = 1;    // that run at once
inline bool launches_blocks_together = true;  // blocks that wait for one another

/// From now on other turns, and another number of blocks that run at once: no result may show it.
inline void take_other_turns() {
  static int taken = 0;
  ++taken;
  seed += 12345;
  blocks_of_a_multiprocessor = 1 + taken % 3;
  launches_blocks_together = taken % 5 != 0;  // for odd seeds and even ones
}

inline cudaError_t check_blocks_together(unsigned blocks) {
  if (!launches_blocks_together) return cudaErrorNotSupported;
  const unsigned most = kMultiprocessors * static_cast<unsigned>(blocks_of_a_multiprocessor);
  return blocks > most ? cudaErrorCooperativeLaunchTooLarge : cudaSuccess;
}

/// The most dynamic shared memory that the kernel may be launched with, on a device.
inline int& shared_memory_limit(const void* kernel) {
  static std::map<std::pair<const void*, int>, int> limits;
  const int unasked = std::min(48 << 10, most_shared_memory);
  return limits.try_emplace({kernel, most_shared_memory}, unasked).first->second;
}

[[noreturn]] inline void fail(const char* reason) {
  std::fprintf(stderr, "emulator: %s (block %u, thread %u)\n", reason, blockIdx.x, threadIdx.x);
  std::abort();
}

template <class Counter>
void wait_for_all(Counter& counter, int count) {
  const int64_t generation = counter.generation;
  if (++counter.arrived == count) {
    counter.arrived = 0;
    ++counter.generation;
    if (meanwhile) meanwhile();
  }
  if (counter.generation != generation) return;
  block.waits[threadIdx.x] = {&counter.generation, generation};
  fiber::yield();
}

/// Gives this lane's value to the others of its warp, and returns theirs.
template <class T>
const uint64_t* exchange(T value) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  Warp& warp = block.warps[threadIdx.x / kLanes];
  uint64_t* values = warp.values[warp.generation % 2];
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  values[threadIdx.x % kLanes] = bits;
  wait_for_all(warp, kLanes);
  return values;
}

template <class T>
T value_of(uint64_t bits) {
  T value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

/// Runs each of these threads that can go on to where it waits next; whether there was one.
inline bool run_a_little(fiber::Group& group, const unsigned* threads, size_t count) {
  bool progress = false;
  for (size_t i = 0; i < count; ++i) {
    if (group.finished(threads[i]) || !block.waits[threads[i]].over()) continue;
    progress = true;
    threadIdx.x = threads[i];
    group.resume(threads[i]);
  }
  return progress;
}

/// The threads of one block. For odd seeds each warp runs as far ahead of the others as barriers
/// let it, which shows many a missing one; for even seeds all threads keep step.
class RunningBlock {
 public:
  /// Blocks that run by turns have different numbers.
  RunningBlock(int number, const std::function<void()>& kernel, std::mt19937& random)
      : order_(blockDim.x),
        warp_order_(blockDim.x / kLanes),
        body_([&kernel](int) { kernel(); }),
        group_(number, static_cast<int>(blockDim.x), body_) {
    if (blockDim.x % kLanes != 0) fail("a block of no whole warps");
    block_.warps.assign(warp_order_.size(), Warp());
    block_.waits.assign(order_.size(), Wait());
    for (unsigned i = 0; i < order_.size(); ++i) order_[i] = i;
    for (size_t warp = 0; warp < warp_order_.size(); ++warp) {
      warp_order_[warp] = warp;
      const auto first = order_.begin() + warp * kLanes;
      std::shuffle(first, first + kLanes, random);
    }
    std::shuffle(warp_order_.begin(), warp_order_.end(), random);
  }

  /// Runs all threads that can go on until none can; whether there was one.
  bool run() {
    std::swap(block, block_);
    bool any = false;
    for (bool progress = true; progress;) {
      progress = false;
      for (const size_t warp : warp_order_) {
        while (run_a_little(group_, &order_[warp * kLanes], kLanes)) {
          any = progress = true;
          if (seed % 2 == 0) break;
        }
      }
    }
    std::swap(block, block_);
    return any;
  }

  bool finished() const {
    return std::all_of(order_.begin(), order_.end(),
                       [this](unsigned i) { return group_.finished(static_cast<int>(i)); });
  }

 private:
  Block block_;
  std::vector<unsigned> order_;
  std::vector<size_t> warp_order_;
  std::function<void(int)> body_;
  fiber::Group group_;
};

[[noreturn]] inline void fail_of_missing_threads() {
  fail("threads wait for others that never come");
}

constexpr char kSpoilt = 0x5a;

/// The static shared memory of all kernels: what this program itself has for each thread.
class StaticSharedMemory {
 public:
  StaticSharedMemory() {
    dl_iterate_phdr(
        [](dl_phdr_info* program, size_t, void* found) {
          auto* const memory = static_cast<StaticSharedMemory*>(found);
          memory->begin_ = program->dlpi_tls_data;
          for (int i = 0; i < program->dlpi_phnum; ++i) {
            if (program->dlpi_phdr[i].p_type == PT_TLS)
              memory->size_ = program->dlpi_phdr[i].p_memsz;
          }
          return 1;  // the program comes first, then its libraries
        },
        this);
    if (begin_ == nullptr || size_ == 0) fail("there is no static shared memory");
  }

  void spoil() const { std::memset(begin_, kSpoilt, size_); }

  /// Exchanges what is there with what was there for another block.
  void swap(std::vector<char>& other) const {
    char* const here = static_cast<char*>(begin_);
    other.resize(size_, kSpoilt);
    std::swap_ranges(other.begin(), other.end(), here);
  }

 private:
  void* begin_ = nullptr;
  size_t size_ = 0;
};

/// The dynamic shared memory of blocks, one after the other: none finds what another has left, and
/// none may write behind its end.
class SharedMemory {
 public:
  explicit SharedMemory(size_t size) : size_(size), words_(size / sizeof(uint64_t) + 1 + kGuards) {
    use();
    spoil();
  }

  void use() { dynamic_shared_memory = reinterpret_cast<char*>(words_.data()); }

  void check_and_spoil() {
    check();
    spoil();
  }

  void check() const {
    const char* const memory = reinterpret_cast<const char*>(words_.data());
    for (size_t i = size_; i < words_.size() * sizeof(uint64_t); ++i) {
      if (memory[i] != kSpoilt) fail("a block wrote behind its shared memory");
    }
  }

 private:
  static constexpr size_t kGuards = 16;
  static constexpr int kOftenEnough = 12;

  void spoil() {
    std::memset(words_.data(), kSpoilt, words_.size() * sizeof(uint64_t));
    // Which takes time, so not after each of very many blocks.
    if (spoilt_++ < kOftenEnough) static_.spoil();
  }

  StaticSharedMemory static_;
  int spoilt_ = 0;
  size_t size_;
  std::vector<uint64_t> words_;
};

/// Blocks in this order, each from its beginning to its end.
inline void run_blocks(const std::vector<unsigned>& order, size_t shared_bytes,
                       const std::function<void()>& kernel, std::mt19937& random) {
  SharedMemory shared(shared_bytes);
  for (const unsigned index : order) {
    blockIdx.x = index;
    RunningBlock running(0, kernel, random);
    running.run();
    if (!running.finished()) fail_of_missing_threads();
    shared.check_and_spoil();
  }
}

/// Blocks that wait for one another: in this order by turns, each with a shared memory of its own.
inline void run_blocks_together(const std::vector<unsigned>& order, size_t shared_bytes,
                                const std::function<void()>& kernel, std::mt19937& random) {
  const size_t count = order.size();
  const StaticSharedMemory memory;
  std::vector<std::unique_ptr<SharedMemory>> dynamic;
  std::vector<std::unique_ptr<RunningBlock>> running;
  std::vector<std::vector<char>> statics(count);
  for (size_t i = 0; i < count; ++i) {
    dynamic.push_back(std::make_unique<SharedMemory>(shared_bytes));
    running.push_back(std::make_unique<RunningBlock>(static_cast<int>(i), kernel, random));
  }
  grid = Block();
  blocks_are_together = true;
  for (bool progress = true; progress;) {
    progress = false;
    for (size_t i = 0; i < count; ++i) {
      blockIdx.x = order[i];
      dynamic[i]->use();
      memory.swap(statics[i]);
      if (running[i]->run()) progress = true;
      memory.swap(statics[i]);
    }
  }
  blocks_are_together = false;
  for (size_t i = 0; i < count; ++i) {
    blockIdx.x = order[i];
    if (!running[i]->finished()) fail_of_missing_threads();
    dynamic[i]->check();
  }
}

inline void wait_for_grid() {
  if (!blocks_are_together) fail("blocks wait for one another that are not launched together");
  wait_for_all(grid, static_cast<int>(gridDim.x * blockDim.x));
}

}  // namespace emulator

inline void __syncthreads() {
  emulator::wait_for_all(emulator::block, static_cast<int>(blockDim.x));
}
inline void __syncwarp() { emulator::exchange(0); }

template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulator::value_of<T>(emulator::exchange(value)[(threadIdx.x % 32) ^ mask]);
}
template <class T>
T __shfl_up_sync(unsigned, T value, int distance) {
  const int from = static_cast<int>(threadIdx.x % 32) - distance;
  const uint64_t* values = emulator::exchange(value);
  return from < 0 ? value : emulator::value_of<T>(values[from]);
}
inline unsigned __ballot_sync(unsigned, bool predicate) {
  const uint64_t* values = emulator::exchange(static_cast<int>(predicate));
  unsigned result = 0;
  for (int lane = 0; lane < 32; ++lane) result |= static_cast<unsigned>(values[lane] != 0) << lane;
  return result;
}
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline unsigned long long atomicAdd(unsigned long long* at, unsigned long long value) {
  const unsigned long long before = *at;
  *at += value;
  return before;
}
inline unsigned atomicAdd(unsigned* at, unsigned value) {
  const unsigned before = *at;
  *at += value;
  return before;
}
inline float __expf(float x) { return std::exp(x); }
inline float __fdividef(float x, float y) { return x / y; }

enum cudaLaunchAttributeID { cudaLaunchAttributeIgnore, cudaLaunchAttributeCooperative };
struct cudaLaunchAttribute {
  cudaLaunchAttributeID id;
  struct {
    int cooperative;
  } val;
};
struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  const cudaLaunchAttribute* attrs = nullptr;
  unsigned numAttrs = 0;
};

template <class... Parameters>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* configuration,
                               void (*kernel)(Parameters...), Parameters... arguments) {
  std::mt19937 random(emulator::seed);
  ++emulator::launches;
  gridDim = configuration->gridDim;
  blockDim = configuration->blockDim;
  std::vector<unsigned> order(gridDim.x);
  for (unsigned i = 0; i < gridDim.x; ++i) order[i] = i;
  std::shuffle(order.begin(), order.end(), random);
  const size_t size = configuration->dynamicSmemBytes;
  const int limit = emulator::shared_memory_limit(reinterpret_cast<const void*>(kernel));
  if (size > static_cast<size_t>(limit)) return cudaErrorInvalidValue;
  bool together = false;
  for (unsigned i = 0; i < configuration->numAttrs; ++i) {
    const cudaLaunchAttribute& attribute = configuration->attrs[i];
    if (attribute.id == cudaLaunchAttributeCooperative) together = attribute.val.cooperative != 0;
  }
  if (together) {
    const cudaError_t error = emulator::check_blocks_together(gridDim.x);
    if (error != cudaSuccess) return error;
  }
  const std::function<void()> run = [&] { kernel(arguments...); };
  (together ? emulator::run_blocks_together : emulator::run_blocks)(order, size, run, random);
  return cudaSuccess;
}

enum cudaStreamCaptureMode { cudaStreamCaptureModeRelaxed };
enum { cudaStreamNonBlocking, cudaMemcpyHostToDevice };
enum { cudaFuncAttributeMaxDynamicSharedMemorySize };
enum cudaDeviceAttr {
  cudaDevAttrMaxSharedMemoryPerBlockOptin,
  cudaDevAttrMultiProcessorCount,
  cudaDevAttrCooperativeLaunch
};
/// A limit of less than before is refused: another thread may be about to launch with what it set.
inline cudaError_t cudaFuncSetAttribute(const void* kernel, int, int size) {
  int& limit = emulator::shared_memory_limit(kernel);
  if (size > emulator::most_shared_memory || size < limit) return cudaErrorInvalidValue;
  limit = size;
  return cudaSuccess;
}
struct cudaFuncAttributes {
  size_t sharedSizeBytes = 0;
};
inline cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void*) {
  attributes->sharedSizeBytes = 0;  // not known here
  return cudaSuccess;
}
inline cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
      *value = static_cast<int>(emulator::kMultiprocessors);
      break;
    case cudaDevAttrCooperativeLaunch:
      *value = emulator::launches_blocks_together ? 1 : 0;
      break;
    default:
      *value = emulator::most_shared_memory;
  }
  return cudaSuccess;
}
inline cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int,
                                                                 size_t) {
  *blocks = emulator::blocks_of_a_multiprocessor;
  return cudaSuccess;
}
inline cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*) {
  return cudaSuccess;
}
inline cudaError_t cudaMalloc(void** to, size_t size) {
  *to = std::malloc(size);
  return *to != nullptr ? cudaSuccess : cudaErrorMemoryAllocation;
}
inline cudaError_t cudaFree(void* memory) {
  std::free(memory);
  return cudaSuccess;
}
inline cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, int) { return cudaSuccess; }
inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
inline cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t size, int, cudaStream_t) {
  std::memcpy(to, from, size);
  return cudaSuccess;
}
inline cudaError_t cudaSetDevice(int) { return cudaSuccess; }
inline const char* cudaGetErrorString(cudaError_t) { return "an error of the emulator"; }
inline cudaError_t cudaGetDevice(int* device) {
  *device = emulator::most_shared_memory << 4 | emulator::blocks_of_a_multiprocessor << 1 |
            (emulator::launches_blocks_together ? 1 : 0);
  return cudaSuccess;
}
