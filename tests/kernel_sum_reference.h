#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

/// A row of which some items are finite, and two directions of derivatives.
struct FiniteItems {
  const double* values;
  const double* v;
  const double* w;
  const int64_t* items;  // the finite ones
  int64_t count;
  double strength;
};

/// Σ_j over them of F, (v_i - v_j) F', (v_i - v_j)(w_i - w_j) F'', F' and |F''|.
struct PairSums {
  long double count = 0, first = 0, second = 0, mass = 0, curvature = 0;
};

/// In kernel_sum_reference.cpp, so that what takes most of the time is compiled for speed, and
/// without the sanitizers of the kernels beside it: hence pointers, which are the same for both.
PairSums sums_of_pairs(const char* cdf, const FiniteItems& row, int64_t item);

/// What the soft ranks of a row and their derivatives along v, and along v and w, are at some of
/// its items, from sums over all pairs in long double; and how far off a kernel may be, as
/// docs/algorithm.md says. Infinities count as docs/semantics.md says; there is no NaN.
class KernelSumReference {
 public:
  struct At {
    int64_t item;
    double expected[3];
    double mass;  // Σ_j F' around it
    bool at_an_end;
  };

  static KernelSumReference of(const std::string& cdf, const std::vector<double>& values,
                               double strength, const std::vector<double>& v,
                               const std::vector<double>& w) {
    KernelSumReference reference(values, strength, v, w);
    for (const int64_t item : reference.sample()) reference.sum(cdf, item);
    return reference;
  }

  const std::vector<At>& items() const { return items_; }

  /// How far a kernel may be off in any place; and at some items, `relative` to what is there: to 1
  /// + the soft count of the items below, and to the sum of F' at either end of the row.
  double bound(const At& at, int order, bool in_double, double relative) const {
    if (order == 0) {
      return std::min(in_double ? 1e-13 : 5e-7, relative * (1 / others() + at.expected[0]));
    }
    const double many = in_double && values_.size() > 100'000 ? 10 : 1;
    const double of_gradient = many * (in_double ? 1e-12 : 1e-6) * mass_;
    double sums = many * (in_double ? 1e-12 : 2e-6) * 4 * curvature_;
    if (order == 2 && spread_ > 2) sums = std::max(sums, 2 * of_gradient);
    if (order == 1) sums = at.at_an_end ? std::min(of_gradient, relative * at.mass) : of_gradient;
    // What is left of a constant direction is the rounding of its mean.
    const double epsilon = in_double ? std::numeric_limits<double>::epsilon() *
                                           std::sqrt(static_cast<double>(values_.size()))
                                     : std::numeric_limits<float>::epsilon();
    double bound = sums / others();
    for (int l = 0; l < order; ++l) {
      bound *= (deviation_[l] + epsilon * largest_[l]) * strength_;
    }
    return bound + (in_double ? 5e-324 : 1.5e-45);
  }

 private:
  KernelSumReference(const std::vector<double>& values, double strength,
                     const std::vector<double>& v, const std::vector<double>& w)
      : values_(values), directions_{v, w}, strength_(strength) {
    for (int64_t i = 0; i < size(); ++i) {
      if (std::isfinite(values[i])) order_.push_back(i);
    }
    std::sort(order_.begin(), order_.end(),
              [&](int64_t a, int64_t b) { return values[a] < values[b]; });
    if (order_.empty()) return;
    spread_ = static_cast<double>(scaled(values[order_.back()], values[order_.front()]));
    for (int l = 0; l < 2; ++l) {
      double mean = 0;
      for (const int64_t i : order_) {
        mean += directions_[l][i] / static_cast<double>(order_.size());
      }
      for (const int64_t i : order_) {
        deviation_[l] = std::max(deviation_[l], std::abs(directions_[l][i] - mean));
        largest_[l] = std::max(largest_[l], std::abs(directions_[l][i]));
      }
    }
  }

  int64_t size() const { return static_cast<int64_t>(values_.size()); }
  double others() const { return static_cast<double>(std::max<int64_t>(size() - 1, 1)); }
  long double scaled(long double a, long double b) const { return (a - b) * strength_; }

  /// All items of a short row; else its ends, where it is densest, infinities, and some more.
  std::vector<int64_t> sample() const {
    std::vector<int64_t> items;
    const int64_t step = size() <= 100 ? 1 : size() / 23;
    for (int64_t i = 0; i < size(); i += step) items.push_back(i);
    if (order_.empty() || step == 1) return items;
    items.insert(items.end(), {order_.front(), order_[order_.size() / 2], order_.back()});
    size_t begin = 0, end = 0, most = 0, densest = 0;
    for (size_t p = 0; p < order_.size(); ++p) {
      while (scaled(values_[order_[p]], values_[order_[begin]]) > 1) ++begin;
      while (end < order_.size() && scaled(values_[order_[end]], values_[order_[p]]) <= 1) ++end;
      if (end - begin > most) most = end - begin, densest = p;
    }
    items.push_back(order_[densest]);
    return items;
  }

  void sum(const std::string& cdf, int64_t item) {
    const double x = values_[item];
    At at = {};
    at.item = item;
    PairSums sums;
    if (std::isfinite(x)) {
      sums = sums_of_pairs(cdf.c_str(),
                           {values_.data(), directions_[0].data(), directions_[1].data(),
                            order_.data(), static_cast<int64_t>(order_.size()), strength_},
                           item);
    }
    for (const double y : values_) {
      if (std::isfinite(x) && std::isfinite(y)) continue;
      sums.count += x == y ? 0.5L : (x > y ? 1 : 0);
    }
    mass_ = std::max(mass_, static_cast<double>(sums.mass));
    curvature_ = std::max(curvature_, static_cast<double>(sums.curvature));
    at.mass = static_cast<double>(sums.mass);
    at.at_an_end =
        std::isfinite(x) && (x == values_[order_.front()] || x == values_[order_.back()]);
    at.expected[0] = static_cast<double>((sums.count - 0.5L) / others());  // less the item itself
    at.expected[1] = static_cast<double>(sums.first * strength_ / others());
    at.expected[2] = static_cast<double>(sums.second * strength_ * strength_ / others());
    items_.push_back(at);
  }

  std::vector<double> values_;
  std::vector<double> directions_[2];
  double strength_;
  std::vector<int64_t> order_;  // of the finite items, ascending
  std::vector<At> items_;
  double mass_ = 0, curvature_ = 0, spread_ = 0;
  double deviation_[2] = {}, largest_[2] = {};
};
