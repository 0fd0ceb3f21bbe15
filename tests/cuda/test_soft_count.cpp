// Sums at points by the CUDA kernels, run on the host (emulator/cuda_runtime.h) and compared with
// sums over all pairs in long double, in the bounds of tests/answers/operators.py.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/sum/kernel_at.h"
#include "cpu/sum/weights_at_infinity.h"
#include "cuda/soft_count.h"
#include "tensor.h"

namespace {

using namespace rank_relax;
using cuda::Keys;
using cuda::PointSums;

int failures = 0;
double worst[2] = {};  // error over bound, float32 and float64

void expect(bool condition, const std::string& what) {
  if (condition) return;
  if (++failures <= 20) std::printf("FAILED %s\n", what.c_str());
}

/// Of a finite d.
template <class Cdf>
double kernel_of(int order, double d) {
  if constexpr (kHasIntegral<Cdf>) {
    if (order == -1) return kernel_at<Cdf, -1>(d);
  }
  if (order == 0) return kernel_at<Cdf, 0>(d);
  if (order == 1) return kernel_at<Cdf, 1>(d);
  if (order == 2) return kernel_at<Cdf, 2>(d);
  const double q = Cdf::coordinate(d), density = Cdf::first_derivative(q);
  return density == 0 ? 0 : typename Cdf::Ratio(order)(q) * density;
}

Row random_row(int64_t size, double scale, std::mt19937& random) {
  std::normal_distribution<double> normal(0, scale);
  Row row(size);
  for (double& value : row) {
    value = normal(random);
    if (random() % 7 == 0) value = std::round(value);
    if (random() % 23 == 0) value = random() % 2 == 0 ? kNan : std::copysign(kInfinity, value);
  }
  return row;
}

/// Ends of `lists` lists, some of them empty.
std::vector<int64_t> random_ends(int64_t lists, int64_t size, std::mt19937& random) {
  std::vector<int64_t> ends = {0, size};
  while (static_cast<int64_t>(ends.size()) < lists + 1) {
    ends.push_back(static_cast<int64_t>(random() % (size + 1)));
  }
  std::sort(ends.begin(), ends.end());
  return ends;
}

enum class Weights { kFinite, kAny };

struct Shape {
  int64_t rows, points, values, sets, lists;  // lists: 0 for none
};

/// Keys of a type: few, so that many are equal, and some NaN.
struct RandomKeys {
  Row keys;
  std::vector<int64_t> integers;
  std::vector<float> floats;

  RandomKeys(int64_t size, std::mt19937& random) {
    for (int64_t i = 0; i < size; ++i) {
      const auto key = static_cast<int64_t>(random() % 9) - 4;
      integers.push_back(key * (int64_t{1} << 60));
      keys.push_back(random() % 11 == 0 ? kNan : (key == 0 ? -0.0 : static_cast<double>(key) / 2));
      floats.push_back(static_cast<float>(keys.back()));
    }
  }

  const void* data(Keys::Type type) const {
    if (type == Keys::Type::kInt64) return integers.data();
    return type == Keys::Type::kFloat64 ? static_cast<const void*>(keys.data()) : floats.data();
  }
  bool less(const RandomKeys& other, Keys::Type type, int64_t i, int64_t j) const {
    return type == Keys::Type::kInt64 ? integers[i] < other.integers[j] : keys[i] < other.keys[j];
  }
};

template <class Cdf>
void check(const Shape& shape, Storage storage, int order, bool has_keys, double strength,
           Weights of_which, std::mt19937& random) {
  const auto [rows, points, values, sets, lists] = shape;
  Tensor t(storage, random_row(rows * points, 2, random));
  Tensor x(storage, random_row(rows * values, 2, random));
  Row of_weights = random_row(rows * sets * values, 1, random);
  for (double& weight : of_weights) {
    if (!std::isfinite(weight) && !(of_which == Weights::kAny && random() % 4 == 0)) weight = 0;
  }
  Tensor w(storage, of_weights), output(storage, Row(rows * sets * points, 123.0)), again(output);
  PointSums problem;
  problem.rows = rows;
  problem.points = points;
  problem.values = values;
  problem.sets = sets;
  problem.of_points = t.items(points);
  problem.of_values = x.items(values);
  problem.weights = w.items(values);
  problem.order = order;
  problem.regularization_strength = strength;
  std::vector<int64_t> point_ends, value_ends;
  if (lists > 0) {
    problem.lists = lists;
    for (int64_t row = 0; row < rows; ++row) {
      for (const int64_t end : random_ends(lists, points, random)) point_ends.push_back(end);
      for (const int64_t end : random_ends(lists, values, random)) value_ends.push_back(end);
    }
    if (rows > 2) point_ends[lists + 1] = 1;  // those of the second row don't begin with 0
    problem.point_ends = {point_ends.data(), lists + 1, 1};
    problem.value_ends = {value_ends.data(), lists + 1, 1};
  }
  const RandomKeys point_keys(rows * points, random), value_keys(rows * values, random);
  const auto type = static_cast<Keys::Type>(random() % 3);
  if (has_keys) {
    problem.point_keys = {point_keys.data(type), type, points, 1};
    problem.value_keys = {value_keys.data(type), type, values, 1};
  }
  for (Tensor* const to : {&output, &again}) {
    problem.output = to->results();
    std::vector<char> workspace(cuda::soft_count_workspace(problem) + 1, '\x5a');
    expect(cuda::soft_count(problem, Cdf::name, workspace.data(), nullptr) == cudaSuccess,
           "a launch");
    emulator::take_other_turns();
  }
  expect(std::memcmp(output.data(), again.data(), rows * sets * points * bytes_of(storage)) == 0,
         "the same bits in every order of turns");
  const Row at = t.values(), from = x.values(), weights = w.values(), got = output.values();
  const bool in_double = storage == Storage::kFloat64;
  const double rounding = storage == Storage::kBFloat16 ? 4e-3 : 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t* const ends_of_points = point_ends.data() + row * (lists + 1);
    const int64_t* const ends_of_values = value_ends.data() + row * (lists + 1);
    for (int64_t i = 0; i < points; ++i) {
      int64_t begin = 0, end = values;
      for (int64_t list = 0; list < lists; ++list) {
        if (ends_of_points[list] <= i && i < ends_of_points[list + 1]) {
          begin = ends_of_values[list];
          end = ends_of_values[list + 1];
        }
      }
      const double point = at[row * points + i];
      const bool is_nan = std::isnan(point) || (lists > 0 && ends_of_points[0] != 0);
      for (int64_t set = 0; set < sets; ++set) {
        long double sum = 0, mass = 0;
        cpu::WeightsAtInfinity<Cdf> ends{order};
        bool shows_nan = false;
        for (int64_t j = begin; j < end; ++j) {
          const double value = from[row * values + j];
          const double weight = weights[(row * sets + set) * values + j];
          if (has_keys && !value_keys.less(point_keys, type, row * values + j, row * points + i)) {
            continue;
          }
          const bool is_finite = std::isfinite(point) && std::isfinite(value);
          shows_nan |= !std::isfinite(weight) && (has_keys || is_finite);
          ends.add(value, weight);
          if (!std::isfinite(weight) || weight == 0) continue;
          if (!is_finite) {
            if (order <= 0 && point == value) mass += std::abs(weight) * kernel_of<Cdf>(order, 0);
            if (order == 0 && point > value) mass += std::abs(weight);
            continue;
          }
          const double d = strength * (point - value);
          sum += static_cast<long double>(weight) * kernel_of<Cdf>(order, d);
          mass += std::abs(weight) *
                  (std::abs(kernel_of<Cdf>(order, d)) + kernel_of<Cdf>(1, d) + 2.5e-3);
        }
        const double scale = std::pow(strength, order);
        const double total = static_cast<double>(sum) + ends.at(point);
        const double expected = is_nan || shows_nan ? kNan : (total == 0 ? 0 : total * scale);
        const double bound = (in_double ? 2e-13 : 1e-6) * static_cast<double>(mass * scale) +
                             rounding * std::abs(expected);
        const double here = got[(row * sets + set) * points + i];
        const double error = std::abs(here - expected);
        const bool right = std::isnan(expected)
                               ? std::isnan(here)
                               : (here == expected || (std::isfinite(expected) && error <= bound));
        expect(right, std::string(Cdf::name) + ", order " + std::to_string(order) + ", strength " +
                          std::to_string(strength) + ": got " + std::to_string(here) +
                          ", expected " + std::to_string(expected));
        if (right && error > 0 && rounding == 0) {
          worst[in_double] = std::max(worst[in_double], error / bound);
        }
      }
    }
  }
}

/// Differences that float does not hold, and strengths.
void check_far_items() {
  for (const double strength : {1e-38, 1.0, 1e38}) {
    Tensor t(Storage::kFloat32, {3e38, -3e38, 0}), x(Storage::kFloat32, {-3e38, 3e38}),
        w(Storage::kFloat32, {1, 1}), output(t);
    PointSums problem;
    problem.rows = 1;
    problem.points = 3;
    problem.values = 2;
    problem.of_points = t.items(3);
    problem.of_values = x.items(2);
    problem.weights = w.items(2);
    problem.regularization_strength = strength;
    problem.output = output.results();
    expect(cuda::soft_count(problem, "sigmoid", nullptr, nullptr) == cudaSuccess, "a launch");
    const double far = 1 / (1 + std::exp(-2 * static_cast<double>(3e38f) * strength));
    const double expected[] = {0.5 + far, 1.5 - far, 1};
    for (int i = 0; i < 3; ++i) {
      expect(std::abs(output.values()[i] - expected[i]) <= 1e-6, "a sum at far points");
    }
  }
}

/// The sum at one point.
double sum_at(double point, const Row& values, const Row& weights, const std::string& method,
              int order, double strength, Storage storage) {
  const auto count = static_cast<int64_t>(values.size());
  Tensor t(storage, {point}), x(storage, values), w(storage, weights), output(t);
  PointSums problem;
  problem.rows = problem.points = 1;
  problem.values = count;
  problem.of_points = t.items(1);
  problem.of_values = x.items(count);
  problem.weights = w.items(count);
  problem.order = order;
  problem.regularization_strength = strength;
  problem.output = output.results();
  expect(cuda::soft_count(problem, method, nullptr, nullptr) == cudaSuccess, "a launch");
  return output.values()[0];
}

/// Weights of which float holds no sum of eight, and those of which it holds few digits.
void check_weights_of_every_size() {
  constexpr int kCount = 256;  // eight for each lane of a warp
  struct Case {
    double weight, strength;
  };
  for (const auto [weight, strength] : {Case{3e38, 1e-10}, {-3e38, 1e-10}, {1e-44, 1e30}}) {
    const double sum =
        sum_at(0, Row(kCount, 0), Row(kCount, weight), "sigmoid", 1, strength, Storage::kFloat32);
    const double rounded = static_cast<double>(static_cast<float>(weight));
    const double expected = kCount * rounded * strength / 4;  // F'(0) = 1/4
    expect(std::abs(sum - expected) <= 1e-6 * std::abs(expected),
           "order 1 of large or small weights: got " + std::to_string(sum));
  }
  Row weights(kCount, 3e38);
  std::fill(weights.begin() + kCount / 2, weights.end(), -3e38);
  expect(sum_at(0, Row(kCount, 0), weights, "sigmoid", 0, 1, Storage::kFloat32) == 0,
         "large weights that cancel");
}

/// As cpu/sum/weights_at_infinity.h has it.
void check_infinite_items() {
  for (const Storage storage : {Storage::kFloat32, Storage::kFloat64}) {
    for_each_cdf(SmoothCdfs(), [&](auto cdf) {
      using Cdf = decltype(cdf);
      const std::string name = Cdf::name;
      for (int order = 1; order <= 3; ++order) {
        expect(sum_at(kInfinity, {kInfinity}, {1}, name, order, 2, storage) == 0,
               name + ": a derivative at infinity");
      }
      if constexpr (kHasIntegral<Cdf>) {
        const double beyond = sum_at(1, {kInfinity, 1}, {1, 1}, name, -1, 1, storage);
        const double alone = sum_at(1, {1}, {1}, name, -1, 1, storage);
        expect(beyond == alone, name + ": an integral beside a value at infinity");
        expect(sum_at(1, {-kInfinity, 1}, {1, 1}, name, -1, 1, storage) == kInfinity,
               name + ": an integral from minus infinity on");
        expect(sum_at(kInfinity, {1, 2, 3}, {1, 2, -3}, name, -1, 1, storage) == 0,
               name + ": an integral at infinity, of weights that cancel");
      }
    });
  }
}

void check_what_is_unknown() {
  Tensor one(Storage::kFloat32, {1}), output(one);
  PointSums problem;
  problem.rows = problem.points = problem.values = 1;
  problem.of_points = problem.of_values = problem.weights = one.items(1);
  problem.output = output.results();
  expect(cuda::soft_count(problem, "l2", nullptr, nullptr) == cudaErrorInvalidValue, "a method");
  for (const int order : {-2, SmoothCdfs::kMaxOrder + 1}) {
    problem.order = order;
    expect(cuda::soft_count(problem, "sigmoid", nullptr, nullptr) == cudaErrorInvalidValue,
           "an order");
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  check_far_items();
  check_weights_of_every_size();
  check_infinite_items();
  check_what_is_unknown();
  for_each_cdf(SmoothCdfs(), [&](auto cdf) {
    using Cdf = decltype(cdf);
    for (int order = -1; order <= 5; order += order < 2 ? 1 : 3) {
      if (order < 0 && !kHasIntegral<Cdf>) continue;
      for (const Storage storage : {Storage::kFloat32, Storage::kFloat64, Storage::kBFloat16}) {
        for (const bool has_keys : {false, true}) {
          // The last has so many points that a thread takes one by itself.
          for (const Shape& shape : {Shape{1, 1, 1, 1, 0},
                                     {3, 5, 40, 2, 0},
                                     {3, 30, 50, 5, 6},
                                     {1, 7, 300, 1, 1},
                                     {4, 300, 20, 1, 70}}) {
            if (random() % 3 != 0) continue;
            const double strength = std::pow(10.0, static_cast<int>(random() % 4) - 1);
            const auto of_which = random() % 8 == 0 ? Weights::kAny : Weights::kFinite;
            check<Cdf>(shape, storage, order, has_keys, strength, of_which, random);
          }
        }
      }
    }
  });
  std::printf("sums at points: largest errors beside their bounds %.2f, %.2f\n", worst[0],
              worst[1]);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
