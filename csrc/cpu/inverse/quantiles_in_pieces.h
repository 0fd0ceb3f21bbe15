#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "cpu/aligned_array.h"
#include "cpu/inverse/quantiles_abreast.h"
#include "cpu/inverse/range_abreast.h"
#include "cpu/isa/exponential_decay.h"
#include "cpu/row/finite_row.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The inverse of the smoothed count of one sorted row at all half levels, where few items are
/// within reach of any: pieces of the row abreast, as quantiles_abreast.h has rows. A piece has the
/// levels of its own items, and besides these the items within reach of its ends. What others add
/// to a count is whole, and does not show: a level keeps its distance from the count of items
/// before it.
template <class Cdf, class Scalar>
class QuantilesInPieces {
  using Quantiles = QuantilesAbreast<Cdf, Scalar>;
  static constexpr int kLanes = Quantiles::kLanes;

 public:
  static constexpr bool kServes = kMostScannedOrder<Cdf> >= 1 && kLanes >= 4;

  /// Whether a row has pieces, unless it is too dense: not if it is short, or too far out.
  static bool suits(const FiniteRow<Scalar>& row, double strength) {
    return kServes && row.count >= kFewest &&
           in_range_abreast(static_cast<double>(row.minimum), static_cast<double>(row.maximum),
                            strength);
  }

  /// Takes in the ascending values of one that does, which must stay as they are; false if they are
  /// too dense at an end of a piece.
  bool set_sorted(const Scalar* sorted, int64_t count, double strength) {
    sorted_ = sorted;
    count_ = count;
    strength_ = strength;
    const int64_t most = kLongestPiece * kLanes;
    const int64_t stretches = (count + most - 1) / most;
    piece_ = (count + stretches * kLanes - 1) / (stretches * kLanes);
    halos_.clear();
    for (int64_t first = 0; first < count; first += piece_ * kLanes) {
      halos_.push_back(items_beside(first));
      if (halos_.back() > kLongestHalo) return false;
    }
    return true;
  }

  /// Stretches of a row are solved one by one, in any order.
  int64_t stretches() const { return static_cast<int64_t>(halos_.size()); }

  /// What solving takes, for one thread.
  struct Workspace {
    Quantiles quantiles;
    AlignedArray<double> points, densities;
  };

  /// store(k, number, points, densities, stride) for pieces of a stretch: of `number` levels from
  /// the k-th on points[i * stride] = y with G(y) = k + i + 1/2, and densities there if wanted.
  template <bool with_densities, class Store>
  void solve(int64_t stretch, Workspace& workspace, const Store& store) const {
    const int64_t halo = halos_[stretch], first = stretch * piece_ * kLanes;
    load(first, halo, workspace.quantiles);
    workspace.points.make_room(piece_ * kLanes);
    if (with_densities) workspace.densities.make_room(piece_ * kLanes);
    double* const points = workspace.points.data();
    double* const densities = with_densities ? workspace.densities.data() : nullptr;
    workspace.quantiles.solve_half_levels(halo, halo + piece_, kLanes, points, densities);
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t begin = first + lane * piece_, end = std::min(begin + piece_, count_);
      if (begin >= end) break;
      store(begin, end - begin, points + lane, with_densities ? densities + lane : nullptr, kLanes);
    }
  }

 private:
  static constexpr int64_t kFewest = 8 * kLanes;
  static constexpr int64_t kLongestPiece = 512, kLongestHalo = 640;
  // Where tails of one item don't show beside 1/2, in units of 1/α.
  static constexpr double kNegligibleTail = precision_of<Scalar> == kSingle ? 18 : 36;

  /// A level's point lies ln(2m) beyond the ends of m items at most; from there on the tails of as
  /// many items as there are don't show.
  double reach() const {
    const double farthest = std::log(2.0 * static_cast<double>(piece_ + 2 * kLongestHalo));
    return kNegligibleTail + farthest + std::log(static_cast<double>(count_));
  }

  /// The most items beside a piece of a stretch that are within its reach.
  int64_t items_beside(int64_t first) const {
    const double reach = this->reach() / strength_;
    int64_t most = 1;
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t begin = first + lane * piece_, end = std::min(begin + piece_, count_);
      if (begin >= end) break;
      const double below = static_cast<double>(sorted_[begin]) - reach;
      const double above = static_cast<double>(sorted_[end - 1]) + reach;
      int64_t before = begin, behind = end;
      while (before > 0 && begin - before <= kLongestHalo && sorted_[before - 1] >= below) --before;
      while (behind < count_ && behind - end <= kLongestHalo && sorted_[behind] <= above) ++behind;
      most = std::max({most, begin - before, behind - end});
    }
    return most;
  }

  /// Before the first item and behind the last one more of them stand apart from any.
  void load(int64_t first, int64_t halo, Quantiles& quantiles) const {
    const int64_t size = piece_ + 2 * halo;
    quantiles.begin(size, strength_);
    double *const values = quantiles.values(), *const steps = quantiles.steps();
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t origin = first + lane * piece_ - halo;
      const int64_t begin = std::clamp<int64_t>(-origin, 0, size);
      const int64_t end = std::clamp<int64_t>(count_ - origin, begin, size);
      const auto at = [&](double* numbers, int64_t i) { return numbers + i * kLanes + lane; };
      const double lowest = sorted_[0], highest = sorted_[count_ - 1];
      for (int64_t i = 0; i < begin; ++i) *at(values, i) = lowest;
      for (int64_t i = begin; i < end; ++i) *at(values, i) = sorted_[origin + i];
      for (int64_t i = end; i < size; ++i) *at(values, i) = highest;
      constexpr double kApart = std::numeric_limits<double>::infinity();
      for (int64_t i = 0; i < size; ++i) {
        const bool beside_another = begin < i && i < end;
        *at(steps, i) = beside_another ? (*at(values, i) - *at(values, i - 1)) * strength_ : kApart;
      }
    }
    decay_all(steps, size * kLanes);
  }

  const Scalar* sorted_ = nullptr;
  int64_t count_ = 0, piece_ = 0;
  double strength_ = 1;
  std::vector<int64_t> halos_;  // of each stretch
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
