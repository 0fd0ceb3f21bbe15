#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "core/cdf/capabilities.h"
#include "core/row/row_form.h"
#include "core/row/scaled_spread.h"
#include "core/series/box_series.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/row/rows.h"
#include "cpu/row/rows_in_lanes.h"
#include "cpu/sum/one_box.h"
#include "cpu/sum/sorted_abreast.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft ranks and their derivatives of as many short rows at once as a vector has lanes, each row
/// in a lane: the series of OneBox with nothing to add across lanes, and one translation for all;
/// or, where rows are too wide for that, the scans of sorted_abreast.h. Only for finite values
/// without a mask; other rows are refused.
template <class Scalar>
class RowsAbreast {
  using V = Vector<Scalar>;
  static constexpr Precision kPrecision = precision_of<Scalar>;
  static constexpr Scalar kComfortable = 1e12;  // size of directions and of factors

  // In two lanes it takes more time than row by row.
  template <class Cdf, int kOrder>
  static constexpr bool kSorts = kMostScannedOrder<Cdf> >= kOrder && V::kLanes >= 4;

 public:
  static constexpr int kRows = V::kLanes;

  /// Whether rows of a batch go abreast: longer ones only to be sorted, as the first of them says,
  /// and where there are enough groups of them for many threads.
  template <class Cdf>
  static bool suits(const SoftBatch<Scalar>& batch) {
    if (batch.mask.data != nullptr || batch.size < 2 || batch.count < kRows) return false;
    if (batch.size <= kLongestAbreast) return true;
    if (!kSorts<Cdf, 0> || batch.size > kLongestSortedAbreast[kPrecision] ||
        batch.count < kFewestLongGroups * kRows) {
      return false;
    }
    const Row<Scalar> row = batch.input.row(0);
    Scalar lowest = row[0], highest = lowest;
    for (int64_t i = 1; i < batch.size; ++i) {
      lowest = std::min(lowest, row[i]);
      highest = std::max(highest, row[i]);
    }
    const double spread = rank_relax::scaled_spread(lowest, highest, batch.regularization_strength);
    return row_form<Cdf>(kPrecision, 0, batch.size, spread, V::kLooksUp) == RowForm::kSorted;
  }

  /// For rows of `size` items.
  explicit RowsAbreast(int64_t size) : size_(size) {
    const int64_t room = whole_blocks<Scalar>(size);
    memory_.make_room(4 * room);
    values_ = memory_.data();
    coordinates_ = values_ + room;
    for (int l = 0; l < 2; ++l) directions_[l] = values_ + (2 + l) * room;
  }

  /// Takes in kRows rows; false if they are not all finite.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    load_in_lanes(input, first_row, size_, values_);
    const ExtentOfLanes<Scalar> extent = extent_of_lanes(values_, size_);
    extent.lowest.store(minimum_);
    extent.highest.store(maximum_);
    return extent.all_finite;
  }

  double spread(int row) const {
    return static_cast<double>(maximum_[row]) - static_cast<double>(minimum_[row]);
  }

  /// ranks[row * size + i] = centred rank + shift, at a strength for each row; false, and nothing
  /// is written, if no form serves them.
  template <class Cdf>
  bool centered_ranks(const double* strengths, Scalar shift, Scalar* ranks) {
    const OneBoxSeries* series = series_for<Cdf, 0>(strengths);
    if constexpr (kSorts<Cdf, 0>) {
      if (is_sharp(0, series) && sort(strengths)) return sorted_ranks<Cdf>(shift, ranks);
    }
    return series != nullptr && centered_ranks(*series, strengths, shift, ranks);
  }

  /// output[row * size + i] = factors[row] α^k/(n-1) Σ_j Π_l (v_l[i] - v_l[j]) F^(k)(α(x_i - x_j)).
  template <class Cdf, int kOrder>
  bool derivative(const double* strengths, const Rows<Scalar>* directions, int64_t first_row,
                  const double* factors, Scalar* output) {
    const OneBoxSeries* series = series_for<Cdf, kOrder>(strengths);
    const bool sharp = kSorts<Cdf, kOrder> && is_sharp(kOrder, series);
    if (series == nullptr && !sharp) return false;
    Scalar scales[kRows];
    if (!set_directions<kOrder>(strengths, directions, first_row, factors, scales)) return false;
    const auto finish = [&](V sums) { return sums * V::load(scales); };
    if constexpr (kSorts<Cdf, kOrder>) {
      if (sharp && sort(strengths)) {
        sorted_.template derivative<Cdf, kOrder>(directions_);
        sorted_.write(finish, output);
        return true;
      }
    }
    return series != nullptr && sum<kOrder>(*series, strengths, finish, output);
  }

 private:
  /// The series that serves all of the rows, or null. Longer rows need results that are precise
  /// beside the items below them, which centred sums are not.
  template <class Cdf, int kOrder>
  const OneBoxSeries* series_for(const double* strengths) const {
    if (size_ > kLongestAbreast) return nullptr;
    if constexpr (kHasOneBox<Cdf>) {
      double widest = 0;
      for (int row = 0; row < kRows; ++row) {
        widest = std::max(widest, spread(row) * strengths[row]);
      }
      const int terms = one_box_terms<Cdf>(kPrecision, kOrder, widest);
      if (terms > 0) return &one_box_series<Cdf>(kPrecision, kOrder, terms);
    }
    return nullptr;
  }

  bool is_sharp(int order, const OneBoxSeries* series) const {
    return sorts_abreast(order, series == nullptr ? 0 : series->terms, size_);
  }

  /// False if a row is narrow, or so wide that a difference overflows.
  bool sort(const double* strengths) {
    for (int row = 0; row < kRows; ++row) {
      const bool wide = spread(row) == 0 || spread(row) * strengths[row] >= kNarrowestSortedAbreast;
      if (!std::isfinite(spread(row)) || !wide) return false;
    }
    sorted_.set_rows(values_, size_, strengths);
    return true;
  }

  template <class Cdf>
  bool sorted_ranks(Scalar shift, Scalar* ranks) {
    const V others = V::broadcast(static_cast<Scalar>(size_ - 1));
    sorted_.template centered<Cdf>(static_cast<double>(shift) * static_cast<double>(size_ - 1));
    sorted_.write([&](V sums) { return within_ranks(sums / others, shift); }, ranks);
    return true;
  }

  static V within_ranks(V rank, Scalar shift) {
    return smaller(V::broadcast(shift + Scalar(0.5)),
                   larger(V::broadcast(shift - Scalar(0.5)), rank));
  }

  bool centered_ranks(const OneBoxSeries& series, const double* strengths, Scalar shift,
                      Scalar* ranks) {
    const V scale = V::broadcast(1 / static_cast<Scalar>(size_ - 1));
    return sum<0>(
        series, strengths,
        [&](V sums) { return within_ranks(multiply_add(sums, scale, V::broadcast(shift)), shift); },
        ranks);
  }

  /// Takes in the directions, about their means, and what sums are to be multiplied by; false if
  /// one of them is too large or too small for that.
  template <int kOrder>
  bool set_directions(const double* strengths, const Rows<Scalar>* directions, int64_t first_row,
                      const double* factors, Scalar* scales) {
    for (int row = 0; row < kRows; ++row) {
      double scale = factors[row] / static_cast<double>(size_ - 1);
      for (int l = 0; l < kOrder; ++l) scale *= strengths[row];
      const bool in_range =
          scale == 0 || (std::abs(scale) < kComfortable && std::abs(scale) > 1 / kComfortable);
      if (!in_range) return false;
      scales[row] = static_cast<Scalar>(scale);
    }
    for (int l = 0; l < kOrder; ++l) {
      load_in_lanes(directions[l], first_row, size_, directions_[l]);
      if (!center(directions_[l])) return false;
    }
    return true;
  }

  /// Directions about their means; false if one is too large or too small, or not finite.
  bool center(V* direction) const {
    V sum = V::broadcast(0), largest = V::broadcast(0);
    for (int64_t j = 0; j < size_; ++j) {
      sum = sum + direction[j];
      largest = larger(absolute(direction[j]), largest);
    }
    Scalar largest_of_row[kRows];
    largest.store(largest_of_row);
    for (const Scalar size : largest_of_row) {
      if (size != 0 && !(1 / kComfortable < size && size < kComfortable)) return false;
    }
    if (!std::isfinite(sum_of_lanes(sum))) return false;
    const V mean = sum * V::broadcast(1 / static_cast<Scalar>(size_));
    for (int64_t j = 0; j < size_; ++j) direction[j] = direction[j] - mean;
    return true;
  }

  template <int kOrder, class Finish>
  bool sum(const OneBoxSeries& series, const double* strengths, const Finish& finish,
           Scalar* output) {
    constexpr int kSets = weight_sets(kOrder);
    const int terms = series.terms;
    if (!place(strengths, series.half_width)) return false;
    V moments[kSets][kMostTerms], local[kSets][kMostTerms];
    find_moments<kOrder>(terms, moments);
    for (int set = 0; set < kSets; ++set) {
      translate(series, kOrder % 2 == 0 ? 1 : 0, moments[set], local[set]);
    }
    evaluate<kOrder>(terms, local, finish);
    store_from_lanes(coordinates_, size_, output);
    return true;
  }

  /// Coordinates in the box, each row's about its own centre.
  bool place(const double* strengths, double half_width) {
    Scalar centers[kRows], scales[kRows], shifts[kRows];
    for (int row = 0; row < kRows; ++row) {
      const double scale = strengths[row] / half_width;
      const bool in_range =
          sizeof(Scalar) == 4 ? 1e-30 < scale && scale < 1e30 : std::isfinite(scale);
      if (!in_range) return false;
      const OneBoxPlace<Scalar> place(minimum_[row], maximum_[row], scale);
      centers[row] = place.center;
      scales[row] = place.scale;
      shifts[row] = place.shift;
    }
    const V center = V::load(centers), scale = V::load(scales), shift = V::load(shifts);
    for (int64_t j = 0; j < size_; ++j) {
      coordinates_[j] = multiply_subtract(values_[j] - center, scale, shift);
    }
    return true;
  }

  template <int kOrder>
  void find_moments(int terms, V (*moments)[kMostTerms]) const {
    using Chunk = ChebyshevChunk<Scalar, kOrder>;
    for (int set = 0; set < Chunk::kSets; ++set) {
      std::fill_n(moments[set], terms, V::broadcast(0));
    }
    Chunk chunk;
    for (int64_t begin = 0; begin < size_; begin += Chunk::kVectors) {
      const int64_t end = std::min<int64_t>(begin + Chunk::kVectors, size_);
      for (int64_t j = begin; j < end; ++j) {
        chunk.add(coordinates_[j], kRows, [&](int l) { return directions_[l][j]; });
      }
      chunk.sum(terms, [&](int first, auto count, const V* sums) {
        unroll<Chunk::kSets * count>([&](auto i) {
          V& moment = moments[i / count][first + i % count];
          moment = moment + sums[i];
        });
      });
    }
  }

  /// local[k] = Σ_l c[l][k] moments[l] over the l of k's parity, or the other one: the rest is 0.
  static void translate(const OneBoxSeries& series, int parity, const V* moments, V* local) {
    constexpr int kAtOnce = 4;
    const Scalar* coefficients = series.template coefficients_as<Scalar>();
    for (int k = 0; k < series.terms; k += kAtOnce) {
      V sums[kAtOnce];
      unroll<kAtOnce>([&](auto i) { sums[i] = V::broadcast(0); });
      for (int l = 0; l < series.terms; l += 2) {
        const Scalar* column = coefficients + l * series.row_size + k;
        unroll<kAtOnce>([&](auto i) {
          const int other = (i + parity) % 2;
          sums[i] = multiply_add(V::broadcast(column[other * series.row_size + i]),
                                 moments[l + other], sums[i]);
        });
      }
      unroll<kAtOnce>([&](auto i) { local[k + i] = sums[i]; });
    }
  }

  /// In place of the coordinates, by Clenshaw's recurrence.
  template <int kOrder, class Finish>
  void evaluate(int terms, const V (*local)[kMostTerms], const Finish& finish) {
    constexpr int kAtOnce = V::kRegisters / 6;
    int64_t j = 0;
    for (; j + kAtOnce <= size_; j += kAtOnce) {
      evaluate_items<kOrder, kAtOnce>(terms, local, j, finish);
    }
    for (; j < size_; ++j) evaluate_items<kOrder, 1>(terms, local, j, finish);
  }

  template <int kOrder, int kItems, class Finish>
  void evaluate_items(int terms, const V (*local)[kMostTerms], int64_t first,
                      const Finish& finish) {
    constexpr int kSets = weight_sets(kOrder);
    V t[kItems], at[std::max(kOrder, 1)][kItems];
    unroll<kItems>([&](auto v) {
      t[v] = coordinates_[first + v];
      unroll<kOrder>([&](auto l) { at[l][v] = directions_[l][first + v]; });
    });
    V sums[kItems];
    combined_series<kOrder, kItems>(
        terms, t, at,
        [&](int k, V* coefficients) RANK_RELAX_ALWAYS_INLINE {
          unroll<kSets>([&](auto set) { coefficients[set] = local[set][k]; });
        },
        sums);
    unroll<kItems>([&](auto v) { coordinates_[first + v] = finish(sums[v]); });
  }

  int64_t size_;
  Scalar minimum_[kRows], maximum_[kRows];
  AlignedArray<V> memory_;
  V *values_, *coordinates_, *directions_[2];
  SortedAbreast<Scalar> sorted_;
};

/// One number for each of the rows that go abreast.
template <class Scalar>
using ForRows = std::array<double, RowsAbreast<Scalar>::kRows>;

template <class Scalar>
ForRows<Scalar> for_rows(double number) {
  ForRows<Scalar> numbers;
  numbers.fill(number);
  return numbers;
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
