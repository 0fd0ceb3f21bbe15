#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "core/box_series.h"
#include "cpu/aligned_array.h"
#include "cpu/finite_row.h"
#include "cpu/parallel.h"
#include "cpu/vector/unroll.h"
#include "cpu/vector/vector.h"
#include "cpu/weighted_sums.h"

namespace rank_relax::cpu {

/// A range of a row's items.
struct Range {
  int64_t begin;
  int64_t end;
};

/// The kernel sum of a broad row on a grid of boxes, O(1) an item and O(reach) a box:
///
///     moments[b][l] = Σ_{j in b} w_j s_j^l          s = local coordinate in [-1, 1]
///     local[b][k]   = Σ_{b' within reach} Σ_l c[b - b'][l][k] moments[b'][l]
///     Σ_j w_j K(α (x_i - x_j)) = Σ_k local[box of i][k] t_i^k
///
/// and for K = F - 1/2 farther boxes count ±1/2 an item. Moments are in double. A row is cut into
/// parts of fixed size, so that threads change nothing.
template <class Isa, class Scalar, int kOrder>
class ManyBoxes {
  using V = Vector<Isa, Scalar>;
  using W = Vector<Isa, double>;
  using Wide = Widened<Isa, Scalar>;
  static constexpr int kSets = weight_sets(kOrder);
  static constexpr int kTerms = kGridTerms[precision_of<Scalar>];
  static constexpr int kRow = kSets * kTerms;  // of a box: the terms of its sets
  static constexpr int kVectors = kTerms / W::kLanes;
  static constexpr int kBlock = 64;  // items whose coordinates are kept at hand
  static constexpr int64_t kPart = 1 << 15;
  static constexpr int64_t kMostParts = 16;

 public:
  /// Sums over all of the row's items, at those in `targets`.
  void sum(const FiniteRow<Scalar>& row, Range targets, double regularization_strength,
           const Direction<Scalar>* directions, const GridSeries& series,
           const Output<Scalar>& output, const ParallelFor& parallel_for) {
    row_ = row;
    directions_ = directions;
    series_ = &series;
    place_grid(regularization_strength);
    add_moments(parallel_for);
    count_below();
    local_.make_room(boxes_ * kRow);
    constexpr int64_t kBoxesWorthAThread = 256;
    parallel_for(boxes_, kBoxesWorthAThread, [&](int64_t begin, int64_t end) {
      for (int64_t box = begin; box < end; ++box) translate(box);
    });
    const int64_t parts = (targets.end - targets.begin + kPart - 1) / kPart;
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      evaluate(targets.begin + begin * kPart, std::min(targets.begin + end * kPart, targets.end),
               output);
    });
  }

 private:
  // Boxes lie around the multiples of the width from an anchor. The anchor 0 makes the remainder
  // of a value exact. Where values are too far from 0 beside their spread for whole numbers of
  // boxes, they are so close to one another that their difference from the minimum is exact.
  void place_grid(double regularization_strength) {
    const double minimum = row_.minimum, maximum = row_.maximum;
    per_width_ = regularization_strength / series_->width;
    width_ = series_->width / regularization_strength;
    width_rest_ =
        std::fma(-width_, regularization_strength, series_->width) / regularization_strength;
    constexpr double kWhole = 1LL << 50;
    const double farthest = std::max(std::abs(minimum), std::abs(maximum)) * per_width_;
    anchor_ = farthest < kWhole ? 0 : minimum;
    first_ = std::nearbyint((minimum - anchor_) * per_width_);
    boxes_ = static_cast<int64_t>(std::nearbyint((maximum - anchor_) * per_width_) - first_) + 1;
  }

  /// Where an item is: its box, and its coordinate there.
  struct Place {
    W box[Wide::kParts];
    W coordinate[Wide::kParts];
  };

  Place place(const Scalar* from) const {
    Place place;
    W x[Wide::kParts];
    Wide::load(from, x);
    for (int part = 0; part < Wide::kParts; ++part) {
      const W from_anchor = x[part] - W::broadcast(anchor_);
      const W position = from_anchor * W::broadcast(per_width_);
      const W nearest = round(position);
      if constexpr (sizeof(Scalar) == 4) {  // in double the position is exact enough
        place.coordinate[part] = (position - nearest) * W::broadcast(2);
      } else {
        const W rest = exact_remainder(nearest, W::broadcast(width_), from_anchor);
        place.coordinate[part] = exact_remainder(nearest, W::broadcast(width_rest_), rest) *
                                 W::broadcast(2 * per_width_);
      }
      // Within bounds though another thread should write to the values meanwhile.
      place.box[part] = smaller(larger(nearest - W::broadcast(first_), W::broadcast(0)),
                                W::broadcast(static_cast<double>(boxes_ - 1)));
    }
    return place;
  }

  void add_moments(const ParallelFor& parallel_for) {
    const int64_t parts =
        std::clamp<int64_t>(std::min(row_.count / kPart, row_.count / (2 * boxes_ * kRow)), 1,
                            kMostParts);  // at most 4 bytes an item beside the first
    moments_.make_room(parts * boxes_ * kRow);
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        add_part(row_.count * part / parts, row_.count * (part + 1) / parts,
                 moments_.data() + part * boxes_ * kRow);
      }
    });
    double* total = moments_.data();
    for (int64_t part = 1; part < parts; ++part) {
      const double* from = moments_.data() + part * boxes_ * kRow;
      for (int64_t i = 0; i < boxes_ * kRow; ++i) total[i] += from[i];
    }
  }

  void add_part(int64_t begin, int64_t end, double* moments) const {
    std::fill_n(moments, boxes_ * kRow, 0.0);
    int64_t i = begin;
    for (; i + kBlock <= end; i += kBlock) add_block(row_.values + i, i, kBlock, moments);
    if (i == end) return;
    Scalar rest[kBlock] = {};
    std::copy(row_.values + i, row_.values + end, rest);
    add_block(rest, i, static_cast<int>(end - i), moments);
  }

  void add_block(const Scalar* values, int64_t first_item, int count, double* moments) const {
    int32_t boxes[kBlock];
    double t[kBlock], t2[kBlock], t4[kBlock], t8[kBlock];
    for (int i = 0; i < kBlock; i += V::kLanes) {
      const Place at = place(values + i);
      for (int part = 0; part < Wide::kParts; ++part) {
        const int lane = i + part * W::kLanes;
        const W square = at.coordinate[part] * at.coordinate[part];
        at.box[part].store_int32(boxes + lane);
        at.coordinate[part].store(t + lane);
        square.store(t2 + lane);
        (square * square).store(t4 + lane);
        if (kTerms > 8) (square * square * (square * square)).store(t8 + lane);
      }
    }
    const double* power = W::kLanes == 8 ? t8 : (W::kLanes == 4 ? t4 : t2);  // t^kLanes
    for (int i = 0; i < count; ++i) {
      double* row = moments + boxes[i] * kRow;
      double weights[kSets] = {1};
      for (int l = 0; l < kOrder; ++l) weights[1 << l] = directions_[l](first_item + i);
      if constexpr (kOrder == 2) weights[3] = weights[1] * weights[2];
      W powers = W::first_powers(t[i], t2[i], t4[i]);
      unroll<Isa, kVectors>([&](auto v) {
        double* at = row + v * W::kLanes;
        (W::load(at) + powers).store(at);
        unroll<Isa, kSets - 1>([&](auto other) {
          double* weighted = at + (other + 1) * kTerms;
          multiply_add(powers, W::broadcast(weights[other + 1]), W::load(weighted)).store(weighted);
        });
        if (v + 1 < kVectors) powers = powers * W::broadcast(power[i]);
      });
    }
  }

  const double* moments_of(int64_t box) const { return moments_.data() + box * kRow; }

  void count_below() {
    if (kOrder > 0) return;
    below_.resize(boxes_ + 1);
    below_[0] = 0;
    for (int64_t box = 0; box < boxes_; ++box) below_[box + 1] = below_[box] + moments_of(box)[0];
  }

  /// A box's local coefficients from the moments of those within reach.
  void translate(int64_t box) {
    if (moments_of(box)[0] == 0) return;  // no item will ask
    static constexpr double kNone[kRow] = {};
    Sums lower = {}, upper = {};  // from boxes below, with this one, and from those above
    add_moments_at(0, moments_of(box), kNone, lower, upper);
    for (int64_t distance = 1; distance <= series_->reach; ++distance) {
      const bool below = box - distance >= 0 && moments_of(box - distance)[0] != 0;
      const bool above = box + distance < boxes_ && moments_of(box + distance)[0] != 0;
      if (!below && !above) continue;
      add_moments_at(distance, below ? moments_of(box - distance) : kNone,
                     above ? moments_of(box + distance) : kNone, lower, upper);
    }
    Scalar* local = local_.data() + box * kRow;
    for (int set = 0; set < kSets; ++set) {
      double from_lower[kTerms], from_upper[kTerms];
      for (int v = 0; v < kVectors; ++v) {
        const int i = set * kVectors + v;
        (lower.even[i] + lower.odd[i]).store(from_lower + v * W::kLanes);
        (upper.even[i] - upper.odd[i]).store(from_upper + v * W::kLanes);
      }
      if (kOrder == 0) {
        const double far_below = below_[std::max<int64_t>(box - series_->reach, 0)];
        const double not_above = below_[std::min<int64_t>(box + series_->reach + 1, boxes_)];
        from_lower[0] += (far_below - (below_[boxes_] - not_above)) / 2;
      }
      for (int k = 0; k < kTerms; k += 2) {
        constexpr double kParity = kernel_parity(kOrder);
        local[set * kTerms + k] = static_cast<Scalar>(from_lower[k] + kParity * from_upper[k]);
        local[set * kTerms + k + 1] =
            static_cast<Scalar>(from_lower[k + 1] - kParity * from_upper[k + 1]);
      }
    }
  }

  /// Σ_l c[distance][l][k] moments[l], over even l and over odd ones. K(-d) = ±K(d), so a box above
  /// adds at t, up to that sign, what its mirror image below would at -t: even less odd.
  struct Sums {
    W even[kSets * kVectors];
    W odd[kSets * kVectors];
  };

  void add_moments_at(int64_t distance, const double* below, const double* above, Sums& lower,
                      Sums& upper) const {
    const double* column = series_->coefficients.data() + distance * kTerms * kTerms;
    for (int l = 0; l < kTerms; l += 2, column += 2 * kTerms) {
      unroll<Isa, kSets * kVectors>([&](auto i) {
        constexpr int kTerm = i / kVectors * kTerms;  // the first of the set's
        const W even = W::load(column + i % kVectors * W::kLanes);
        const W odd = W::load(column + kTerms + i % kVectors * W::kLanes);
        lower.even[i] = multiply_add(even, W::broadcast(below[kTerm + l]), lower.even[i]);
        lower.odd[i] = multiply_add(odd, W::broadcast(below[kTerm + l + 1]), lower.odd[i]);
        upper.even[i] = multiply_add(even, W::broadcast(above[kTerm + l]), upper.even[i]);
        upper.odd[i] = multiply_add(odd, W::broadcast(above[kTerm + l + 1]), upper.odd[i]);
      });
    }
  }

  void evaluate(int64_t begin, int64_t end, const Output<Scalar>& output) const {
    int64_t i = begin;
    for (; i + V::kLanes <= end; i += V::kLanes) {
      V at[std::max(kOrder, 1)];
      for (int l = 0; l < kOrder; ++l) {
        at[l] = direction_at(directions_[l], V::load(directions_[l].values + i));
      }
      finish(sum_at(row_.values + i, at), output).store(output.values + i);
    }
    if (i == end) return;
    const int count = static_cast<int>(end - i);
    Scalar rest[V::kLanes];
    std::fill_n(rest, V::kLanes, row_.minimum);  // whose box has a series
    std::copy(row_.values + i, row_.values + end, rest);
    V at[std::max(kOrder, 1)];
    for (int l = 0; l < kOrder; ++l) {
      at[l] = direction_at(directions_[l], V::load_first(directions_[l].values + i, count));
    }
    finish(sum_at(rest, at), output).store_first(output.values + i, count);
  }

  [[gnu::always_inline]] V sum_at(const Scalar* values, const V* directions) const {
    const Place at = place(values);
    int32_t boxes[V::kLanes];
    for (int part = 0; part < Wide::kParts; ++part) {
      at.box[part].store_int32(boxes + part * W::kLanes);
    }
    const V t = Wide::narrow(at.coordinate);
    V sums[kSets];
    unroll<Isa, kSets>([&](auto set) {
      V columns[kTerms];
      V::template load_columns<kTerms>(local_.data() + set * kTerms, kRow, boxes, columns);
      V sum = columns[kTerms - 1];
      unroll<Isa, kTerms - 1>([&](auto k) { sum = multiply_add(sum, t, columns[kTerms - 2 - k]); });
      sums[set] = sum;
    });
    return combine<kOrder>(sums, directions);
  }

  FiniteRow<Scalar> row_;
  const Direction<Scalar>* directions_;
  const GridSeries* series_;
  double per_width_, width_, width_rest_;  // boxes for a unit of x; their width in x, in two parts
  double anchor_, first_;
  int64_t boxes_;
  AlignedArray<double> moments_;  // [part][box][set][term]; the total in part 0
  std::vector<double> below_;     // items in boxes below
  AlignedArray<Scalar> local_;    // [box][set][term]
};

}  // namespace rank_relax::cpu
