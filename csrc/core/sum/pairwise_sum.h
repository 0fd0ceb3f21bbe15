#pragma once

#include <cmath>
#include <cstdint>

#include "core/sum/lane_sum.h"

namespace rank_relax {

/// The finite values of one row, at least one of them, and their extent.
struct Points {
  const double* values;
  int64_t count;
  double minimum;
  double maximum;
};

/// The kernel sums of one row, O(count²), in double:
///
///     order 0:   sums[i] = Σ_j F(α (x_i - x_j)) - 1/2
///     order k:   sums[i] = Σ_j Π_{l<k} (v_l[i] - v_l[j]) F^(k)(α (x_i - x_j))
///
/// with F centred and the weights as differences, so that nothing cancels: narrow rows and smooth
/// directions keep their relative precision. Equal values get equal bits.
template <class Cdf>
class PairwiseSum {
 public:
  /// `workspace` holds as many doubles as there are points.
  PairwiseSum(const Points& points, double regularization_strength, const double* const* directions,
              int order, double* workspace)
      : count_(points.count),
        strength_(regularization_strength),
        directions_(directions),
        order_(order),
        items_(workspace) {
    const double* x = points.values;
    const double spread = points.maximum - points.minimum;  // inf where the difference overflows
    if constexpr (Cdf::factored_spread > 0) {
      is_factored_ = spread * strength_ <= Cdf::factored_spread;
      if (is_factored_) {
        const double center = points.minimum + spread / 2;
        offset_ = Cdf::factor_offset(spread * strength_);
        for (int64_t i = 0; i < count_; ++i) {
          workspace[i] = Cdf::factor(strength_ * (x[i] - center), offset_);
        }
        return;
      }
    }
    // Halved, no difference of finite values overflows. Halving loses a bit of denormals alone, and
    // beside a spread that overflows those are equal.
    unit_ = std::isfinite(spread) ? 1 : 2;
    for (int64_t i = 0; i < count_; ++i) workspace[i] = x[i] / unit_;
  }

  /// For i in [begin, end).
  void sum(int64_t begin, int64_t end, double* sums) const {
    const double* items = items_;
    if constexpr (Cdf::factored_spread > 0) {
      if (is_factored_) {
        const double offset = offset_;
        return sum_at(
            [=](int64_t i, int64_t j) {
              return Cdf::factored_coordinate(items[i], items[j], offset);
            },
            begin, end, sums);
      }
    }
    const double strength = strength_, unit = unit_;
    sum_at([=](int64_t i,
               int64_t j) { return Cdf::coordinate(strength * (items[i] - items[j]) * unit); },
           begin, end, sums);
  }

 private:
  /// coordinate(i, j) is Cdf's coordinate of d_ij. The term j = i is exactly zero.
  template <class Coordinate>
  void sum_at(const Coordinate& coordinate, int64_t begin, int64_t end, double* sums) const {
    const int64_t count = count_;
    const double* const* directions = directions_;
    const int order = order_;
    if (order == 0) {
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = lane_sum(count, [&](int64_t j) { return Cdf::centered(coordinate(i, j)); });
      }
    } else if (order == 1) {
      const double* v = directions[0];
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = lane_sum(count, [&](int64_t j) {
          return (v[i] - v[j]) * Cdf::first_derivative(coordinate(i, j));
        });
      }
    } else if (order == 2) {
      const double* v = directions[0];
      const double* w = directions[1];
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = lane_sum(count, [&](int64_t j) {
          return (v[i] - v[j]) * (w[i] - w[j]) * Cdf::second_derivative(coordinate(i, j));
        });
      }
    } else {
      const typename Cdf::Ratio ratio(order);
      for (int64_t i = begin; i < end; ++i) {
        sums[i] = lane_sum(count, [&](int64_t j) {
          const double q = coordinate(i, j);
          double term = ratio(q) * Cdf::first_derivative(q);
          for (int l = 0; l < order; ++l) term *= directions[l][i] - directions[l][j];
          return term;
        });
      }
    }
  }

  int64_t count_;
  double strength_;
  const double* const* directions_;
  int order_;
  const double* items_;       // factors, or values in this unit
  bool is_factored_ = false;  // with this offset
  double offset_ = 0, unit_ = 1;
};

}  // namespace rank_relax
