#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/cdf/exponential_sum.h"
#include "cuda/inverse/level_search.cuh"
#include "cuda/inverse/quantile_row.cuh"
#include "cuda/sort/block_sort.cuh"

namespace rank_relax::cuda {

// Sorts of rows that fit in shared memory where F(-d) = Σ_p c_p e^-pd (core/cdf/exponential_sum.h).
// With t = α (y - x_i) and g = α (x_(i+1) - x_i) the smoothed count between two neighbours is
//
//     G(y) = i + 1 - Σ_p c_p A_p(i) e^-pt + Σ_p c_p B_p(i + 1) e^-p(g - t)
//     A_p(i) = Σ_{j <= i} e^-pα(x_i - x_j)        B_p(i) = Σ_{j >= i} e^-pα(x_j - x_i)
//
// so that a step of a level costs as many products as there are terms, however wide the row is and
// however many items are within reach. A warp scans a tile of 32 items for all p, then its lanes
// take the levels that lie among these; what is between tiles is carried by sums of each.
//
// Cost: a sort, and O(1) an item.

/// Whether F and F' are such sums.
template <class Cdf>
constexpr bool kSortsByScans = kMostScannedOrder<Cdf> >= 1;

template <class Cdf>
struct TailTerms {
  using Mass = ExponentialSum<Cdf, double, 0>;
  using Density = ExponentialSum<Cdf, double, 1>;
  static constexpr int kCount = Mass::kTerms > Density::kTerms ? Mass::kTerms : Density::kTerms;

  double mass[kCount], density[kCount];  // of e^-(p + 1)d

  TailTerms() {
    for (int p = 0; p < kCount; ++p) {
      mass[p] = p < Mass::kTerms ? Mass::kCoefficients[p] : 0;
      density[p] = p < Density::kTerms ? Density::kCoefficients[p] : 0;
    }
  }
};

constexpr int kLongestScannedSort = 1024;
constexpr int kMostScanningWarps = 4;

/// What a warp knows of the tile that it works on: of each item and of the one behind the last.
template <class Cdf>
struct ScannedTile {
  static constexpr int kItems = kWarp + 1;

  double below[TailTerms<Cdf>::kCount][kItems];  // A_(p + 1)
  double above[TailTerms<Cdf>::kCount][kItems];  // B_(p + 1)
  double counts[kItems];                         // G at the items
  int levels[kItems];                            // how many levels lie below that
};

/// Shared memory of a row of `size` items.
template <class Cdf>
struct ScannedSortMemory {
  static constexpr int kTerms = TailTerms<Cdf>::kCount;

  double* values;              // ascending
  double (*below)[kTerms];     // [tile], A of its last item
  double (*above)[kTerms];     // [tile], B of its first item
  double* counts;              // [tile], G at its first item
  int* levels;                 // [tile], how many levels lie below that
  ScannedTile<Cdf>* of_warps;  // and first of all the keys of the sort

  static constexpr int64_t tiles_of(int64_t size) { return (size + kWarp - 1) / kWarp; }
  static constexpr int64_t bytes(int64_t size, int64_t warps) {
    const int64_t tiles = tiles_of(size);
    const int64_t tile_bytes = (2 * kTerms + 2) * static_cast<int64_t>(sizeof(double));
    const auto of_warp = static_cast<int64_t>(sizeof(ScannedTile<Cdf>));
    const auto keys = size * static_cast<int64_t>(sizeof(double));
    return keys + tiles * tile_bytes + (warps * of_warp > keys ? warps * of_warp : keys);
  }

  __device__ ScannedSortMemory(char* memory, int size) {
    const auto tiles = static_cast<int>(tiles_of(size));
    values = reinterpret_cast<double*>(memory);
    below = reinterpret_cast<double (*)[kTerms]>(values + size);
    above = below + tiles;
    counts = reinterpret_cast<double*>(above + tiles);
    levels = reinterpret_cast<int*>(counts + tiles);
    of_warps = reinterpret_cast<ScannedTile<Cdf>*>(counts + 2 * tiles);
  }
};

/// A row, sorted.
template <class Cdf>
class ScannedSort {
  using Memory = ScannedSortMemory<Cdf>;
  static constexpr int kTerms = TailTerms<Cdf>::kCount;
  static constexpr int kDistances = 5;  // 1, 2, .. 16 items

 public:
  __device__ ScannedSort(const TailTerms<Cdf>& terms, const Memory& memory, int count,
                         double strength)
      : terms_(terms),
        memory_(memory),
        count_(count),
        tiles_(static_cast<int>(Memory::tiles_of(count))),
        strength_(strength) {}

  /// What the tiles carry to one another. By the threads of a block.
  __device__ void carry() const {
    for (int tile = warp(); tile < tiles_; tile += warps()) sum_tile(tile);
    __syncthreads();
    for (int i = threadIdx.x; i < 2 * kTerms; i += blockDim.x) {
      if (i < kTerms) {
        carry_upwards(i);
      } else {
        carry_downwards(i - kTerms);
      }
    }
    __syncthreads();
    for (int tile = threadIdx.x; tile < tiles_; tile += blockDim.x) count_at_first(tile);
    __syncthreads();
  }

  /// write(level number, point, density) for all levels; the density is 0 if none is wanted. By the
  /// threads of a block.
  template <class Write>
  __device__ void solve(bool with_density, const Write& write) const {
    ScannedTile<Cdf>& tile = memory_.of_warps[warp()];
    for (int number = warp(); number < tiles_; number += warps()) {
      scan_tile(number, tile);
      count_at_items(number, tile);
      const int end = levels_before(number + 1);
      for (int level = levels_before(number) + lane(); level < end; level += kWarp) {
        solve_level(number, tile, level, with_density, write);
      }
      __syncwarp();
    }
  }

 private:
  __device__ int first_of(int tile) const { return tile * kWarp; }
  __device__ int last_of(int tile) const {
    const int last = tile * kWarp + kWarp - 1;
    return last < count_ ? last : count_ - 1;
  }
  __device__ double value(int i) const { return memory_.values[i]; }

  /// e^-α(x_above - x_below)
  __device__ double decay(double above, double below) const {
    return exp(-scaled_difference(strength_, above, below));
  }

  /// A at the last item and B at the first, of the items of the tile alone. By a warp.
  __device__ void sum_tile(int tile) const {
    const int i = first_of(tile) + lane();
    const bool is_item = i < count_;
    const double x = value(is_item ? i : count_ - 1);
    const double to_last = is_item ? decay(value(last_of(tile)), x) : 0;
    const double to_first = is_item ? decay(x, value(first_of(tile))) : 0;
    double power_to_last = to_last, power_to_first = to_first;
    for (int first = 0; first < kTerms; first += 8) {
      double of_last[8], of_first[8];
#pragma unroll
      for (int l = 0; l < 8; ++l) {
        of_last[l] = power_to_last;
        of_first[l] = power_to_first;
        power_to_last *= to_last;
        power_to_first *= to_first;
      }
      const double below = sum_eight_over_lanes(of_last), above = sum_eight_over_lanes(of_first);
      const int p = first + lane() / 4;
      if (lane() % 4 == 0 && p < kTerms) {
        memory_.below[tile][p] = below;
        memory_.above[tile][p] = above;
      }
    }
  }

  /// And of all items: of one p, by a thread.
  __device__ void carry_upwards(int p) const {
    for (int tile = 1; tile < tiles_; ++tile) {
      const double distance =
          scaled_difference(strength_, value(last_of(tile)), value(last_of(tile - 1)));
      memory_.below[tile][p] += exp(-(p + 1) * distance) * memory_.below[tile - 1][p];
    }
  }
  __device__ void carry_downwards(int p) const {
    for (int tile = tiles_ - 2; tile >= 0; --tile) {
      const double distance =
          scaled_difference(strength_, value(first_of(tile + 1)), value(first_of(tile)));
      memory_.above[tile][p] += exp(-(p + 1) * distance) * memory_.above[tile + 1][p];
    }
  }

  /// Levels lie half above whole numbers.
  __device__ int levels_below(double count) const {
    const double levels = ceil(count - 0.5);
    return static_cast<int>(Larger()(0, Smaller()(levels, static_cast<double>(count_))));
  }

  /// G at the first item of a tile, by a thread: the tile before and the tile itself must agree on
  /// which levels are whose.
  __device__ void count_at_first(int tile) const {
    const int first = first_of(tile);
    const double step = tile > 0 ? decay(value(first), value(first - 1)) : 0;
    double count = first + 1, power = step;
    for (int p = 0; p < kTerms; ++p, power *= step) {
      const double below = tile > 0 ? 1 + power * memory_.below[tile - 1][p] : 1;
      count += terms_.mass[p] * ((memory_.above[tile][p] - 1) - below);
    }
    memory_.counts[tile] = count;
    memory_.levels[tile] = levels_below(count);
  }

  /// The first level of a tile: they ascend, whatever was rounded.
  __device__ int levels_before(int tile) const {
    if (tile == 0) return 0;
    if (tile == tiles_) return count_;
    int levels = 0;
    for (int t = 0; t <= tile; ++t)
      levels = levels < memory_.levels[t] ? memory_.levels[t] : levels;
    return levels;
  }

  /// A of this lane's item for all p, or B if kDownwards, of the item that mirrors it.
  template <bool kDownwards>
  __device__ void scan(int number, double (*sums)[ScannedTile<Cdf>::kItems]) const {
    const int here = kDownwards ? kWarp - 1 - lane() : lane();
    const int i = first_of(number) + here;
    const bool is_item = i < count_;
    const double x = value(is_item ? i : count_ - 1);
    const auto distance = [&](double from) { return kDownwards ? decay(from, x) : decay(x, from); };
    double steps[kDistances], powers[kDistances];
#pragma unroll
    for (int k = 0; k < kDistances; ++k) {
      const double from = __shfl_up_sync(kAllLanes, x, 1 << k);
      steps[k] = lane() >= 1 << k ? distance(from) : 0;
      powers[k] = steps[k];
    }
    const bool is_carried = kDownwards ? number + 1 < tiles_ : number > 0;
    const int other = kDownwards ? number + 1 : number - 1;
    const double step =
        is_carried ? distance(value(kDownwards ? first_of(other) : last_of(other))) : 0;
    double power = step;
    for (int p = 0; p < kTerms; ++p) {
      double sum = is_item ? 1 : 0;
#pragma unroll
      for (int k = 0; k < kDistances; ++k) {
        sum += powers[k] * __shfl_up_sync(kAllLanes, sum, 1 << k);
        powers[k] *= steps[k];
      }
      if (is_carried) sum += power * (kDownwards ? memory_.above : memory_.below)[other][p];
      power *= step;
      sums[p][here] = sum;
    }
  }

  /// A and B at all items of a tile, by a warp.
  __device__ void scan_tile(int number, ScannedTile<Cdf>& tile) const {
    scan<false>(number, tile.below);
    scan<true>(number, tile.above);
    for (int p = lane(); p < kTerms; p += kWarp) {
      tile.above[p][kWarp] = number + 1 < tiles_ ? memory_.above[number + 1][p] : 0;
    }
    __syncwarp();
  }

  /// And G there, and how many levels lie below.
  __device__ void count_at_items(int number, ScannedTile<Cdf>& tile) const {
    const int i = first_of(number) + lane();
    double count = i + 1;
    for (int p = 0; p < kTerms; ++p) {
      count += terms_.mass[p] * ((tile.above[p][lane()] - 1) - tile.below[p][lane()]);
    }
    int levels = lane() == 0 && number > 0 ? levels_before(number) : levels_below(count);
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const int before = __shfl_up_sync(kAllLanes, levels, distance);
      if (lane() >= distance && before > levels) levels = before;
    }
    tile.counts[lane()] = count;
    tile.levels[lane()] = i < count_ ? levels : count_;
    if (lane() == 0) {
      tile.counts[kWarp] = number + 1 < tiles_ ? memory_.counts[number + 1] : count_;
    }
    __syncwarp();
  }

  template <class Write>
  __device__ void solve_level(int number, const ScannedTile<Cdf>& tile, int level,
                              bool with_density, const Write& write) const {
    int begin = 0, end = kWarp;  // of the items whose count is not below the level
    while (begin < end) {
      const int middle = (begin + end) / 2;
      (tile.levels[middle] <= level ? begin : end) =
          tile.levels[middle] <= level ? middle + 1 : middle;
    }
    const int next = first_of(number) + begin, last = begin > 0 ? begin - 1 : 0;
    const bool has_below = next > 0, has_above = next < count_;
    const double lower = value(has_below ? next - 1 : 0);
    const double upper = value(has_above ? next : count_ - 1);
    const double above = level + 0.5 - next;  // the level, above the items at or below
    const double infinity = std::numeric_limits<double>::infinity();
    const double gap =
        has_below && has_above ? scaled_difference(strength_, upper, lower) : infinity;
    // Measured from the item that the level is nearer to.
    const bool from_upper = has_above && (!has_below || above > 0);
    const auto count_at = [&](double u) {
      const double from_lower = from_upper ? gap + u : u, to_upper = from_upper ? -u : gap - u;
      const double a = has_below ? exp(-from_lower) : 0, b = has_above ? exp(-to_upper) : 0;
      double power_a = a, power_b = b, tails = 0, density = 0;
#pragma unroll 4
      for (int p = 0; p < kTerms; ++p, power_a *= a, power_b *= b) {
        const double of_lower = tile.below[p][last] * power_a;
        const double of_upper = tile.above[p][begin] * power_b;
        tails += terms_.mass[p] * (of_upper - of_lower);
        density += terms_.density[p] * (of_upper + of_lower);
      }
      return Step{tails - above, density};
    };
    // n F(-T) is less than one half, by which a level is above or below a whole number at least. A
    // root at an end should not be missed by a rounding.
    constexpr double kBeyond = 1e-9, kDense = 4;
    const double farthest = 1 + Cdf::reach_of(2.0 * count_, 0);
    const double width = Smaller()(gap, farthest) + kBeyond;
    double guess = 0;
    if (gap <= kDense) {
      const double of_lower = tile.counts[last], of_upper = tile.counts[begin];
      const double share = (level + 0.5 - of_lower) / (of_upper - of_lower);
      guess = gap * (0 <= share && share <= 1 ? share : 0.5);
      if (from_upper) guess -= gap;
    }
    const double u =
        find_root(count_at, guess, from_upper ? -width : -kBeyond, from_upper ? kBeyond : width);
    double point = (from_upper ? upper : lower) + u / strength_;
    if (has_below) point = Larger()(lower, point);
    if (has_above) point = Smaller()(upper, point);
    write(level, point, with_density ? Larger()(0, count_at(u).slope) : 0);
  }

  const TailTerms<Cdf>& terms_;
  Memory memory_;
  int count_, tiles_;
  double strength_;
};

/// Rows, a block each.
template <class Cdf, class Scalar>
__global__ void __launch_bounds__(kMostScanningWarps* kWarp, 3)
    sort_by_scans(Quantile problem, TailTerms<Cdf> terms) {
  using Key = SortKey<Scalar>;
  const auto size = static_cast<int>(problem.size);
  const ScannedSortMemory<Cdf> memory(dynamic_shared_memory(), size);
  auto* const keys = reinterpret_cast<Key*>(memory.of_warps);
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const RowStatistics found = statistics_of<Scalar, 0>(problem, problem.whole(row));
    for (int i = threadIdx.x; i < size; i += blockDim.x) {
      Scalar item;
      const Kind kind = load_item(problem, row, i, item);
      keys[i] = key_of(item, kind == Kind::kFinite);
    }
    bitonic_sort(keys, nullptr, size);
    const auto count = static_cast<int>(found.finite);
    for (int i = threadIdx.x; i < count; i += blockDim.x) {
      memory.values[i] = value_of<Scalar>(keys[i]);
    }
    __syncthreads();
    const ScannedSort<Cdf> sorted(terms, memory, count, problem.regularization_strength);
    sorted.carry();
    const auto first = static_cast<int64_t>(found.below);
    sorted.solve(problem.densities != nullptr, [&](int level, double point, double density) {
      write_point(problem, row, first + level, point, density);
    });
    for (int64_t place = threadIdx.x; place < size; place += blockDim.x) {
      const Wanted wanted = wanted_in_sort(found, place);
      if (!wanted.has_level) write_point(problem, row, place, wanted.point, 0);
    }
    __syncthreads();
  }
}

}  // namespace rank_relax::cuda
