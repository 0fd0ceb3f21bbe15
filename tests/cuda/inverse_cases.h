#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../plain_cdf_by_name.h"
#include "cases.h"
#include "tensor.h"

// The rows whose smoothed count the tests invert: sorts, quantiles and top-k masks.

/// F(-d) for d >= 0, its logarithm, and F'.
inline long double tail(const std::string& method, long double d) {
  return of_plain_cdf(method, [=](auto cdf) { return cdf.tail(d); });
}

inline long double log_tail(const std::string& method, long double d) {
  return of_plain_cdf(method, [=](auto cdf) { return cdf.log_tail(d); });
}

inline long double density(const std::string& method, long double d) {
  return of_plain_cdf(method, [=](auto cdf) { return cdf.at(d).first; });
}

/// What counts of a row, as docs/semantics.md says.
struct Counted {
  Row finite;  // ascending
  int64_t below = 0, above = 0, nan = 0;

  explicit Counted(const Case& c) {
    for (size_t i = 0; i < c.values.size(); ++i) {
      const double value = c.values[i];
      if (!c.mask.empty() && c.mask[i] == 0) continue;
      if (std::isfinite(value)) finite.push_back(value);
      below += value == -kInfinity;
      above += value == kInfinity;
      nan += std::isnan(value);
    }
    std::sort(finite.begin(), finite.end());
  }

  int64_t count() const { return static_cast<int64_t>(finite.size()); }
  double largest() const {
    return finite.empty() ? 0 : std::max(std::abs(finite.front()), std::abs(finite.back()));
  }
};

inline std::vector<Case> cases(int64_t size, std::mt19937& random) {
  Cases all(size, random);
  for (const double strength : {1e-3, 1.0, 30.0, 1e4}) all.add_normal(strength);
  all.add("shifted", 1, [](double x, int64_t) { return 1e4 + x; });
  all.add("constant", 3, [](double, int64_t) { return 2.5; });
  all.add("ties", 5, [](double x, int64_t) { return std::round(x); });
  all.add("outlier", 2, [](double x, int64_t i) { return i == 0 ? 1e5 : x; });
  all.add("two clusters", 1, [](double x, int64_t i) { return x + (i % 2 == 0 ? 1e4 : 0); });
  all.add("near clusters", 1, [](double x, int64_t i) { return x / 8 + (i % 2 == 0 ? 150 : 0); });
  all.add("a heap and a chain", 1, [&](double, int64_t i) {
    return i < size / 2 ? 0 : 30.0 * static_cast<double>(i - size / 2);
  });
  all.add_infinities();
  all.add("largest", 1e-37, [](double x, int64_t) { return std::copysign(3e38, x) / (1 + x * x); });
  all.add("largest and sharp", 1e300, [](double x, int64_t) { return std::copysign(3e38, x); });
  all.add_masks(300);
  return std::move(all).all();
}
