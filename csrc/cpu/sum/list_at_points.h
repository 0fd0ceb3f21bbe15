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
#include "cpu/sum/pairs_at_points.h"
#include "cpu/sum/sum_at_points.h"
#include "cpu/sum/weights_at_infinity.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Writes Σ_j w_j K(α (t_i - x_j)) of an order that is known when called, NaN if a weight is not
/// finite: it would be in every box within reach, and in no other.
template <class Cdf, class Sum>
void sum_of_every_order(Sum& sum, int order, const std::vector<double>& weights,
                        std::vector<double>& sums, const ParallelFor& parallel_for) {
  double nothing = 0;
  for (const double weight : weights) nothing += weight * 0;
  if (std::isnan(nothing)) {
    return std::fill(sums.begin(), sums.end(), std::numeric_limits<double>::quiet_NaN());
  }
  if (order == -1) {
    if constexpr (kHasIntegral<Cdf>) {
      sum.template sum<-1>(weights.data(), sums.data(), parallel_for);
    }
  } else if (order == 0) {
    sum.template sum<0>(weights.data(), sums.data(), parallel_for);
  } else if (order == 1) {
    sum.template sum<1>(weights.data(), sums.data(), parallel_for);
  } else if (order == 2) {
    sum.template sum<2>(weights.data(), sums.data(), parallel_for);
  } else {
    sum.sum_of_order(order, weights.data(), sums.data(), parallel_for);
  }
}

/// The sums at the points of one list after another, infinities and NaN among points and values:
/// what is equal has d = 0 though it be infinite; NaN values count nowhere, and at NaN there is
/// NaN.
template <class Cdf, class Scalar>
class ListAtPoints {
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
    WeightsAtInfinity<Cdf> ends{order};
    auto end = ends_of_values_.begin();
    double* weight = weights_.data();
    for (int64_t j = of_values.begin; j < of_values.end; ++j) {
      const double of_value = weights[j];
      if (end != ends_of_values_.end() && end->place == j - of_values.begin) {
        ends.add(end->value, of_value);
        ++end;
      } else {
        ends.finite += of_value;
        *weight++ = of_value;
      }
    }
    sum_of_every_order<Cdf>(sum_, order, weights_, sums_, parallel_for);
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

  std::vector<double> points_, values_;  // finite
  std::vector<End> ends_of_points_, ends_of_values_;
  std::vector<double> weights_, sums_;
  SumAtPoints<Cdf, precision_of_tails<Cdf, precision_of<Scalar>>()> sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
