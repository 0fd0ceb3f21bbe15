#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "../plain_cdf_by_name.h"
#include "tensor.h"

// The rows whose smoothed count the tests invert: sorts, quantiles and top-k masks.

/// A row, and what it is sorted with.
struct Case {
  std::string name;
  Row values;
  double strength = 1;
  Row mask = {};  // 0 where an item is masked
};

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

inline Row random_row(int64_t size, std::mt19937& random, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  Row values(size);
  for (double& value : values) value = normal(random);
  return values;
}

inline std::vector<Case> cases(int64_t size, std::mt19937& random) {
  std::vector<Case> all;
  const auto add = [&](const char* name, double strength, auto change, Row mask = {}) {
    Row values = random_row(size, random);
    for (int64_t i = 0; i < size; ++i) values[i] = change(values[i], i);
    all.push_back({name, values, strength, std::move(mask)});
  };
  const auto same = [](double x, int64_t) { return x; };
  for (const double strength : {1e-3, 1.0, 30.0, 1e4}) add("normal", strength, same);
  add("shifted", 1, [](double x, int64_t) { return 1e4 + x; });
  add("constant", 3, [](double, int64_t) { return 2.5; });
  add("ties", 5, [](double x, int64_t) { return std::round(x); });
  add("outlier", 2, [](double x, int64_t i) { return i == 0 ? 1e5 : x; });
  add("two clusters", 1, [](double x, int64_t i) { return x + (i % 2 == 0 ? 1e4 : 0); });
  add("near clusters", 1, [](double x, int64_t i) { return x / 8 + (i % 2 == 0 ? 150 : 0); });
  add("a heap and a chain", 1, [&](double, int64_t i) {
    return i < size / 2 ? 0 : 30.0 * static_cast<double>(i - size / 2);
  });
  add("infinities", 1,
      [](double x, int64_t i) { return i % 3 == 0 ? std::copysign(kInfinity, x) : x; });
  add("infinities alone", 1, [](double x, int64_t) { return std::copysign(kInfinity, x); });
  add("largest", 1e-37, [](double x, int64_t) { return std::copysign(3e38, x) / (1 + x * x); });
  add("largest and sharp", 1e300, [](double x, int64_t) { return std::copysign(3e38, x); });
  Row mask(size), none(size, 0.0);
  for (int64_t i = 0; i < size; ++i) mask[i] = i % 3 != 1;
  const auto some = [](double x, int64_t i) {
    return i % 7 == 0 ? kNan : (i % 11 == 0 ? kInfinity : x);
  };
  add("mask", 1, some, mask);
  add("mask and sharp", 300, some, mask);
  add("all masked", 1, some, none);
  return all;
}
