#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/cdf/exponential_sum.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The kernel sums of as many short rows at once as a vector has lanes, each row in a lane, where a
/// CDF's tail is a sum of powers of u = e^-d (core/cdf/exponential_sum.h). The rows are sorted by
/// Batcher's odd-even merge exchange (Knuth, The Art of Computer Programming, vol. 3, 5.2.2M),
/// whose comparisons are the same for all; then the items below each add
///
///     Σ_p c_p S_p,    S_p(i) = e^-pα(x_i - x_(i-1)) (S_p(i-1) + w_(i-1)),
///
/// a scan upwards, and those above a scan downwards. Nothing in it grows with α: sharp rows cost
/// what smooth ones do, O(log² n) an item to sort and O(terms) to sum.
template <class Scalar>
class SortedAbreast {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Wide = Widened<Scalar>;
  static constexpr int kRows = V::kLanes;

 public:
  /// Sorts rows of `size` items, values[j] lane by lane, for a strength in each.
  void set_rows(const V* values, int64_t size, V strength) {
    size_ = size;
    memory_.make_room(8 * size);
    V* from = memory_.data();
    for (V** array :
         {&items_, &places_, &steps_, &fresh_, &counts_, &sums_, directions_, directions_ + 1}) {
      *array = from;
      from += size;
    }
    sort(values);
    const FlushToZero flush;
    find_steps(strength);
  }

  /// sums[i] = base + Σ_j F(d_ij) - 1/2 for the i-th of the sorted items. With half their number as
  /// the base they count the items below, and keep their relative precision where these are few.
  template <class Cdf>
  void centered(Scalar base) {
    using Sum = ExponentialSum<Cdf, Scalar, 0>;
    const FlushToZero flush;
    const V half = V::broadcast(0.5);
    V count = V::broadcast(base);
    const auto one = [](int64_t) { return V::broadcast(1); };
    const auto load = [](const V* items, int64_t i) { return items[i]; };
    scan<Sum, true>(load, one, [&](int64_t i, V tails, V more) RANK_RELAX_ALWAYS_INLINE {
      count = multiply_add(more, half, count);
      counts_[i] = count;
      sums_[i] = tails;
    });
    count = V::broadcast(0);
    scan<Sum, false>(load, one, [&](int64_t i, V tails, V more) RANK_RELAX_ALWAYS_INLINE {
      count = multiply_add(more, half, count);
      sums_[i] = (counts_[i] - count) + (tails - sums_[i]);
    });
  }

  /// sums[i] = Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(d_ij), k = kOrder, for directions v_l in the order
  /// of the rows, which should be centred. In double: the c_p of a derivative are many times the
  /// kernel, with either sign.
  template <class Cdf, int kOrder>
  void derivative(const V* const* directions) {
    const FlushToZero flush;
    for (int l = 0; l < kOrder; ++l) gather(directions[l], directions_[l]);
    wide_sums_.make_room(size_ * kRows);
    std::fill_n(wide_sums_.data(), size_ * kRows, 0.0);
    unroll<Wide::kParts>([&](auto part) {
      unroll<weight_sets(kOrder)>([&](auto subset) { add_subset<Cdf, kOrder, part, subset>(); });
    });
    if constexpr (kOrder == 1) {
      if (has_ties_) add_equals(Cdf::first_derivative(Cdf::coordinate(0.0)));
    }
    for (int64_t i = 0; i < size_; ++i) {
      W parts[Wide::kParts];
      for (int part = 0; part < Wide::kParts; ++part) parts[part] = W::load(wide_sum(i, part));
      sums_[i] = Wide::narrow(parts);
    }
  }

  /// output[row * size + j] = finish(the sum of the row's j-th item).
  template <class Finish>
  void write(const Finish& finish, Scalar* output) const {
    Scalar results[kRows];
    int32_t places[kRows];
    for (int64_t i = 0; i < size_; ++i) {
      finish(sums_[i]).store(results);
      places_[i].store_int32(places);
      for (int row = 0; row < kRows; ++row) output[row * size_ + places[row]] = results[row];
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
            V::put_in_order(items_[i], items_[i + distance], places_[i], places_[i + distance]);
          }
        }
        if (q == p) break;
        distance = q - p;
        remainder = p;
      }
    }
  }

  /// steps[i] = e^-α(x_i - x_(i-1)), fresh[i] whether x_i is more than x_(i-1).
  void find_steps(V strength) {
    constexpr Scalar kFarthest = sizeof(Scalar) == 4 ? 87 : 700;  // e^-d is a normal number
    const V farthest = V::broadcast(kFarthest);
    steps_[0] = fresh_[0] = V::broadcast(0);
    for (int64_t i = 1; i < size_; ++i) {
      fresh_[i] = items_[i] - items_[i - 1];
      steps_[i] = smaller(fresh_[i] * strength, farthest);
    }
    Scalar* fresh = reinterpret_cast<Scalar*>(fresh_);
    Scalar* steps = reinterpret_cast<Scalar*>(steps_);
    for (int64_t i = kRows; i < size_ * kRows; ++i) fresh[i] = fresh[i] > 0 ? 1 : 0;
    for (int64_t i = kRows; i < size_ * kRows; ++i) steps[i] = exponential_decay(steps[i]);
    V least = V::broadcast(1);
    for (int64_t i = 1; i < size_; ++i) least = smaller(least, fresh_[i]);
    has_ties_ = lowest_lane(least) == 0;
  }

  double* wide_sum(int64_t i, int part) { return wide_sums_.data() + i * kRows + part * W::kLanes; }

  /// store(i, Σ_p c_p Σ_j w_j u_ij^p over the items below (above), how much weight more these have
  /// than those of the item before) for item after item, upwards (downwards). Equal items are
  /// neither, and get equal bits. load(items, i) is a vector of what is computed with.
  template <class Sum, bool kUp, class Load, class Weight, class Store>
  void scan(const Load& load, const Weight& weight, const Store& store) const {
    using Number = decltype(weight(0));
    constexpr int kTerms = Sum::kTerms;
    constexpr auto kCoefficients = Sum::kCoefficients;
    const int64_t first = kUp ? 0 : size_ - 1;
    Number state[kTerms];
    unroll<kTerms>([&](auto p) { state[p] = Number::broadcast(0); });
    Number pending = weight(first);  // of the items that are equal to this one
    store(first, Number::broadcast(0), Number::broadcast(0));
    for (int64_t k = 1; k < size_; ++k) {
      const int64_t i = kUp ? k : first - k, gap = kUp ? i : i + 1;
      const Number step = load(steps_, gap), more = load(fresh_, gap) * pending;
      Number power = step, sum = Number::broadcast(0);
      unroll<kTerms>([&](auto p) {
        state[p] = (state[p] + more) * power;
        sum = multiply_add(state[p], Number::broadcast(kCoefficients[p]), sum);
        power = power * step;
      });
      pending = weight(i) + (pending - more);
      store(i, sum, more);
    }
  }

  /// One of the terms of Π_l (v_l[i] - v_l[j]) multiplied out, in some of the rows: the directions
  /// of the subset are taken at j, the others at i.
  template <class Cdf, int kOrder, int kPart, int kSubset>
  void add_subset() {
    using Sum = ExponentialSum<Cdf, Scalar, kOrder>;
    const auto load = [](const V* items, int64_t i) RANK_RELAX_ALWAYS_INLINE {
      W parts[Wide::kParts];
      Wide::load(reinterpret_cast<const Scalar*>(items + i), parts);
      return parts[kPart];
    };
    const auto product = [&](int64_t i, int subset) RANK_RELAX_ALWAYS_INLINE {
      W result = W::broadcast(1);
      unroll<kOrder>([&](auto l) {
        if (subset >> l & 1) result = result * load(directions_[l], i);
      });
      return result;
    };
    constexpr int kOthers = weight_sets(kOrder) - 1 - kSubset;
    constexpr int kAtItems = (kSubset & 1) + (kSubset >> 1 & 1);
    constexpr double kSign = kAtItems % 2 == 0 ? 1 : -1;
    constexpr double kAbove = kOrder % 2 == 0 ? -kSign : kSign;  // F^(k) is odd, or even
    const auto weight = [&](int64_t i) RANK_RELAX_ALWAYS_INLINE { return product(i, kSubset); };
    const auto add = [&](int64_t i, double sign, W sum) RANK_RELAX_ALWAYS_INLINE {
      double* to = wide_sum(i, kPart);
      multiply_add(product(i, kOthers) * W::broadcast(sign), sum, W::load(to)).store(to);
    };
    scan<Sum, true>(load, weight,
                    [&](int64_t i, W sum, W) RANK_RELAX_ALWAYS_INLINE { add(i, kSign, sum); });
    scan<Sum, false>(load, weight,
                     [&](int64_t i, W sum, W) RANK_RELAX_ALWAYS_INLINE { add(i, kAbove, sum); });
  }

  /// Adds what equal items are to each other, F'(0) Σ_j (v_i - v_j): the scans leave them out.
  void add_equals(double slope) {
    for (int row = 0; row < kRows; ++row) {
      const auto at = [row](const V* items, int64_t i) -> double {
        return reinterpret_cast<const Scalar*>(items + i)[row];
      };
      for (int64_t begin = 0, end = 0; begin < size_; begin = end) {
        double total = at(directions_[0], begin);
        for (end = begin + 1; end < size_ && at(fresh_, end) == 0; ++end) {
          total += at(directions_[0], end);
        }
        if (end - begin == 1) continue;
        const double equals = static_cast<double>(end - begin);
        for (int64_t i = begin; i < end; ++i) {
          wide_sums_.data()[i * kRows + row] += slope * (at(directions_[0], i) * equals - total);
        }
      }
    }
  }

  void gather(const V* from, V* sorted) const {
    const Scalar* items = reinterpret_cast<const Scalar*>(from);
    int32_t places[kRows];
    Scalar gathered[kRows];
    for (int64_t i = 0; i < size_; ++i) {
      places_[i].store_int32(places);
      for (int row = 0; row < kRows; ++row) gathered[row] = items[places[row] * kRows + row];
      sorted[i] = V::load(gathered);
    }
  }

  int64_t size_ = 0;
  bool has_ties_ = false;
  AlignedArray<V> memory_;
  V *items_, *places_;  // sorted, and where they stood
  V *steps_, *fresh_;
  V *counts_, *sums_, *directions_[2];
  AlignedArray<double> wide_sums_;  // [item][row]
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
