#pragma once

#include <cstdint>
#include <limits>

#include "cuda/inverse/quantile_row.cuh"
#include "cuda/inverse/soft_topk_row.cuh"
#include "cuda/inverse/topk_threshold.cuh"
#include "cuda/sort/block_sort.cuh"

namespace rank_relax::cuda {

// Masks of rows that several blocks share. Each stage is a kernel of [rows * parts] blocks, for
// parts whose number the shape fixes; what it leaves for the next is a few numbers a part, from
// which each block of that finds the same as the others.
//
// The item around which the search is made comes from counts of the digits of all keys, one digit
// after the other.

constexpr int kDigitBits = 8;
constexpr int kDigits = 1 << kDigitBits;

template <class Scalar>
constexpr int kKeyDigits = 8 * sizeof(Scalar) / kDigitBits;

/// What is known of the key at a place after some digits.
template <class Scalar>
struct KeyPrefix {
  SortKey<Scalar> digits;  // the first ones
  uint32_t place;          // among the items that begin so
  uint32_t items;          // how many these are
};

/// Memory of rows between the kernels until the item is found.
template <class Scalar>
struct TopKSelection {
  QuantileParts parts;
  RowStatistics* statistics = nullptr;    // [row][part]
  TopKCounts* counts = nullptr;           // [row]
  uint32_t* digit_counts = nullptr;       // [row][digit of the key][kDigits]
  KeyPrefix<Scalar>* prefixes = nullptr;  // [row][digit of the key]
  double* next = nullptr;                 // [row][part], the least item above

  __device__ TopKShare share_of(int64_t row) const { return TopKShare(counts[row]); }
  __device__ uint32_t* digit_counts_of(int64_t row, int digit) const {
    return digit_counts + (row * kKeyDigits<Scalar> + digit) * kDigits;
  }
  __device__ KeyPrefix<Scalar>* prefixes_of(int64_t row) const {
    return prefixes + row * kKeyDigits<Scalar>;
  }
};

/// And from then on.
template <class Cdf, class Scalar>
struct LongTopKRows : TopKSelection<Scalar> {
  using Search = TopKSearch<Cdf, Scalar>;

  Search* searches = nullptr;           // [row][step % 2]
  double* sums = nullptr;               // [row][step % 2][part][kSums]
  TopKThreshold* thresholds = nullptr;  // [row]

  explicit LongTopKRows(const QuantileParts& parts) : TopKSelection<Scalar>{parts} {}

  __device__ double* sums_of(int64_t row, int step) const {
    return sums + (row * 2 + step % 2) * this->parts.count * Search::kSums;
  }
};

/// add(x) for the finite items of this thread of a part.
template <class Scalar, class Add>
__device__ void for_finite_items(const SoftTopK& problem, const ItemRange& items, const Add& add) {
  for (int64_t i = items.begin + threadIdx.x; i < items.end; i += blockDim.x) {
    Scalar value;
    if (load_item(problem, items.row, i, value) == Kind::kFinite) add(value);
  }
}

/// First: what is in every part, and no digits counted yet.
template <class Scalar>
__global__ void count_topk_items(SoftTopK problem, TopKSelection<Scalar> rows) {
  const RowStatistics found = statistics_of<Scalar, 0>(problem, rows.parts.range());
  if (threadIdx.x == 0) rows.statistics[blockIdx.x] = found;
  uint32_t* counts = rows.digit_counts_of(rows.parts.row(), 0);
  const int64_t step = rows.parts.count * blockDim.x;
  for (int64_t i = rows.parts.number() * blockDim.x + threadIdx.x; i < kKeyDigits<Scalar> * kDigits;
       i += step) {
    counts[i] = 0;
  }
}

/// What is known of the key once a digit has been counted. By a block, for all threads.
template <class Scalar>
__device__ KeyPrefix<Scalar> next_prefix(const KeyPrefix<Scalar>& prefix, const uint32_t* counts) {
  __shared__ KeyPrefix<Scalar> next;
  if (threadIdx.x == 0) next = prefix;  // of a row that another kernel has written to meanwhile
  __syncthreads();
  int64_t before = 0;
  for (int first = 0; first < kDigits; first += blockDim.x) {
    const int d = first + static_cast<int>(threadIdx.x);
    const int64_t here = d < kDigits ? counts[d] : 0;
    int64_t total;
    const int64_t up_to = before + scan_in_block(here, Sum(), total);
    const int64_t below = up_to - here, place = prefix.place;
    if (below <= place && place < up_to) {
      next = {(prefix.digits << kDigitBits) | static_cast<SortKey<Scalar>>(d),
              static_cast<uint32_t>(place - below), static_cast<uint32_t>(here)};
    }
    before += total;
  }
  __syncthreads();
  return next;
}

/// What is known of the key of a row before a digit is counted. By a block, for all threads.
template <class Scalar>
__device__ KeyPrefix<Scalar> prefix_before(const TopKSelection<Scalar>& rows,
                                           const TopKShare& share, int64_t row, int digit) {
  KeyPrefix<Scalar>* prefixes = rows.prefixes_of(row);
  KeyPrefix<Scalar> prefix = {0, static_cast<uint32_t>(ceil(share.level)) - 1, 0};
  if (digit > 0) {
    prefix = next_prefix(prefixes[digit - 1], rows.digit_counts_of(row, digit - 1));
  }
  if (digit < kKeyDigits<Scalar> && rows.parts.number() == 0 && threadIdx.x == 0) {
    prefixes[digit] = prefix;
  }
  return prefix;
}

/// Second, a block a row: what the row's items share.
template <class Scalar>
__global__ void plan_topk(SoftTopK problem, TopKSelection<Scalar> rows) {
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    RowStatistics found;
    found.clear();
    for (int64_t part = threadIdx.x; part < rows.parts.count; part += blockDim.x) {
      found.take_in(rows.statistics[row * rows.parts.count + part], 0);
    }
    found.reduce(0);
    if (threadIdx.x == 0) {
      rows.counts[row] = {found.finite,  found.below,   found.above,
                          found.minimum, found.maximum, load<double>(problem.numbers, row, 0)};
    }
  }
}

/// Then, for each digit of the keys from the first on: how many items have which.
template <class Scalar>
__global__ void count_topk_digits(SoftTopK problem, TopKSelection<Scalar> rows, int digit) {
  __shared__ uint32_t counts[kDigits];
  const int64_t row = rows.parts.row();
  const TopKShare share = rows.share_of(row);
  if (!share.has_level) return;
  const KeyPrefix<Scalar> prefix = prefix_before(rows, share, row, digit);
  for (int d = threadIdx.x; d < kDigits; d += blockDim.x) counts[d] = 0;
  __syncthreads();
  const int shift = (kKeyDigits<Scalar> - 1 - digit) * kDigitBits;
  for_finite_items<Scalar>(problem, rows.parts.range(), [&](Scalar x) {
    const SortKey<Scalar> digits = key_of(x, true) >> shift;
    if (digits >> kDigitBits != prefix.digits) return;
    atomicAdd(counts + static_cast<int>(digits & (kDigits - 1)), 1U);
  });
  __syncthreads();
  uint32_t* of_row = rows.digit_counts_of(row, digit);
  for (int d = threadIdx.x; d < kDigits; d += blockDim.x) {
    if (counts[d] > 0) atomicAdd(of_row + d, counts[d]);
  }
}

/// Then the least item above that one.
template <class Scalar>
__global__ void find_next_topk_item(SoftTopK problem, TopKSelection<Scalar> rows) {
  const int64_t row = rows.parts.row();
  const TopKShare share = rows.share_of(row);
  if (!share.has_level) return;
  const KeyPrefix<Scalar> prefix = prefix_before(rows, share, row, kKeyDigits<Scalar>);
  const auto item = value_of<Scalar>(prefix.digits);
  const bool is_last = prefix.place + 1 >= prefix.items;  // of equal ones
  double least = std::numeric_limits<double>::infinity();
  if (is_last && share.level == floor(share.level)) {
    for_finite_items<Scalar>(problem, rows.parts.range(), [&](Scalar x) {
      if (x > item) least = Smaller()(least, x);
    });
    least = reduce_in_block(least, Smaller());
  } else {
    least = item;
  }
  if (threadIdx.x == 0) rows.next[blockIdx.x] = least;
}

/// The search of a row before a step; step 0 begins it. By a block, for all threads.
template <class Cdf, class Scalar>
__device__ TopKSearch<Cdf, Scalar> search_before(const SoftTopK& problem,
                                                 const LongTopKRows<Cdf, Scalar>& rows,
                                                 const TopKShare& share, int64_t row, int step) {
  using Search = TopKSearch<Cdf, Scalar>;
  const int64_t count = rows.parts.count;
  if (step == 0) {
    const KeyPrefix<Scalar> prefix = next_prefix(rows.prefixes_of(row)[kKeyDigits<Scalar> - 1],
                                                 rows.digit_counts_of(row, kKeyDigits<Scalar> - 1));
    double next = std::numeric_limits<double>::infinity();
    for (int64_t part = threadIdx.x; part < count; part += blockDim.x) {
      next = Smaller()(next, rows.next[row * count + part]);
    }
    next = reduce_in_block(next, Smaller());
    return Search(value_of<Scalar>(prefix.digits), next, rows.counts[row].finite,
                  problem.regularization_strength, share.level);
  }
  Search search = rows.searches[row * 2 + (step - 1) % 2];
  if (search.has_ended()) return search;
  const double* of_parts = rows.sums_of(row, step - 1);
  double sums[Search::kSums] = {};
  for (int64_t part = threadIdx.x; part < count; part += blockDim.x) {
    for (int l = 0; l < Search::kSums; ++l) sums[l] += of_parts[part * Search::kSums + l];
  }
  for (double& sum : sums) sum = reduce_in_block(sum, Sum());
  search.take(sums);
  return search;
}

/// What the items of a part add at the point of a search. By a block, for all threads.
template <class Cdf, class Scalar>
__device__ void add_part(const SoftTopK& problem, const ItemRange& items,
                         const TopKSearch<Cdf, Scalar>& search,
                         double (&sums)[TopKSearch<Cdf, Scalar>::kSums]) {
  search.add_items([&](const auto& add) { for_finite_items<Scalar>(problem, items, add); }, sums);
  add_lanes(search.in_single(), sums);
  __shared__ BlockTeam::Memory memory;
  __syncthreads();  // the sums before these are read
  BlockTeam(memory).add_warps(sums);
}

/// Then a number of steps of the search, which are nothing once it has ended.
template <class Cdf, class Scalar>
__global__ void take_topk_step(SoftTopK problem, LongTopKRows<Cdf, Scalar> rows, int step) {
  using Search = TopKSearch<Cdf, Scalar>;
  const int64_t row = rows.parts.row();
  const TopKShare share = rows.share_of(row);
  if (!share.has_level) return;
  const Search search = search_before(problem, rows, share, row, step);
  if (rows.parts.number() == 0 && threadIdx.x == 0) rows.searches[row * 2 + step % 2] = search;
  if (search.has_ended()) return;
  double sums[Search::kSums];
  add_part(problem, rows.parts.range(), search, sums);
  if (threadIdx.x != 0) return;
  double* of_part = rows.sums_of(row, step) + rows.parts.number() * Search::kSums;
  for (int l = 0; l < Search::kSums; ++l) of_part[l] = sums[l];
}

/// Then the end of the search, a block a row, which makes what steps are left.
template <class Cdf, class Scalar>
__global__ void end_topk_search(SoftTopK problem, LongTopKRows<Cdf, Scalar> rows, int steps) {
  using Search = TopKSearch<Cdf, Scalar>;
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const TopKShare share = rows.share_of(row);
    if (!share.has_level) continue;
    Search search = search_before(problem, rows, share, row, steps);
    while (!search.has_ended()) {
      double sums[Search::kSums];
      add_part(problem, problem.whole(row), search, sums);
      search.take(sums);
    }
    if (threadIdx.x == 0) rows.thresholds[row] = search.threshold();
  }
}

/// Last: the shares and densities.
template <class Cdf, class Scalar>
__global__ void write_long_topk(SoftTopK problem, LongTopKRows<Cdf, Scalar> rows) {
  const ItemRange items = rows.parts.range();
  const TopKShare share = rows.share_of(items.row);
  const TopKThreshold threshold = rows.thresholds[items.row];
  for (int64_t i = items.begin + threadIdx.x; i < items.end; i += blockDim.x) {
    Scalar value;
    const Kind kind = load_item(problem, items.row, i, value);
    if (kind == Kind::kFinite) {
      write_share<Cdf>(problem, share, threshold, items.row * problem.size + i, value);
    } else {
      write_without_search(problem, share, items.row, i, kind);
    }
  }
}

}  // namespace rank_relax::cuda
