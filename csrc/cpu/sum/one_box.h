#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/row/one_box_placement.h"
#include "core/row/row_form.h"
#include "core/series/box_series.h"
#include "cpu/grid/cell_moments.h"
#include "cpu/isa/unroll.h"
#include "cpu/isa/vector.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/sum/weighted_sums.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// T_l(t) for some vectors of coordinates, a few terms at a time for all of them, and their
/// weighted sums. Set 0 has the weights 1; the sums of all sets lie at [set][l].
template <class Scalar, int kOrder>
struct ChebyshevChunk {
  using V = Vector<Scalar>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kVectors = 16;  // at most; so many numbers are added in a row
  static constexpr int kTerms =        // at a time, as registers allow
      V::kRegisters >= 32 ? (kOrder == 0 ? 8 : (kOrder == 1 ? 12 : 4)) : (kOrder == 0 ? 8 : 4);

  V current[kVectors], previous[kVectors], twice[kVectors];  // T_l, T_{l-1} and 2 t
  V weights[kSets][kVectors];
  int vectors = 0;

  /// The first `lanes` of a vector; directions(l) is the direction there.
  template <class Directions>
  void add(V t, int lanes, const Directions& directions) {
    const V one = lanes == V::kLanes ? V::broadcast(1) : first_ones(lanes);
    current[vectors] = one;
    previous[vectors] = t * one;  // T_{-1} = T_1
    twice[vectors] = t + t;
    unroll<kOrder>([&](auto l) { weights[1 << l][vectors] = directions(l); });
    if constexpr (kOrder == 2) weights[3][vectors] = weights[1][vectors] * weights[2][vectors];
    ++vectors;
  }

  /// sink(first term, its count as a constant, sums [set * count + term]) for all `terms`, and
  /// the chunk is empty again.
  template <class Sink>
  void sum(int terms, const Sink& sink) {
    int l = 0;
    for (; l + kTerms <= terms; l += kTerms) sum_terms<kTerms>(l, sink);
    if constexpr (kTerms > 8) {
      for (; l + 8 <= terms; l += 8) sum_terms<8>(l, sink);
    }
    for (; l < terms; l += kTermStep) sum_terms<kTermStep>(l, sink);
    vectors = 0;
  }

 private:
  static V first_ones(int lanes) {
    Scalar ones[V::kLanes];
    for (int i = 0; i < V::kLanes; ++i) ones[i] = 1;
    return V::load_first(ones, lanes);
  }

  template <int kCount, class Sink>
  void sum_terms(int first, const Sink& sink) {
    V sums[kSets * kCount];
    unroll<kSets * kCount>([&](auto i) { sums[i] = V::broadcast(0); });
    for (int v = 0; v < vectors; ++v) {
      V here = current[v], before = previous[v];
      const V factor = twice[v];
      unroll<kCount>([&](auto l) {
        sums[l] = sums[l] + here;
        unroll<kSets - 1>([&](auto other) {
          V& sum = sums[(other + 1) * kCount + l];
          sum = multiply_add(weights[other + 1][v], here, sum);
        });
        const V next = multiply_subtract(factor, here, before);
        before = here;
        here = next;
      });
      current[v] = here;
      previous[v] = before;
    }
    sink(first, std::integral_constant<int, kCount>{}, sums);
  }
};

/// Sums of an order from the Chebyshev series of its sets: for each of kItems vectors,
///
///     Σ_k c_k T_k(t)      c_k = combine<kOrder>(what coefficients(k, ·) gives, the directions
///     there)
///
/// by Clenshaw's recurrence, b_k = c_k + 2 t b_{k+1} - b_{k+2}, once for all sets together.
template <int kOrder, int kItems, class V, class Coefficients>
[[gnu::always_inline]] inline void combined_series(int terms, const V* t, const V (*at)[kItems],
                                                   const Coefficients& coefficients, V* sums) {
  constexpr int kSets = weight_sets(kOrder);
  V twice[kItems], next[kItems], after_next[kItems], of_sets[kSets];
  const auto combined = [&](auto v) RANK_RELAX_ALWAYS_INLINE {
    V here[std::max(kOrder, 1)];
    unroll<kOrder>([&](auto l) { here[l] = at[l][v]; });
    return combine<kOrder>(of_sets, here);
  };
  coefficients(terms - 1, of_sets);
  unroll<kItems>([&](auto v) {
    twice[v] = t[v] + t[v];
    next[v] = combined(v);
    after_next[v] = V::broadcast(0);
  });
  for (int k = terms - 2; k > 0; --k) {
    coefficients(k, of_sets);
    unroll<kItems>([&](auto v) {
      const V here = multiply_add(twice[v], next[v], combined(v) - after_next[v]);
      after_next[v] = next[v];
      next[v] = here;
    });
  }
  coefficients(0, of_sets);
  unroll<kItems>(
      [&](auto v) { sums[v] = multiply_add(t[v], next[v], combined(v) - after_next[v]); });
}

/// Where values lie in a box around them all: t = scale (x - center) - shift.
template <class Scalar>
struct OneBoxPlace {
  Scalar center, scale, shift;

  OneBoxPlace(Scalar minimum, Scalar maximum, double boxes_for_a_unit) {
    const OneBoxPlacement<Scalar> middle(minimum, maximum);
    center = middle.center;
    scale = minimum == maximum ? 0 : static_cast<Scalar>(boxes_for_a_unit);
    shift = middle.rest * scale;
  }
};

/// The cells of one box around a row, for CellMoments.
class BoxCells {
  using V = Vector<float>;

 public:
  BoxCells(float center, float scale, float shift)
      : center_(center),
        scale_(static_cast<float>(scale * kBoxCellsPerUnit)),
        scale_rest_(static_cast<float>(scale * kBoxCellsPerUnit - scale_)),
        shift_(static_cast<float>(shift * kBoxCellsPerUnit)) {}

  template <int kRow>
  [[gnu::always_inline]] V place(const float* from, int32_t* offsets) const {
    constexpr float kMiddle = (kBoxCells - 1) / 2;
    const V offset = V::load(from) - V::broadcast(center_);
    const V scale = V::broadcast(scale_), shift = V::broadcast(shift_);
    const V nearest = round(multiply_subtract(offset, scale, shift));
    const V cell = smaller(larger(nearest + V::broadcast(kMiddle), V::broadcast(0)),
                           V::broadcast(kBoxCells - 1));
    (cell * V::broadcast(kRow)).store_int32(offsets);
    const V rest =
        multiply_add(offset, V::broadcast(scale_rest_), multiply_subtract(offset, scale, nearest));
    return (rest - shift) * V::broadcast(2);
  }

 private:
  float center_, scale_, scale_rest_, shift_;
};

/// The kernel sum of a narrow row as one series over its whole spread, O(terms) an item:
///
///     moments[l] = Σ_j w_j T_l(t_j)              t = α (x - centre) / half_width, in [-1, 1]
///     local[k]   = Σ_l c[l][k] moments[l]
///     Σ_j w_j K(α (x_i - x_j)) = Σ_k local[k] T_k(t_i)
///
/// for each of the sets of weights that an order needs. Items lie across vector lanes; a row is cut
/// into parts of fixed size, so that threads change nothing.
///
/// Where vectors can look up, longer rows have short polynomials on pieces in place of the T_k. A
/// long row's moments come from those of cells, with short polynomials in place of the T_l.
template <class Scalar, int kOrder>
class OneBox {
  using V = Vector<Scalar>;
  using Chunk = ChebyshevChunk<Scalar, kOrder>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int64_t kPart = 1 << 15;
  static constexpr int kMostTables = V::kLooksUp ? kSets * kPieceTerms : 1;

  static constexpr int64_t kFewestItemsForPieces = 256;

  // With fewer items, fewer terms or more sets the sums of T_l take less time than those of cells.
  static constexpr bool kHasCells = V::kLooksUp && kOrder == 0;
  static constexpr int64_t kFewestItemsForCells = 1 << 16;
  static constexpr int kFewestTermsForCells = 28;

  static constexpr Precision kPrecision = precision_of<Scalar>;

 public:
  struct Moments {
    double of[kSets][kMostTerms];

    void add(const Moments& others, int terms) {
      for (int set = 0; set < kSets; ++set) {
        for (int l = 0; l < terms; ++l) of[set][l] += others.of[set][l];
      }
    }
  };

  OneBox(const Summands<Scalar>& summands, const OneBoxSeries& series) : series_(series) {
    const FiniteRow<Scalar>& row = summands.row;
    const OneBoxPlace<Scalar> place(row.minimum, row.maximum,
                                    summands.regularization_strength / series.half_width);
    center_ = place.center;
    scale_ = place.scale;
    shift_ = place.shift;
    if constexpr (V::kLooksUp) {
      if (kFewestTermsForPieces <= series.terms && series.terms <= kMostTermsForPieces &&
          row.count >= kFewestItemsForPieces) {
        pieces_ = &series.pieces(kOrder, series.terms);
      }
    }
  }

  /// False, and nothing is written, if a series over the whole row is not precise enough at one of
  /// its ends, where few items are near.
  bool sum(const Summands<Scalar>& summands, const Output<Scalar>& output,
           const ParallelFor& parallel_for) {
    const int64_t count = summands.row.count;
    const int64_t parts = (count + kPart - 1) / kPart;
    if (parts == 1) {
      Moments moments;
      find_moments(summands, 0, count, moments);
      if (!is_precise(summands.row, moments, output)) return false;
      translate(moments, output);
      evaluate(summands, 0, count, output);
      return true;
    }
    const Moments moments = moments_of_parts(summands, parts, parallel_for);
    if (!is_precise(summands.row, moments, output)) return false;
    translate(moments, output);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      evaluate(summands, begin * kPart, std::min(end * kPart, count), output);
    });
    return true;
  }

  // The steps of sum(), for a row whose items don't lie together: the moments of its parts add up,
  // translate() makes the local series of them, and evaluate() serves one part after another.

  /// Of the items in [begin, end).
  void find_moments(const Summands<Scalar>& summands, int64_t begin, int64_t end,
                    Moments& moments) const {
    constexpr int64_t kChunkItems = Chunk::kVectors * V::kLanes;
    Chunk chunk;
    if (end - begin <= kChunkItems) {
      fill(summands, begin, end, chunk);
      chunk.sum(series_.terms, [&](int first, auto count, const V* sums) {
        unroll<kSets>(
            [&](auto set) { sums_of_lanes<count>(sums + set * count, moments.of[set] + first); });
      });
      return;
    }
    MomentSums sums(series_.terms, moments);
    for (int64_t i = begin; i < end; i += kChunkItems) {
      fill(summands, i, std::min(i + kChunkItems, end), chunk);
      sums.add(chunk);
    }
    sums.flush();
  }

  void translate(const Moments& moments, const Output<Scalar>& output) {
    if constexpr (V::kLooksUp) {
      if (pieces_ != nullptr) return translate_to_pieces(moments, output);
    }
    const double unit = kOrder == 0 ? output.unit : 1;
    using W = Vector<double>;
    for (int set = 0; set < kSets; ++set) {
      for (int k = 0; k < series_.terms; k += W::kLanes) {
        W even = W::broadcast(0), odd = even;
        const double* column = series_.coefficients.data() + k;
        for (int l = 0; l < series_.terms; l += 2) {
          even = multiply_add(W::load(column), W::broadcast(moments.of[set][l]), even);
          odd = multiply_add(W::load(column + series_.row_size),
                             W::broadcast(moments.of[set][l + 1]), odd);
          column += 2 * series_.row_size;
        }
        double local[W::kLanes];
        (even + odd).store(local);
        if (kOrder == 0 && k == 0) local[0] += output.base;
        for (int lane = 0; lane < W::kLanes; ++lane) {
          local_[set][k + lane] = static_cast<Scalar>(unit * local[lane]);
        }
      }
    }
  }

  void evaluate(const Summands<Scalar>& summands, int64_t begin, int64_t end,
                const Output<Scalar>& output) const {
    if constexpr (V::kLooksUp) {
      if (pieces_ != nullptr) return evaluate_in_pieces(summands, begin, end, output);
    }
    constexpr int kMany = V::kRegisters / 6;
    constexpr int kSome = kMany / 2;
    int64_t i = begin;
    for (; i + kMany * V::kLanes <= end; i += kMany * V::kLanes) {
      evaluate_vectors<kMany>(summands, i, kMany * V::kLanes, output);
    }
    for (; i + kSome * V::kLanes <= end; i += kSome * V::kLanes) {
      evaluate_vectors<kSome>(summands, i, kSome * V::kLanes, output);
    }
    for (; i < end; i += V::kLanes) {
      evaluate_vectors<1>(summands, i, static_cast<int>(std::min<int64_t>(end - i, V::kLanes)),
                          output);
    }
  }

 private:
  Moments moments_of_parts(const Summands<Scalar>& summands, int64_t parts,
                           const ParallelFor& parallel_for) const {
    const int64_t count = summands.row.count;
    if constexpr (kHasCells) {
      if (count >= kFewestItemsForCells && series_.terms >= kFewestTermsForCells &&
          series_.terms <= kMostTermsForPieces) {
        return moments_of_cells(summands, parts, parallel_for);
      }
    }
    std::vector<Moments> moments(parts);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        find_moments(summands, part * kPart, std::min((part + 1) * kPart, count), moments[part]);
      }
    });
    for (int64_t part = 1; part < parts; ++part) moments[0].add(moments[part], series_.terms);
    return moments[0];
  }

  Moments moments_of_cells(const Summands<Scalar>& summands, int64_t parts,
                           const ParallelFor& parallel_for) const {
    constexpr int kSize = kBoxCells * CellMoments<kOrder>::kRow;
    std::vector<double> cells(parts * kSize);
    const BoxCells grid(center_, scale_, shift_);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        CellMoments<kOrder>::add(grid, summands.row.values, summands.directions, part * kPart,
                                 std::min((part + 1) * kPart, summands.row.count),
                                 cells.data() + part * kSize);
      }
    });
    for (int64_t part = 1; part < parts; ++part) {
      for (int i = 0; i < kSize; ++i) cells[i] += cells[part * kSize + i];
    }
    Moments moments = {};
    const double* polynomials = chebyshev_in_cells().data();
    for (int i = 0; i < kSize; ++i, polynomials += kMostTerms) {
      for (int l = 0; l < series_.terms; ++l) moments.of[0][l] += cells[i] * polynomials[l];
    }
    return moments;
  }

  [[gnu::always_inline]] V coordinate(V values) const {
    return multiply_subtract(values - V::broadcast(center_), V::broadcast(scale_),
                             V::broadcast(shift_));
  }

  void fill(const Summands<Scalar>& summands, int64_t begin, int64_t end, Chunk& chunk) const {
    for (int64_t i = begin; i < end; i += V::kLanes) {
      const int lanes = static_cast<int>(std::min<int64_t>(end - i, V::kLanes));
      const auto load = [&](const Scalar* from) {
        return lanes == V::kLanes ? V::load(from + i) : V::load_first(from + i, lanes);
      };
      chunk.add(coordinate(load(summands.row.values)), lanes, [&](int l) {
        return direction_at(summands.directions[l], load(summands.directions[l].values));
      });
    }
  }

  /// Sums over chunks: kChunks of them as vectors of Scalars, then in double.
  class MomentSums {
    static constexpr int kChunks = 16;

   public:
    MomentSums(int terms, Moments& moments) : terms_(terms), moments_(moments) {
      for (int set = 0; set < kSets; ++set) {
        std::fill_n(sums_[set], terms, V::broadcast(0));
        std::fill_n(moments.of[set], terms, 0.0);
      }
    }

    void add(Chunk& chunk) {
      chunk.sum(terms_, [&](int first, auto count, const V* sums) {
        unroll<kSets * count>([&](auto i) {
          V& sum = sums_[i / count][first + i % count];
          sum = sum + sums[i];
        });
      });
      if (++chunks_ == kChunks) flush();
    }

    void flush() {
      for (int set = 0; set < kSets; ++set) {
        for (int l = 0; l < terms_; ++l) {
          moments_.of[set][l] += sum_of_lanes(sums_[set][l]);
          sums_[set][l] = V::broadcast(0);
        }
      }
      chunks_ = 0;
    }

   private:
    V sums_[kSets][kMostTerms];
    int terms_;
    int chunks_ = 0;
    Moments& moments_;
  };

  /// Whether the error of a pair, which is the same all over the box, times the number of items is
  /// small beside the smallest result: 1 + the count below the lowest item, or the sum of F' at
  /// either end.
  bool is_precise(const FiniteRow<Scalar>& row, const Moments& moments,
                  const Output<Scalar>& output) const {
    if (kOrder > 1 || (kOrder == 0 && !output.counts)) return true;
    const double enough =
        static_cast<double>(row.count) * (kPairError[kPrecision] / kPrecisionOfEnds[kPrecision]) -
        (kOrder == 0 ? 1 : 0);
    const double t = (row.maximum / 2 - row.minimum / 2) * scale_;  // whose double may overflow
    if (enough <= least_at_ends(t, row.count, moments, output)) return true;
    double local[kMostTerms] = {};
    for (int l = 0; l < series_.terms; ++l) {
      const double* column = series_.coefficients.data() + l * series_.row_size;
      for (int k = 0; k < series_.terms; ++k) local[k] += column[k] * moments.of[0][l];
    }
    double even = kOrder == 0 ? output.base : 0, odd = 0;  // of the terms' parity, at the upper end
    double polynomial = 1, previous = t;
    for (int k = 0; k < series_.terms; ++k) {
      (k % 2 == 0 ? even : odd) += local[k] * polynomial;
      const double next = 2 * t * polynomial - previous;
      previous = polynomial;
      polynomial = next;
    }
    return enough <= (kOrder == 0 ? even - odd : even - std::abs(odd));
  }

  /// A bound from below on those results, but for the 1: F(-d) is convex, so that of the mean
  /// distance is no more than the mean of F(-d), and F'(d) is not less than F(-d) F'(0)/F(0).
  double least_at_ends(double t, int64_t items, const Moments& moments,
                       const Output<Scalar>& output) const {
    const double count = static_cast<double>(items), mean = moments.of[0][1] / count;
    const double distance = series_.half_width * (t + (kOrder == 0 ? mean : std::abs(mean)));
    const double tails = count * series_.upper_tail(std::max(distance, 0.0));
    if (kOrder == 0) return output.base - count / 2 + tails;
    return 2 * series_.steepest * tails;
  }

  // The lanes of polynomials_[set * kPieceTerms + p] are the coefficients of s^p on each piece.
  void translate_to_pieces(const Moments& moments, const Output<Scalar>& output) {
    const double unit = kOrder == 0 ? output.unit : 1;
    unroll<kSets>([&](auto set) {
      V sums[kPieceTerms];
      unroll<kPieceTerms>([&](auto p) { sums[p] = V::broadcast(0); });
      if (kOrder == 0) sums[0] = V::broadcast(static_cast<Scalar>(unit * output.base));
      const float* coefficients = pieces_->coefficients.data();
      for (int l = 0; l < series_.terms; ++l, coefficients += kPieceTerms * kPieces) {
        const V moment = V::broadcast(static_cast<Scalar>(unit * moments.of[set][l]));
        unroll<kPieceTerms>([&](auto p) {
          sums[p] = multiply_add(V::load(coefficients + p * kPieces), moment, sums[p]);
        });
      }
      unroll<kPieceTerms>([&](auto p) { polynomials_[set * kPieceTerms + p] = sums[p]; });
    });
  }

  /// `count` items from `begin` on: whole vectors, or the beginning of one.
  template <int kVectors>
  void evaluate_vectors(const Summands<Scalar>& summands, int64_t begin, int count,
                        const Output<Scalar>& output) const {
    V t[kVectors], at[std::max(kOrder, 1)][kVectors], sums[kVectors];
    unroll<kVectors>([&](auto v) {
      const int64_t first = begin + v * V::kLanes;
      t[v] = coordinate(load(summands.row.values + first, count));
      unroll<kOrder>([&](auto l) {
        const Direction<Scalar>& direction = summands.directions[l];
        at[l][v] = direction_at(direction, load(direction.values + first, count));
      });
    });
    combined_series<kOrder, kVectors>(
        series_.terms, t, at,
        [&](int k, V* coefficients) RANK_RELAX_ALWAYS_INLINE {
          unroll<kSets>([&](auto set) { coefficients[set] = V::broadcast(local_[set][k]); });
        },
        sums);
    unroll<kVectors>([&](auto v) { write(sums[v], begin + v * V::kLanes, count, output); });
  }

  [[gnu::always_inline]] static V load(const Scalar* from, int count) {
    return count >= V::kLanes ? V::load(from) : V::load_first(from, count);
  }

  [[gnu::always_inline]] static void write(V sum, int64_t begin, int count,
                                           const Output<Scalar>& output) {
    const V result = finish(sum, output);
    if (count >= V::kLanes) {
      result.store(output.values + begin);
    } else {
      result.store_first(output.values + begin, count);
    }
  }

  void evaluate_in_pieces(const Summands<Scalar>& summands, int64_t begin, int64_t end,
                          const Output<Scalar>& output) const {
    V tables[kMostTables];  // at hand in registers
    unroll<kMostTables>([&](auto i) { tables[i] = polynomials_[i]; });
    const V center = V::broadcast(center_);
    // In two parts, or else targets would lie in another box than the sources, by a rounding.
    const double exact_scale = scale_ * kPiecesPerUnit;
    const V scale = V::broadcast(static_cast<Scalar>(exact_scale));
    const V scale_rest =
        V::broadcast(static_cast<Scalar>(exact_scale - static_cast<Scalar>(exact_scale)));
    const V middle = V::broadcast(static_cast<Scalar>((kPieces - 1) / 2.0));
    const V shift = V::broadcast(static_cast<Scalar>(shift_ * kPiecesPerUnit));
    for (int64_t i = begin; i < end; i += V::kLanes) {
      const int count = static_cast<int>(std::min<int64_t>(end - i, V::kLanes));
      const V offset = load(summands.row.values + i, count) - center;
      const V piece = round(multiply_add(offset, scale, middle - shift));
      const V from_piece = multiply_subtract(offset, scale, piece - middle);
      const V rest = multiply_add(offset, scale_rest, from_piece) - shift;
      const V s = rest + rest;
      V sums[kSets];
      unroll<kSets>([&](auto set) {
        constexpr int kLast = set * kPieceTerms + kPieceTerms - 1;
        V sum = V::look_up(tables[kLast], piece);
        unroll<kPieceTerms - 1>(
            [&](auto p) { sum = multiply_add(sum, s, V::look_up(tables[kLast - 1 - p], piece)); });
        sums[set] = sum;
      });
      V at[std::max(kOrder, 1)];
      unroll<kOrder>([&](auto l) {
        const Direction<Scalar>& direction = summands.directions[l];
        at[l] = direction_at(direction, load(direction.values + i, count));
      });
      write(combine<kOrder>(sums, at), i, count, output);
    }
  }

  const OneBoxSeries& series_;
  const PieceSeries* pieces_ = nullptr;  // null: one series, local_
  Scalar center_, scale_, shift_;        // as in OneBoxPlace
  Scalar local_[kSets][kMostTerms];
  V polynomials_[kMostTables];
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
