#pragma once

#include <algorithm>
#include <cstdint>

#include "core/cdf/exponential_sum.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/isa/widened.h"
#include "cpu/sort/sorted_lanes.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The kernel sums of as many short rows at once as a vector has lanes, each row in a lane, where a
/// CDF's tail is a sum of powers of u = e^-d (core/cdf/exponential_sum.h). The rows are sorted
/// (sort/sorted_lanes.h); then the items below each add
///
///     Σ_p c_p S_p,    S_p(i) = e^-pα(x_i - x_(i-1)) (S_p(i-1) + w_(i-1)),
///
/// a scan upwards, and those above a scan downwards: O(log² n) an item to sort and O(terms) to sum,
/// at any strength. Scans are in double, as each step rounds what the one before has left.
template <class Scalar>
class SortedAbreast {
  using V = Vector<Scalar>;
  using W = Vector<double>;
  using Wide = Widened<Scalar>;
  static constexpr int kRows = V::kLanes;

 public:
  /// Sorts rows of `size` items, values[j] lane by lane, for a strength in each. No difference
  /// within a row may overflow in double.
  void set_rows(const V* values, int64_t size, const double* strengths) {
    rows_.set_rows(values, size, strengths);
    vectors_.make_room(2 * size);
    for (int l = 0; l < 2; ++l) directions_[l] = vectors_.data() + l * size;
    doubles_.make_room(2 * size * kRows);
    counts_ = doubles_.data();
    sums_ = counts_ + size * kRows;
  }

  /// The i-th of the sorted items has the sum base + Σ_j F(d_ij) - 1/2. With half their number as
  /// the base they count the items below, and keep their relative precision where these are few.
  template <class Cdf>
  void centered(double base) {
    using Sum = ExponentialSum<Cdf, Scalar, 0>;
    const FlushToZero flush;
    const W half = W::broadcast(0.5);
    const auto one = [](int64_t) { return W::broadcast(1); };
    unroll<Wide::kParts>([&](auto part) {
      W count = W::broadcast(base);
      scan<Sum, true, part>(one, [&](int64_t i, W tails, W more) RANK_RELAX_ALWAYS_INLINE {
        count = multiply_add(more, half, count);
        count.store(counts_ + at(i, part));
        tails.store(sums_ + at(i, part));
      });
      count = W::broadcast(0);
      scan<Sum, false, part>(one, [&](int64_t i, W tails, W more) RANK_RELAX_ALWAYS_INLINE {
        count = multiply_add(more, half, count);
        double* sum = sums_ + at(i, part);
        ((W::load(counts_ + at(i, part)) - count) + (tails - W::load(sum))).store(sum);
      });
    });
  }

  /// It has Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(d_ij), k = kOrder, for directions v_l in the order of
  /// the rows, which should be centred.
  template <class Cdf, int kOrder>
  void derivative(const V* const* directions) {
    const FlushToZero flush;
    for (int l = 0; l < kOrder; ++l) rows_.gather(directions[l], directions_[l]);
    std::fill_n(sums_, rows_.size() * kRows, 0.0);
    unroll<Wide::kParts>([&](auto part) {
      unroll<weight_sets(kOrder)>([&](auto subset) { add_subset<Cdf, kOrder, part, subset>(); });
    });
    if constexpr (kOrder == 1) {
      if (rows_.has_ties()) add_equals(Cdf::first_derivative(Cdf::coordinate(0.0)));
    }
  }

  /// output[row * size + j] = finish(the sum of the row's j-th item).
  template <class Finish>
  void write(const Finish& finish, Scalar* output) const {
    Scalar results[kRows];
    int32_t places[kRows];
    for (int64_t i = 0; i < rows_.size(); ++i) {
      W parts[Wide::kParts];
      for (int part = 0; part < Wide::kParts; ++part) parts[part] = W::load(sums_ + at(i, part));
      finish(Wide::narrow(parts)).store(results);
      rows_.places_of(i, places);
      for (int row = 0; row < kRows; ++row) output[row * rows_.size() + places[row]] = results[row];
    }
  }

 private:
  /// Where the doubles of an item begin, for one part of the rows.
  static int64_t at(int64_t i, int part) { return i * kRows + part * W::kLanes; }

  /// store(i, Σ_p c_p Σ_j w_j u_ij^p over the items below (above), how much weight more these have
  /// than those of the item before) for item after item, upwards (downwards). Equal items are
  /// neither, and get equal bits.
  template <class Sum, bool kUp, int kPart, class Weight, class Store>
  void scan(const Weight& weight, const Store& store) const {
    constexpr int kTerms = Sum::kTerms;
    constexpr auto kCoefficients = Sum::kCoefficients;
    const int64_t first = kUp ? 0 : rows_.size() - 1;
    W state[kTerms];
    unroll<kTerms>([&](auto p) { state[p] = W::broadcast(0); });
    W pending = weight(first);  // of the items that are equal to this one
    store(first, W::broadcast(0), W::broadcast(0));
    for (int64_t k = 1; k < rows_.size(); ++k) {
      const int64_t i = kUp ? k : first - k, gap = kUp ? i : i + 1;
      const W step = W::load(rows_.steps(gap) + kPart * W::kLanes);
      const W more = W::load(rows_.fresh(gap) + kPart * W::kLanes) * pending;
      W power = step, sum = W::broadcast(0);
      unroll<kTerms>([&](auto p) {
        state[p] = (state[p] + more) * power;
        sum = multiply_add(state[p], W::broadcast(kCoefficients[p]), sum);
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
    const auto product = [&](int64_t i, int subset) RANK_RELAX_ALWAYS_INLINE {
      W result = W::broadcast(1);
      unroll<kOrder>([&](auto l) {
        if (!(subset >> l & 1)) return;
        W parts[Wide::kParts];
        Wide::load(reinterpret_cast<const Scalar*>(directions_[l] + i), parts);
        result = result * parts[kPart];
      });
      return result;
    };
    constexpr int kOthers = weight_sets(kOrder) - 1 - kSubset;
    constexpr int kAtItems = (kSubset & 1) + (kSubset >> 1 & 1);
    constexpr double kSign = kAtItems % 2 == 0 ? 1 : -1;
    constexpr double kAbove = kOrder % 2 == 0 ? -kSign : kSign;  // F^(k) is odd, or even
    const auto weight = [&](int64_t i) RANK_RELAX_ALWAYS_INLINE { return product(i, kSubset); };
    const auto add = [&](int64_t i, double sign, W sum) RANK_RELAX_ALWAYS_INLINE {
      double* to = sums_ + at(i, kPart);
      multiply_add(product(i, kOthers) * W::broadcast(sign), sum, W::load(to)).store(to);
    };
    scan<Sum, true, kPart>(
        weight, [&](int64_t i, W sum, W) RANK_RELAX_ALWAYS_INLINE { add(i, kSign, sum); });
    scan<Sum, false, kPart>(
        weight, [&](int64_t i, W sum, W) RANK_RELAX_ALWAYS_INLINE { add(i, kAbove, sum); });
  }

  /// Adds what equal items are to each other, F'(0) Σ_j (v_i - v_j): the scans leave them out.
  void add_equals(double slope) {
    const Scalar* directions = reinterpret_cast<const Scalar*>(directions_[0]);
    for (int row = 0; row < kRows; ++row) {
      const auto direction = [&](int64_t i) -> double { return directions[i * kRows + row]; };
      for (int64_t begin = 0, end = 0; begin < rows_.size(); begin = end) {
        double total = direction(begin);
        for (end = begin + 1; end < rows_.size() && rows_.fresh(end)[row] == 0; ++end) {
          total += direction(end);
        }
        if (end - begin == 1) continue;
        const double equals = static_cast<double>(end - begin);
        for (int64_t i = begin; i < end; ++i) {
          sums_[i * kRows + row] += slope * (direction(i) * equals - total);
        }
      }
    }
  }

  SortedLanes<Scalar> rows_;
  AlignedArray<V> vectors_;
  V* directions_[2];
  AlignedArray<double> doubles_;  // [item][row]
  double *counts_, *sums_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
