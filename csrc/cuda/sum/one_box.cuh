#pragma once

#include <cstdint>

#include "cuda/launch/block.cuh"
#include "cuda/row/row_plan.cuh"

namespace rank_relax::cuda {

// The kernel sum of a narrow row as one series over its whole spread, O(terms) an item:
//
//     moments[l] = Σ_j w_j T_l(t_j)              t = α (x - centre) / half_width, in [-1, 1]
//     local[k]   = Σ_l c[l][k] moments[l]
//     Σ_j w_j K(α (x_i - x_j)) = Σ_k local[k] T_k(t_i)
//
// for each of the sets of weights 1, v, w, v w that an order needs (cpu/sum/weighted_sums.h). The
// three stages are functions of a block, for rows that have a block or several.

template <int kOrder>
constexpr int kSets = 1 << kOrder;

/// Numbers of a set, moments or local coefficients.
constexpr int kSetTerms = kMostTerms;

template <class Scalar>
__device__ Scalar one_box_coordinate(const RowPlan& plan, Scalar value) {
  return static_cast<Scalar>(((value - plan.center) - plan.rest) * plan.strength *
                             plan.per_half_width);
}

/// The weights of the sets but the first, at an item.
template <class Scalar, int kOrder, class Weight>
__device__ void weights_at(const KernelSum& problem, const RowPlan& plan, int64_t row, int64_t i,
                           Weight* weights) {
#pragma unroll
  for (int l = 0; l < kOrder; ++l) {
    weights[1 << l] =
        static_cast<Weight>(plan.directions[l](load<Scalar>(problem.directions[l], row, i)));
  }
  if constexpr (kOrder == 2) weights[3] = weights[1] * weights[2];
}

/// Σ_j Π_l (v_l[i] - v_l[j]) K_ij from the sums of the sets, and the weights at i.
template <int kOrder, class T>
__device__ T combine(const T* sums, const T* weights) {
  if constexpr (kOrder == 0) {
    return sums[0];
  } else if constexpr (kOrder == 1) {
    return weights[1] * sums[0] - sums[1];
  } else {
    return weights[2] * (weights[1] * sums[0] - sums[1]) - (weights[1] * sums[2] - sums[3]);
  }
}

/// Adds a thread's few items to `moments` of its warp, [set][l]. T_l and T_{l-1} of the items stay
/// in registers; eight terms at a time are summed over the lanes.
template <class Scalar, int kOrder, int kItems>
__device__ void add_few_items(const Scalar (&twice)[kItems], Scalar (&current)[kItems],
                              Scalar (&previous)[kItems],
                              const Scalar (&weights)[kItems][kSets<kOrder>], int terms,
                              double* moments) {
  constexpr int kEight = 8;
  for (int first = 0; first < terms; first += kEight) {
    Scalar sums[kSets<kOrder>][kEight] = {};
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
#pragma unroll
      for (int l = 0; l < kEight; ++l) {
        sums[0][l] += current[m];
#pragma unroll
        for (int set = 1; set < kSets<kOrder>; ++set) sums[set][l] += weights[m][set] * current[m];
        const Scalar next = twice[m] * current[m] - previous[m];
        previous[m] = current[m];
        current[m] = next;
      }
    }
#pragma unroll
    for (int set = 0; set < kSets<kOrder>; ++set) {
      const Scalar sum = sum_eight_over_lanes(sums[set]);
      if (lane() % 4 == 0) moments[set * kSetTerms + first + lane() / 4] += sum;
    }
  }
}

/// The moments of items [begin, end), by the threads of a block, into `moments` in shared memory.
/// `of_warps` holds as much for each warp.
template <class Scalar, int kOrder>
__device__ void one_box_moments(const KernelSum& problem, const RowPlan& plan,
                                const ItemRange& items, double* of_warps, double* moments) {
  const int64_t row = items.row, end = items.end;
  // As many as registers hold.
  constexpr int kItems =
      sizeof(Scalar) == 4 ? (kOrder == 0 ? 8 : 6 - 2 * kOrder) : (kOrder == 0 ? 4 : 2);
  constexpr int kNumbers = kSets<kOrder> * kSetTerms;
  for (int i = threadIdx.x; i < warps() * kNumbers; i += blockDim.x) of_warps[i] = 0;
  __syncthreads();
  for (int64_t base = items.begin; base < end; base += int64_t{kItems} * blockDim.x) {
    Scalar twice[kItems], current[kItems], previous[kItems], weights[kItems][kSets<kOrder>];
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      const int64_t i = base + threadIdx.x + int64_t{m} * blockDim.x;
      Scalar value = 0;
      const bool counts = i < end && load_item(problem, row, i, value) == Kind::kFinite;
      // An item that does not count has T_l = 0 for all l.
      const Scalar t = counts ? one_box_coordinate(plan, value) : Scalar(0);
      current[m] = counts ? Scalar(1) : Scalar(0);
      previous[m] = t;
      twice[m] = 2 * t;
      for (int set = 1; set < kSets<kOrder>; ++set) weights[m][set] = 0;
      if (counts) weights_at<Scalar, kOrder>(problem, plan, row, i, weights[m]);
    }
    add_few_items<Scalar, kOrder, kItems>(twice, current, previous, weights, plan.terms,
                                          of_warps + warp() * kNumbers);
  }
  __syncthreads();
  for (int i = threadIdx.x; i < kNumbers; i += blockDim.x) {
    double sum = of_warps[i];
    for (int w = 1; w < warps(); ++w) sum += of_warps[w * kNumbers + i];
    moments[i] = sum;
  }
  __syncthreads();
}

/// local[set][k] from moments[set][l], both in shared memory. The coefficients that vanish by K's
/// parity are skipped: those with k + l even for orders 0 and 2, odd for order 1.
template <class Scalar, int kOrder>
__device__ void one_box_translate(const SeriesTables& tables, const RowPlan& plan,
                                  const double* moments, Scalar* local) {
  const double* coefficients = tables.one_box[plan.which];
  const int row_size = tables.row_size[plan.which];
  for (int i = threadIdx.x; i < kSets<kOrder> * plan.terms; i += blockDim.x) {
    const int set = i / plan.terms, k = i % plan.terms;
    double sum = 0;
    for (int l = (k + kOrder + 1) % 2; l < plan.terms; l += 2) {
      sum += coefficients[l * row_size + k] * moments[set * kSetTerms + l];
    }
    if (kOrder == 0 && k == 0) sum += plan.base;
    local[set * kSetTerms + k] = static_cast<Scalar>(sum);
  }
  __syncthreads();
}

/// Σ_k local[set][k] T_k(t) of a few items, by Clenshaw's recurrence.
template <class Scalar, int kOrder, int kItems>
__device__ void one_box_series_at(const Scalar (&t)[kItems], int terms, const Scalar* local,
                                  Scalar (&sums)[kItems][kSets<kOrder>]) {
#pragma unroll
  for (int set = 0; set < kSets<kOrder>; ++set) {
    const Scalar* coefficients = local + set * kSetTerms;
    Scalar next[kItems] = {}, after_next[kItems] = {};
    for (int k = terms - 1; k > 0; --k) {
      const Scalar coefficient = coefficients[k];
#pragma unroll
      for (int m = 0; m < kItems; ++m) {
        const Scalar here = 2 * t[m] * next[m] + (coefficient - after_next[m]);
        after_next[m] = next[m];
        next[m] = here;
      }
    }
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      sums[m][set] = t[m] * next[m] + (coefficients[0] - after_next[m]);
    }
  }
}

/// The results of items [begin, end), by the threads of a block.
template <class Scalar, int kOrder>
__device__ void one_box_evaluate(const KernelSum& problem, const RowPlan& plan,
                                 const ItemRange& items, const Scalar* local) {
  const int64_t row = items.row, end = items.end;
  constexpr int kItems = 4 >> kOrder;  // a recurrence for each and each of the sets
  for (int64_t base = items.begin + threadIdx.x; base < end; base += int64_t{kItems} * blockDim.x) {
    Kind kinds[kItems];
    Scalar t[kItems], sums[kItems][kSets<kOrder>];
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      const int64_t i = base + int64_t{m} * blockDim.x;
      Scalar value = 0;
      kinds[m] = i < end ? load_item(problem, row, i, value) : Kind::kMasked;
      t[m] = kinds[m] == Kind::kFinite ? one_box_coordinate(plan, value) : Scalar(0);
    }
    one_box_series_at<Scalar, kOrder, kItems>(t, plan.terms, local, sums);
#pragma unroll
    for (int m = 0; m < kItems; ++m) {
      const int64_t i = base + int64_t{m} * blockDim.x;
      if (i >= end) continue;
      Scalar weights[kSets<kOrder>] = {};
      if (kinds[m] == Kind::kFinite) weights_at<Scalar, kOrder>(problem, plan, row, i, weights);
      write_result<Scalar>(problem, plan, row, i, kinds[m], combine<kOrder>(sums[m], weights));
    }
  }
}

/// The results of items [begin, end) of a row whose sums are all 0, or that has no finite item.
template <class Scalar>
__device__ void write_without_sums(const KernelSum& problem, const RowPlan& plan,
                                   const ItemRange& items) {
  const int64_t row = items.row, end = items.end;
  for (int64_t i = items.begin + threadIdx.x; i < end; i += blockDim.x) {
    Scalar value;
    const Kind kind = load_item(problem, row, i, value);
    write_result<Scalar>(problem, plan, row, i, kind, plan.base);
  }
}

}  // namespace rank_relax::cuda
