#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace rank_relax::cuda {

// What the threads of a block do together. Every thread must call these, with whole warps. All add
// in an order that the block's size fixes.

constexpr int kWarp = 32;
constexpr int kMostThreads = 1024;
constexpr int kMostWarps = kMostThreads / kWarp;
constexpr unsigned kAllLanes = 0xffffffff;

/// The shared memory that a launch asks for, at a multiple of 16 bytes.
__device__ inline char* dynamic_shared_memory() {
#ifdef __CUDACC__
  extern __shared__ __align__(16) char memory[];
  return memory;
#else
  return emulator::dynamic_shared_memory;  // of tests/cuda
#endif
}

__device__ inline int lane() { return static_cast<int>(threadIdx.x) % kWarp; }
__device__ inline int warp() { return static_cast<int>(threadIdx.x) / kWarp; }
__device__ inline int warps() { return static_cast<int>(blockDim.x) / kWarp; }

struct Sum {
  template <class T>
  __device__ T operator()(T a, T b) const {
    return a + b;
  }
};
struct Smaller {
  __device__ double operator()(double a, double b) const { return b < a ? b : a; }
};
struct Larger {
  __device__ double operator()(double a, double b) const { return b > a ? b : a; }
};

struct Later {
  __device__ int64_t operator()(int64_t a, int64_t b) const { return a > b ? a : b; }
};

template <class T, class Operation>
__device__ T reduce_in_warp(T value, Operation operation) {
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    value = operation(value, __shfl_xor_sync(kAllLanes, value, distance));
  }
  return value;
}

/// The same value in every thread.
template <class Operation>
__device__ double reduce_in_block(double value, Operation operation) {
  __shared__ double of_warps[kMostWarps];
  value = reduce_in_warp(value, operation);
  if (lane() == 0) of_warps[warp()] = value;
  __syncthreads();
  double result = of_warps[0];
  for (int w = 1; w < warps(); ++w) result = operation(result, of_warps[w]);
  __syncthreads();
  return result;
}

/// The sum, or with `Later` the largest, of the values up to this thread's; `total` is that of
/// all.
template <class Operation>
__device__ int64_t scan_in_block(int64_t value, Operation operation, int64_t& total) {
  __shared__ int64_t of_warps[kMostWarps];
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const int64_t before = __shfl_up_sync(kAllLanes, value, distance);
    if (lane() >= distance) value = operation(before, value);
  }
  if (lane() == kWarp - 1) of_warps[warp()] = value;
  __syncthreads();
  for (int w = 0; w < warp(); ++w) {
    if (w == 0)
      total = of_warps[0];
    else
      total = operation(total, of_warps[w]);
  }
  if (warp() > 0) value = operation(total, value);
  total = of_warps[0];
  for (int w = 1; w < warps(); ++w) total = operation(total, of_warps[w]);
  __syncthreads();
  return value;
}

/// The first number from `begin` on for which a condition does not hold, or `end`; it holds for
/// those before and for none behind. By a warp, which looks at 32 numbers at a time.
template <class Holds>
__device__ int64_t partition_in_warp(int64_t begin, int64_t end, const Holds& holds) {
  while (begin < end) {
    const int64_t step = (end - begin + kWarp - 1) / kWarp;
    const int64_t last = begin + (lane() + 1) * step - 1;  // of this lane's numbers
    const bool all_hold = last < end && holds(last);
    begin += __popc(__ballot_sync(kAllLanes, all_hold)) * step;
    end = end < begin + step - 1 ? end : begin + step - 1;
  }
  return begin;
}

/// Eight sums over the lanes at once, in 9 exchanges: lane i returns that of values[i / 4].
template <class Scalar>
__device__ Scalar sum_eight_over_lanes(Scalar* values) {
  const int here = lane();
#pragma unroll
  for (int step = 0; step < 3; ++step) {
    const int distance = 16 >> step, kept = 4 >> step;
    const bool upper = (here & distance) != 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (i >= kept) continue;
      const Scalar sent = upper ? values[i] : values[i + kept];
      const Scalar own = upper ? values[i + kept] : values[i];
      values[i] = own + __shfl_xor_sync(kAllLanes, sent, distance);
    }
  }
  Scalar sum = values[0];
  sum += __shfl_xor_sync(kAllLanes, sum, 2);
  sum += __shfl_xor_sync(kAllLanes, sum, 1);
  return sum;
}

}  // namespace rank_relax::cuda
