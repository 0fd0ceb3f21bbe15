#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/aligned_array.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// As many rows at once as a vector has lanes, each row sorted in a lane by Batcher's odd-even
/// merge exchange (Knuth, The Art of Computer Programming, vol. 3, 5.2.2M), whose comparisons are
/// the same for all; with the decays e^-α(x_i - x_(i-1)) that scans over sorted rows need. Doubles
/// are of one item after another, and of each the rows.
template <class Scalar>
class SortedLanes {
  using V = Vector<Scalar>;

 public:
  static constexpr int kRows = V::kLanes;

  /// Sorts rows of `size` items, values[j] lane by lane. No difference within a row may overflow in
  /// double.
  void set_rows(const V* values, int64_t size, const double* strengths) {
    size_ = size;
    vectors_.make_room(2 * size);
    items_ = vectors_.data();
    places_ = items_ + size;
    doubles_.make_room(2 * size * kRows);
    steps_ = doubles_.data();
    fresh_ = steps_ + size * kRows;
    sort(values);
    find_steps(strengths);
  }

  int64_t size() const { return size_; }

  const Scalar* item(int64_t i) const { return reinterpret_cast<const Scalar*>(items_ + i); }

  /// Where the rows' i-th items stood.
  void places_of(int64_t i, int32_t* places) const { places_[i].store_int32(places); }

  /// e^-α(x_i - x_(i-1)), and 0 for i = 0.
  const double* steps(int64_t i) const { return steps_ + i * kRows; }

  /// 1 where x_i is more than x_(i-1), else 0; and whether it is 0 anywhere.
  const double* fresh(int64_t i) const { return fresh_ + i * kRows; }
  bool has_ties() const { return has_ties_; }

  /// sorted[i], lane by lane: what of `from` stood where the i-th items did.
  void gather(const V* from, V* sorted) const {
    const Scalar* items = reinterpret_cast<const Scalar*>(from);
    int32_t places[kRows];
    Scalar gathered[kRows];
    for (int64_t i = 0; i < size_; ++i) {
      places_of(i, places);
      for (int row = 0; row < kRows; ++row) gathered[row] = items[places[row] * kRows + row];
      sorted[i] = V::load(gathered);
    }
  }

 private:
  void sort(const V* values) {
    std::copy(values, values + size_, items_);
    for (int64_t j = 0; j < size_; ++j) places_[j] = V::broadcast(static_cast<Scalar>(j));
    int64_t top = 1;
    while (2 * top < size_) top *= 2;
    for (int64_t p = top; p > 0; p /= 2) {
      int64_t remainder = 0, distance = p;
      for (int64_t q = top;; q /= 2) {
        // Items whose bit p is that of the remainder, with those at that distance.
        for (int64_t first = remainder; first + distance < size_; first += 2 * p) {
          const int64_t end = std::min(first + p, size_ - distance);
          for (int64_t i = first; i < end; ++i) {
            put_in_order(items_[i], items_[i + distance], places_[i], places_[i + distance]);
          }
        }
        if (q == p) break;
        distance = q - p;
        remainder = p;
      }
    }
  }

  /// Not while results are flushed to 0: a difference of different items is never 0.
  void find_steps(const double* strengths) {
    std::fill_n(steps_, kRows, 0.0);
    std::fill_n(fresh_, kRows, 0.0);
    double least = 1;
    for (int64_t i = 1; i < size_; ++i) {
      for (int row = 0; row < kRows; ++row) {
        const int64_t here = i * kRows + row;
        const double gap =
            static_cast<double>(item(i)[row]) - static_cast<double>(item(i - 1)[row]);
        steps_[here] = gap * strengths[row];
        fresh_[here] = gap > 0 ? 1 : 0;
        least = fresh_[here] < least ? fresh_[here] : least;
      }
    }
    decay_all(steps_ + kRows, (size_ - 1) * kRows);
    has_ties_ = least == 0;
  }

  int64_t size_ = 0;
  bool has_ties_ = false;
  AlignedArray<V> vectors_;
  V *items_, *places_;
  AlignedArray<double> doubles_;
  double *steps_, *fresh_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
