#pragma once

#include <cmath>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "tensor.h"

/// A row, and what it is ranked or sorted with.
struct Case {
  std::string name;
  Row values;
  double strength = 1;
  Row mask = {};  // 0 where an item is masked
};

inline Row random_row(int64_t size, std::mt19937& random, double scale = 1) {
  std::normal_distribution<double> normal(0, scale);
  Row values(size);
  for (double& value : values) value = normal(random);
  return values;
}

/// Rows of one size, of random values that are changed item by item.
class Cases {
 public:
  Cases(int64_t size, std::mt19937& random) : size_(size), random_(random) {}

  /// change(x, i) is item i.
  template <class Change>
  void add(const char* name, double strength, const Change& change, Row mask = {}) {
    Row values = random_row(size_, random_);
    for (int64_t i = 0; i < size_; ++i) values[i] = change(values[i], i);
    all_.push_back({name, values, strength, std::move(mask)});
  }

  void add_normal(double strength) {
    add("normal", strength, [](double x, int64_t) { return x; });
  }

  void add_infinities() {
    add("infinities", 1,
        [](double x, int64_t i) { return i % 3 == 0 ? std::copysign(kInfinity, x) : x; });
    add("infinities alone", 1, [](double x, int64_t) { return std::copysign(kInfinity, x); });
  }

  /// Rows with items of every kind, of which a mask leaves two in three or none.
  void add_masks(double sharp) {
    Row mask(size_), none(size_, 0.0);
    for (int64_t i = 0; i < size_; ++i) mask[i] = i % 3 != 1;
    const auto some = [](double x, int64_t i) {
      return i % 7 == 0 ? kNan : (i % 11 == 0 ? kInfinity : x);
    };
    add("mask", 1, some, mask);
    add("mask and sharp", sharp, some, mask);
    add("all masked", 1, some, none);
  }

  std::vector<Case> all() && { return std::move(all_); }

 private:
  int64_t size_;
  std::mt19937& random_;
  std::vector<Case> all_;
};
