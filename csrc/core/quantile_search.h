#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

namespace rank_relax {

/// The inverse of the smoothed count G(y) = Σ_j F(α (y - x_j)) over some finite values, one level
/// at a time: O(count) a step, whatever the values are. Borrows them.
///
/// G is taken apart at y, into whole items below and two tails,
///
///     G(y) = #{x_j < y} + #{x_j = y}/2 - lower(y) + upper(y)
///     lower = Σ_{x_j < y} F(-α (y - x_j)),    upper = Σ_{x_j > y} F(-α (x_j - y)),
///
/// so that nothing is lost beside the count. In a gap that is wide beside 1/α, G is flat at a whole
/// number to rounding; that level is where the two tails are equal, and there their logarithms are
/// compared, which fall steadily however wide the gap is.
template <class Cdf>
class QuantileSearch {
 public:
  /// At least one value.
  QuantileSearch(const double* values, int64_t count, double regularization_strength)
      : values_(values), count_(count), strength_(regularization_strength) {
    const auto [lowest, highest] = std::minmax_element(values, values + count);
    minimum_ = *lowest;
    maximum_ = *highest;
  }

  /// y with G(y) = level, 0 < level < count.
  double operator()(double level) const {
    if (level == std::floor(level)) {
      const double lower = largest_of(static_cast<int64_t>(level));
      const double upper = smallest_above(lower);
      const bool cuts_here = count_up_to(lower) == static_cast<int64_t>(level);
      if (cuts_here && balance(lower, lower, upper).value <= 0 &&
          balance(upper, lower, upper).value >= 0) {
        return root([&](double y) { return balance(y, lower, upper); }, lower, upper);
      }
    }
    double lower = minimum_, upper = maximum_;
    for (double step = 1 / strength_; excess(lower, level).value > 0; step *= 2) {
      if (lower == -kHuge) return -kInfinity;  // as far as ln(2n)/α goes
      lower = std::max(lower - step, -kHuge);
    }
    for (double step = 1 / strength_; excess(upper, level).value < 0; step *= 2) {
      if (upper == kHuge) return kInfinity;
      upper = std::min(upper + step, kHuge);
    }
    return root([&](double y) { return excess(y, level); }, lower, upper);
  }

 private:
  struct Step {
    double value;
    double slope;  // in units of 1/α
  };

  /// α |a - b| where the difference may overflow.
  double distance(double a, double b) const { return 2 * (strength_ * std::abs(a / 2 - b / 2)); }

  /// G(y) - level.
  Step excess(double y, double level) const {
    double tails = 0, density = 0;
    int64_t below = 0, equal = 0;
    for (int64_t begin = 0; begin < count_; begin += kChunk) {
      double chunk_tails = 0, chunk_density = 0;
      for (int64_t i = begin; i < std::min(begin + kChunk, count_); ++i) {
        const double x = values_[i], d = distance(y, x);
        below += x < y ? 1 : 0;
        equal += x == y ? 1 : 0;
        if (d > kFarthest) continue;
        const double tail = Cdf::upper_tail(d);
        chunk_tails += x > y ? tail : x < y ? -tail : 0;
        chunk_density += Cdf::first_derivative(Cdf::coordinate(d));
      }
      tails += chunk_tails;
      density += chunk_density;
    }
    const double whole = static_cast<double>(below) + static_cast<double>(equal) / 2;
    return {(whole - level) + tails, density};
  }

  /// log upper(y) - log lower(y), for y between neighbours `lower` and `upper` of the row. Of each
  /// tail, the sum of exp(log F(-d) - log F(-d_nearest)) is at least 1.
  Step balance(double y, double lower, double upper) const {
    const double nearest[] = {Cdf::log_upper_tail(distance(y, lower)),
                              Cdf::log_upper_tail(distance(y, upper))};
    double sum[2] = {0, 0}, slope[2] = {0, 0};
    for (int64_t i = 0; i < count_; ++i) {
      const int side = values_[i] >= upper ? 1 : 0;
      const double d = distance(y, values_[i]);
      const double weight = std::exp(Cdf::log_upper_tail(d) - nearest[side]);
      if (weight == 0) continue;
      sum[side] += weight;
      slope[side] += weight * Cdf::hazard(d);
    }
    return {nearest[1] - nearest[0] + std::log(sum[1] / sum[0]),
            slope[1] / sum[1] + slope[0] / sum[0]};
  }

  /// Newton's method while its steps halve and stay between the bounds, else bisection.
  template <class Function>
  double root(const Function& f, double lower, double upper) const {
    constexpr int kMostSteps = 300;
    double y = lower / 2 + upper / 2, last = kInfinity;
    for (int i = 0; i < kMostSteps; ++i) {
      const Step step = f(y);
      if (step.value == 0) return y;
      (step.value > 0 ? upper : lower) = y;
      double next = y - step.value / step.slope / strength_;
      const bool newton = lower < next && next < upper && std::abs(next - y) <= last / 2;
      if (!newton) next = lower / 2 + upper / 2;
      last = std::abs(next - y);
      const bool close = last <= kEpsilon * std::abs(next) || last * strength_ <= kEpsilon / 2;
      if (close || next == lower || next == upper) return next;
      y = next;
    }
    return y;
  }

  double largest_of(int64_t number) const {
    std::vector<double> values(values_, values_ + count_);
    std::nth_element(values.begin(), values.begin() + (number - 1), values.end());
    return values[number - 1];
  }

  double smallest_above(double bound) const {
    double smallest = std::numeric_limits<double>::infinity();
    for (int64_t i = 0; i < count_; ++i) {
      if (values_[i] > bound) smallest = std::min(smallest, values_[i]);
    }
    return smallest;
  }

  int64_t count_up_to(double bound) const {
    return std::count_if(values_, values_ + count_, [=](double x) { return x <= bound; });
  }

  static constexpr int64_t kChunk = 1024;
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kHuge = std::numeric_limits<double>::max();
  static constexpr double kEpsilon = std::numeric_limits<double>::epsilon();
  static constexpr double kFarthest = 750;  // where every tail underflows

  const double* values_;
  int64_t count_;
  double strength_, minimum_, maximum_;
};

}  // namespace rank_relax
