#pragma once

#include <cmath>

namespace rank_relax {

/// A sum whose roundings are added up beside it (Neumaier 1974), so that its error does not grow
/// with the number of its terms, however small these are beside it.
class CompensatedSum {
 public:
  void add(double term) {
    const double next = sum_ + term;
    rest_ += std::abs(sum_) < std::abs(term) ? (term - next) + sum_ : (sum_ - next) + term;
    sum_ = next;
  }
  /// Of an infinite sum the rest is none.
  double value() const { return std::isfinite(sum_) ? sum_ + rest_ : sum_; }

 private:
  double sum_ = 0, rest_ = 0;
};

}  // namespace rank_relax
