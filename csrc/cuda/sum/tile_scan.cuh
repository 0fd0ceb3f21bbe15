#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/launch/block.cuh"

namespace rank_relax::cuda {

// What the items before an item add up to at its place, Σ_{j<i} w_j e^-α(x_i - x_j) and the like,
// for ascending x: a range of items is known by its sum at its last one, and two ranges are put
// together by taking the first sum from its end to the end of the second. That takes the distance
// of the ends alone: nothing is rounded over and over on the way.

/// Σ w_j e^-α(x - x_j).
struct Decay {
  double strength, unit;  // α of the values given

  __device__ double at(double difference) const { return exp(-(strength * difference * unit)); }
  __device__ static double advance(double at, double sum, double) { return sum * at; }

  /// e^α(difference), by which a sum is brought back; 0 where that is far.
  __device__ double back(double difference) const {
    const double distance = strength * difference * unit;
    return distance < 0.5 ? exp(distance) : 0;
  }
};

/// M = Σ 1 - e^-α(x - x_j) over `count` items, from E = 1 - e^-α(step): M + E (count - M), in which
/// nothing cancels. An item adds nothing at its own place.
struct Growth {
  double strength, unit;

  __device__ double at(double difference) const { return -expm1(-(strength * difference * unit)); }
  __device__ static double advance(double at, double sum, double count) {
    return sum + at * (count - sum);
  }
  __device__ static double back(double) { return 0; }
};

/// Σ w_j over the items at x.
struct AmongEquals {
  __device__ static double at(double difference) { return difference == 0 ? 1 : 0; }
  __device__ static double advance(double at, double sum, double) { return sum * at; }
  __device__ static double back(double) { return 0; }
};

/// Scans a row by one block, a tile of blockDim.x items after another, for `kSums` sets of weights.
template <class Step, int kSums>
class TileScan {
 public:
  __device__ TileScan(const Step& step, double first) : step_(step), anchor_(first) {}

  /// before[..] of this thread's item. Behind the end of the row items have the last x, and no
  /// weight. All threads call it.
  __device__ void add_tile(double x, const double (&weights)[kSums], double (&before)[kSums]) {
    __shared__ double ends[kMostWarps], sums[kSums][kMostWarps];
    double up_to[kSums];
    for (int k = 0; k < kSums; ++k) up_to[k] = weights[k];
    scan_in_warp(x, 1, up_to);
    const double at_previous = step_.at(x - __shfl_up_sync(kAllLanes, x, 1));
    for (int k = 0; k < kSums; ++k) {
      const double previous = __shfl_up_sync(kAllLanes, up_to[k], 1);
      before[k] = lane() == 0 ? 0 : Step::advance(at_previous, previous, lane());
    }
    if (lane() == kWarp - 1) {
      ends[warp()] = x;
      for (int k = 0; k < kSums; ++k) sums[k][warp()] = up_to[k];
    }
    __syncthreads();
    if (warp() == 0) scan_warps(ends, sums);
    __syncthreads();
    if (warp() > 0) take_in(x - ends[warp() - 1], warp() * kWarp, sums, warp() - 1, before);
    const double at_anchor = step_.at(x - anchor_);
    for (int k = 0; k < kSums; ++k) {
      before[k] += Step::advance(at_anchor, carried_[k], static_cast<double>(count_));
    }
    carry(ends[warps() - 1], sums);
    __syncthreads();
  }

 private:
  /// sums[k] = those of all lanes up to this one, each of which stands for so many items.
  __device__ void scan_in_warp(double x, int items, double* sums) const {
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const double at = step_.at(x - __shfl_up_sync(kAllLanes, x, distance));
      const int lanes = lane() + 1 - distance < distance ? lane() + 1 - distance : distance;
      for (int k = 0; k < kSums; ++k) {
        const double from = __shfl_up_sync(kAllLanes, sums[k], distance);
        if (lane() >= distance) sums[k] += Step::advance(at, from, lanes * items);
      }
    }
  }

  /// Of the warps, by one of them.
  __device__ void scan_warps(const double* ends, double (*sums)[kMostWarps]) const {
    const bool here = lane() < warps();
    double own[kSums];
    for (int k = 0; k < kSums; ++k) own[k] = here ? sums[k][lane()] : 0;
    scan_in_warp(ends[here ? lane() : warps() - 1], kWarp, own);
    for (int k = 0; k < kSums; ++k) {
      if (here) sums[k][lane()] = own[k];
    }
  }

  __device__ void take_in(double difference, int count, const double (*sums)[kMostWarps], int from,
                          double (&before)[kSums]) const {
    const double at = step_.at(difference);
    for (int k = 0; k < kSums; ++k) before[k] += Step::advance(at, sums[k][from], count);
  }

  /// What comes before the next tile. While the anchor is near, it stays, and the sums at it are
  /// added to.
  __device__ void carry(double end, const double (*sums)[kMostWarps]) {
    const double back = step_.back(end - anchor_), at = step_.at(end - anchor_);
    for (int k = 0; k < kSums; ++k) {
      const double of_tile = sums[k][warps() - 1];
      carried_[k] = back > 0
                        ? carried_[k] + of_tile * back
                        : Step::advance(at, carried_[k], static_cast<double>(count_)) + of_tile;
    }
    if (!(back > 0)) anchor_ = end;
    count_ += blockDim.x;
  }

  Step step_;
  double anchor_, carried_[kSums] = {};  // of the tiles before, at the anchor
  int64_t count_ = 0;
};

}  // namespace rank_relax::cuda
