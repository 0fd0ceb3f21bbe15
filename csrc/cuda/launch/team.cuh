#pragma once

#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// The threads that work on a row together: a warp, or a block. Every thread must call what they do
// together.

struct WarpTeam {
  __device__ int rank() const { return lane(); }
  __device__ int size() const { return kWarp; }
  __device__ void sync() const { __syncwarp(); }

  /// The same value in every thread.
  template <class T, class Operation>
  __device__ T reduce(T value, Operation operation) const {
    return reduce_in_warp(value, operation);
  }

  /// The sums over all threads, once those over a warp are found.
  template <int kCount>
  __device__ void add_warps(double (&)[kCount]) const {}
};

class BlockTeam {
 public:
  static constexpr int kMostSums = 4;

  /// In turn, so that one barrier is enough: a warp may be at the next sums before all have read
  /// these.
  struct Memory {
    double of_warps[2][kMostSums][kMostWarps];
  };

  __device__ explicit BlockTeam(Memory& memory) : memory_(memory) {}

  __device__ int rank() const { return static_cast<int>(threadIdx.x); }
  __device__ int size() const { return static_cast<int>(blockDim.x); }
  __device__ void sync() const { __syncthreads(); }

  /// The same value in every thread. Of integers below 2^53, and of what is exact as a double.
  template <class T, class Operation>
  __device__ T reduce(T value, Operation operation) {
    double values[1] = {static_cast<double>(reduce_in_warp(value, operation))};
    reduce_warps(values, operation);
    return static_cast<T>(values[0]);
  }

  /// The sums over all threads, once those over a warp are found.
  template <int kCount>
  __device__ void add_warps(double (&sums)[kCount]) {
    reduce_warps(sums, Sum());
  }

 private:
  template <int kCount, class Operation>
  __device__ void reduce_warps(double (&values)[kCount], Operation operation) {
    static_assert(kCount <= kMostSums);
    double (*of_warps)[kMostWarps] = memory_.of_warps[turn_];
    turn_ = 1 - turn_;
    if (lane() == 0) {
#pragma unroll
      for (int l = 0; l < kCount; ++l) of_warps[l][warp()] = values[l];
    }
    __syncthreads();
#pragma unroll
    for (int l = 0; l < kCount; ++l) values[l] = of_warps[l][0];
#pragma unroll 1
    for (int w = 1; w < warps(); ++w) {
#pragma unroll
      for (int l = 0; l < kCount; ++l) values[l] = operation(values[l], of_warps[l][w]);
    }
  }

  Memory& memory_;
  int turn_ = 0;
};

}  // namespace rank_relax::cuda
