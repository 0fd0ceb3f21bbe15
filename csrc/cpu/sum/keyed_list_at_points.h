#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "cpu/sort/radix_sort.h"
#include "cpu/sort/sort_key.h"
#include "cpu/sum/list_at_points.h"
#include "cpu/sum/pairs_at_points.h"
#include "cpu/sum/sum_over_prefixes.h"
#include "cpu/sum/weights_at_infinity.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// As ListAtPoints, where each point counts the values of smaller keys alone: in the order of keys
/// the first ones. A key is a number that orders as what it stands for does.
template <class Cdf, class Scalar>
class KeyedListAtPoints {
 public:
  template <class Range>
  void set_lists(Row<Scalar> points, Row<uint64_t> point_keys, const Range& of_points,
                 Row<Scalar> values, Row<uint64_t> value_keys, const Range& of_values,
                 double regularization_strength) {
    sort(value_keys, of_values, values_);
    const bool shares_keys = point_keys.data == value_keys.data &&
                             point_keys.stride == value_keys.stride &&
                             of_points.begin == of_values.begin && of_points.end == of_values.end;
    if (shares_keys) {
      points_.keys = values_.keys;
      points_.order = values_.order;
    } else {
      sort(point_keys, of_points, points_);
    }
    take(points, of_points.begin, points_);
    take(values, of_values.begin, values_);
    const int64_t count = static_cast<int64_t>(points_.items.size());
    const int64_t count_of_values = static_cast<int64_t>(values_.items.size());
    counts_.resize(count);
    finite_counts_.resize(count);
    int64_t smaller = 0, finite = 0, points_seen = 0;
    for (int64_t i = 0; i < count; ++i) {
      for (; smaller < count_of_values && values_.keys[smaller] < points_.keys[i]; ++smaller) {
        finite += std::isfinite(values_.items[smaller]) ? 1 : 0;
      }
      counts_[i] = smaller;
      finite_counts_[points_seen] = finite;
      points_seen += std::isfinite(points_.items[i]) ? 1 : 0;
    }
    finite_counts_.resize(points_seen);
    sum_.set_lists(points_.finite_numbers(), values_.finite_numbers(), finite_counts_.data(),
                   regularization_strength);
  }

  /// Writes one sum for each point of the list, times `scale`; NaN where it counts a weight that is
  /// not finite.
  template <class Range>
  void sum(int order, double scale, Row<Scalar> weights, const Range& of_values, Scalar* output,
           const ParallelFor& parallel_for) {
    const int64_t count_of_values = static_cast<int64_t>(values_.items.size());
    weights_.resize(count_of_values);
    finite_weights_.resize(count_of_values);
    int64_t finite = 0, sound = count_of_values;  // weights that come before any other
    for (int64_t j = 0; j < count_of_values; ++j) {
      double weight = weights[of_values.begin + values_.order[j]];
      if (!std::isfinite(weight)) {
        sound = std::min(sound, j);
        weight = 0;
      }
      weights_[j] = finite_weights_[finite] = weight;
      finite += std::isfinite(values_.items[j]) ? 1 : 0;
    }
    finite_weights_.resize(finite);
    sums_.resize(finite_counts_.size());
    sum_of_every_order<Cdf>(sum_, order, finite_weights_, sums_, parallel_for);
    WeightsAtInfinity<Cdf> ends{order};
    const double* sum = sums_.data();
    const int64_t count = static_cast<int64_t>(points_.items.size());
    for (int64_t i = 0, j = 0; i < count; ++i) {
      for (; j < counts_[i]; ++j) ends.add(values_.items[j], weights_[j]);
      double total = ends.at(points_.items[i]);
      if (std::isfinite(points_.items[i])) total += *sum++;
      if (counts_[i] > sound) total = std::numeric_limits<double>::quiet_NaN();
      // Though the scale be infinite.
      output[points_.order[i]] = static_cast<Scalar>(total == 0 ? 0 : scale * total);
    }
  }

 private:
  /// In the order of their keys.
  struct Items {
    std::vector<double> items, finite;
    std::vector<uint64_t> keys;
    std::vector<uint32_t> order;  // where each was

    Numbers finite_numbers() const { return {finite.data(), static_cast<int64_t>(finite.size())}; }
  };

  template <class Range>
  void sort(Row<uint64_t> keys, const Range& range, Items& to) {
    const int64_t count = range.end - range.begin;
    for (std::vector<uint64_t>* const room : {&keys_, &to.keys, &spare_}) room->resize(count);
    for (std::vector<uint32_t>* const room : {&to.order, &spare_order_}) room->resize(count);
    for (int64_t i = 0; i < count; ++i) keys_[i] = keys[range.begin + i];
    if (count == 0) return;
    radix_argsort(keys_.data(), count, {to.keys.data(), to.order.data()},
                  {spare_.data(), spare_order_.data()});
  }

  static void take(Row<Scalar> row, int64_t begin, Items& to) {
    const int64_t count = static_cast<int64_t>(to.order.size());
    to.items.resize(count);
    to.finite.resize(count);
    int64_t finite = 0;
    for (int64_t i = 0; i < count; ++i) {
      to.items[i] = to.finite[finite] = row[begin + to.order[i]];
      finite += std::isfinite(to.items[i]) ? 1 : 0;
    }
    to.finite.resize(finite);
  }

  Items points_, values_;
  std::vector<int64_t> counts_, finite_counts_;  // of values of smaller keys, for each point
  std::vector<double> weights_, finite_weights_, sums_;
  std::vector<uint64_t> keys_, spare_;
  std::vector<uint32_t> spare_order_;
  SumOverPrefixes<Cdf, precision_of_tails<Cdf, precision_of<Scalar>>()> sum_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
