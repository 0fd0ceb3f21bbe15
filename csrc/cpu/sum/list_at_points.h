#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/precision.h"
#include "core/sum/kernel_at.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sum/sum_at_points.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The sums at the points of one list after another, infinities and NaN among points and values:
/// what is equal has d = 0 though it be infinite; NaN values count nowhere, and at NaN there is
/// NaN.
template <class Cdf, class Scalar>
class ListAtPoints {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();

  /// Sums of tails are precise relative to themselves.
  static constexpr Precision precision() {
    if constexpr (kHasGrid<Cdf>) return Cdf::kTailsInSingle ? precision_of<Scalar> : kDouble;
    return precision_of<Scalar>;
  }
  static constexpr Precision kPrecision = precision();

 public:
  /// Takes in what is between the ends of rows.
  template <class Range>
  void set_lists(Row<Scalar> points, const Range& of_points, Row<Scalar> values,
                 const Range& of_values, double regularization_strength) {
    take(points, of_points, points_, ends_of_points_);
    take(values, of_values, values_, ends_of_values_);
    sum_.set_lists({points_.data(), static_cast<int64_t>(points_.size())},
                   {values_.data(), static_cast<int64_t>(values_.size())}, regularization_strength);
  }

  /// Writes one sum for each point of the list, times `scale`.
  template <class Range>
  void sum(int order, double scale, Row<Scalar> weights, const Range& of_values, Scalar* output,
           const ParallelFor& parallel_for) {
    const auto scaled = [=](double sum) {
      return static_cast<Scalar>(sum == 0 ? 0 : scale * sum);  // though the scale be infinite
    };
    weights_.resize(values_.size());
    sums_.resize(points_.size());
    double below = 0, above = 0;  // what -inf and inf weigh
    double finite = 0;
    auto end = ends_of_values_.begin();
    double* weight = weights_.data();
    for (int64_t j = of_values.begin; j < of_values.end; ++j) {
      const double of_value = weights[j];
      if (end != ends_of_values_.end() && end->place == j - of_values.begin) {
        if (end->value == -kInfinity) below += of_value;
        if (end->value == kInfinity) above += of_value;
        ++end;
      } else {
        finite += of_value;
        *weight++ = of_value;
      }
    }
    sum_of_finite(order, parallel_for);
    const Ends ends = {order, below, finite, above};
    const double shift = ends.at(0);
    const double* sum = sums_.data();
    auto next = ends_of_points_.begin();
    const int64_t count = static_cast<int64_t>(points_.size() + ends_of_points_.size());
    for (int64_t i = 0; i < count; ++i) {
      if (next != ends_of_points_.end() && next->place == i) {
        output[i] = scaled(ends.at(next->value));
        ++next;
      } else {
        output[i] = scaled(*sum++ + shift);
      }
    }
  }

 private:
  /// An item that is not finite.
  struct End {
    int64_t place;
    double value;
  };

  /// What lies at infinity adds, and what there is at infinity.
  struct Ends {
    int order;
    double below, finite, above;  // weights

    double at(double point) const {
      if (std::isnan(point)) return point;
      if (order > 0) return 0;
      if (point == -kInfinity) return below * kernel_of_equals();
      if (point == kInfinity) return of_far_below(below + finite) + above * kernel_of_equals();
      return of_far_below(below);
    }

   private:
    double kernel_of_equals() const {
      if constexpr (kHasIntegral<Cdf>) {
        if (order == -1) return Cdf::integral_of_tail(0.0);
      }
      return 0.5;
    }
    double of_far_below(double weight) const {
      return order == 0 || weight == 0 ? weight : weight * kInfinity;
    }
  };

  template <class Range>
  void take(Row<Scalar> row, const Range& range, std::vector<double>& finite,
            std::vector<End>& ends) {
    finite.clear();
    ends.clear();
    for (int64_t i = range.begin; i < range.end; ++i) {
      const double value = row[i];
      if (std::isfinite(value)) {
        finite.push_back(value);
      } else {
        ends.push_back({i - range.begin, value});
      }
    }
  }

  void sum_of_finite(int order, const ParallelFor& parallel_for) {
    // A weight that is not finite would be in every box within reach, and in no other.
    double nothing = 0;
    for (const double weight : weights_) nothing += weight * 0;
    if (std::isnan(nothing)) {
      std::fill(sums_.begin(), sums_.end(), std::numeric_limits<double>::quiet_NaN());
      return;
    }
    if (order == -1) {
      if constexpr (kHasIntegral<Cdf>) {
        sum_.template sum<-1>(weights_.data(), sums_.data(), parallel_for);
      }
    } else if (order == 0) {
      sum_.template sum<0>(weights_.data(), sums_.data(), parallel_for);
    } else if (order == 1) {
      sum_.template sum<1>(weights_.data(), sums_.data(), parallel_for);
    } else if (order == 2) {
      sum_.template sum<2>(weights_.data(), sums_.data(), parallel_for);
    } else {
      sum_.sum_of_order(order, weights_.data(), sums_.data(), parallel_for);
    }
  }

  std::vector<double> points_, values_;  // finite
  std::vector<End> ends_of_points_, ends_of_values_;
  std::vector<double> weights_, sums_;
  SumAtPoints<Cdf, kPrecision> sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
