// The CUDA kernels, as they stand, run on the host (emulator/cuda_runtime.h) and compared with
// float64 sums over all pairs, in the bounds of docs/algorithm.md.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "cases.h"
#include "core/cdf/smooth_cdfs.h"
#include "cuda/row/rows_together.cuh"
#include "cuda/soft_rank.h"
#include "cuda/spearman_loss.h"
#include "tensor.h"

namespace {

using namespace rank_relax;
using cuda::KernelSum;

int failures = 0;
double worst_of[2][3] = {};  // [double][order], in units of the bound

Row run(const KernelSum& problem, const char* method, Tensor& output) {
  std::vector<char> workspace(cuda::kernel_sum_workspace(problem, method) + 1, '\x5a');
  if (cuda::kernel_sum(problem, method, workspace.data(), nullptr) != cudaSuccess) {
    std::printf("FAILED: a launch\n");
    ++failures;
  }
  return output.values();
}

bool counts(const Case& c, size_t i) {
  return (c.mask.empty() || c.mask[i] != 0) && !std::isnan(c.values[i]);
}

template <class Cdf>
double kernel_at(int order, double d) {
  const double q = Cdf::coordinate(d);
  if (order == 0) return Cdf::centered(q);
  if (order == 1) return Cdf::first_derivative(q);
  if (order == 2) return Cdf::second_derivative(q);
  return typename Cdf::Ratio(order)(q) * Cdf::first_derivative(q);
}

/// What one item of a derivative should be, and the most that it may be off.
struct Expected {
  double value, bound;
};

double deviation(const Case& c, const Row& v) {
  double mean = 0, count = 0, largest = 0;
  for (size_t i = 0; i < v.size(); ++i) {
    if (counts(c, i) && std::isfinite(c.values[i])) mean += v[i], count += 1;
  }
  for (size_t i = 0; i < v.size(); ++i) {
    if (counts(c, i) && std::isfinite(c.values[i])) {
      largest = std::max(largest, std::abs(v[i] - mean / count));
    }
  }
  return largest;
}

template <class Cdf>
double expected_at(const Case& c, const std::vector<Row>& directions, size_t i, double shift,
                   double strength, double& mass) {
  const int order = static_cast<int>(directions.size());
  const double x = c.values[i];
  double n = 0, sum = 0;
  mass = 0;
  for (size_t j = 0; j < c.values.size(); ++j) {
    if (!counts(c, j)) continue;
    n += 1;
    const double y = c.values[j];
    if (order == 0 && (std::isinf(x) || std::isinf(y))) {
      sum += x == y ? 0 : (x > y ? 0.5 : -0.5);
      continue;
    }
    if (std::isinf(y)) continue;
    const double d = 2 * (strength * (x / 2 - y / 2));
    double term = kernel_at<Cdf>(order, d);
    for (const Row& v : directions) term *= v[i] - v[j];
    sum += term;
    mass += kernel_at<Cdf>(1, d);
  }
  if (!counts(c, i)) return c.mask.empty() || c.mask[i] != 0 ? kNan : 0;
  const double others = std::max(n - 1, 1.0);
  if (order == 0) return sum / others + (n > 1 ? shift : 0);
  mass *= std::pow(strength, order) / others;
  return std::isinf(x) ? 0 : sum / others * std::pow(strength, order);
}

double rounding_of(Storage storage) {
  if (storage == Storage::kFloat64) return 0;
  if (storage == Storage::kFloat32) return 6e-8;
  return storage == Storage::kBFloat16 ? 4e-3 : 5e-4;
}

double smallest_of(Storage storage) {
  if (storage == Storage::kFloat64) return 0;
  return storage == Storage::kFloat16 ? 6e-8 : (storage == Storage::kFloat32 ? 1.5e-45 : 1e-40);
}

/// The items at which a row is checked: all of a short one.
std::vector<size_t> sample(size_t size) {
  std::vector<size_t> items;
  const size_t step = size <= 400 ? 1 : size / 97;
  for (size_t i = 0; i < size; i += step) items.push_back(i);
  return items;
}

void report(const Case& c, const char* what, size_t i, double got, double expected, double bound) {
  if (++failures <= 30) {
    std::printf("FAILED %s, %s, n = %zu, α = %g, item %zu: got %.17g, expected %.17g ± %.3g\n",
                c.name.c_str(), what, c.values.size(), c.strength, i, got, expected, bound);
  }
}

template <class Cdf>
void check(Case c, Storage storage, int order, std::mt19937& random) {
  Tensor input(storage, c.values);
  c.values = input.values();
  const auto size = static_cast<int64_t>(c.values.size());
  Tensor mask(Storage::kByte, c.mask);
  KernelSum problem;
  problem.rows = 1;
  problem.size = size;
  problem.input = input.items(size);
  if (!c.mask.empty()) problem.mask = mask.items(size);
  problem.regularization_strength = c.strength;
  problem.order = order;
  problem.shift = order == 0 ? 0.5 : 0;
  std::vector<Row> directions;
  std::vector<Tensor> direction_tensors;
  for (int l = 0; l < order; ++l) {
    std::normal_distribution<double> normal(l, l + 1);
    Row direction(size);
    for (int64_t i = 0; i < size; ++i) {
      direction[i] = normal(random);
      if (!counts(c, i)) direction[i] = kNan;  // is not read
    }
    direction_tensors.emplace_back(storage, direction);
    directions.push_back(direction_tensors.back().values());
  }
  for (int l = 0; l < order; ++l) problem.directions[l] = direction_tensors[l].items(size);
  Tensor output(storage, Row(size, 123.0));
  problem.output = {output.data(), storage};
  const Row got = run(problem, Cdf::name, output);
  emulator::take_other_turns();  // must give the same bits
  Tensor again(storage, Row(size, 321.0));
  problem.output.data = again.data();
  run(problem, Cdf::name, again);
  if (std::memcmp(output.data(), again.data(), size * bytes_of(storage)) != 0) {
    report(c, "other bits for other turns", 0, 0, 0, 0);
  }
  const bool in_double = storage == Storage::kFloat64;
  const double rank_error = in_double ? 1e-13 : 5e-7;
  const double derivative_error = in_double ? 1e-12 : 1e-6;
  std::vector<Expected> expected;
  const std::vector<size_t> items = sample(size);
  double largest_mass = 0;
  for (const size_t i : items) {
    double mass;
    expected.push_back({expected_at<Cdf>(c, directions, i, 0.5, c.strength, mass), 0});
    largest_mass = std::max(largest_mass, mass);
  }
  double scale = derivative_error * largest_mass;
  for (const Row& v : directions) scale *= deviation(c, v);
  for (int l = 1; l < order; ++l) scale *= 2;
  for (size_t s = 0; s < items.size(); ++s) {
    const double value = expected[s].value;
    const double bound = (order == 0 ? rank_error : scale) +
                         rounding_of(storage) * std::abs(value) + smallest_of(storage);
    const double here = got[items[s]];
    const bool right = std::isnan(value) ? std::isnan(here) : std::abs(here - value) <= bound;
    if (!right)
      report(c,
             (std::string(Cdf::name) + " order " + std::to_string(order) +
              (in_double ? " double" : ""))
                 .c_str(),
             items[s], here, value, bound);
    if (right && order < 3 && storage <= Storage::kFloat32 && bound > 0 && !std::isnan(value)) {
      worst_of[in_double][order] =
          std::max(worst_of[in_double][order], std::abs(here - value) / bound);
    }
  }
  if (order > 0) return;
  for (int64_t i = 0; i + 1 < size; ++i) {  // equal values have equal bits
    if (c.values[i] == c.values[i + 1] && counts(c, i) && counts(c, i + 1) &&
        got[i] != got[i + 1]) {
      report(c, "equal values", i, got[i + 1], got[i], 0);
    }
  }
}

/// Rows of every kind that docs/algorithm.md and docs/semantics.md speak of.
std::vector<Case> cases(int64_t size, std::mt19937& random) {
  Cases all(size, random);
  for (const double strength : {1e-6, 1.0, 4.0, 30.0, 1e6}) all.add_normal(strength);
  all.add("shifted", 1, [](double x, int64_t) { return 1e4 + x; });
  all.add("constant", 2, [](double, int64_t) { return 1.25; });
  all.add("ties", 5, [](double x, int64_t) { return std::round(x); });
  all.add("outlier", 1, [](double x, int64_t i) { return i == 0 ? 1e30 : x; });
  all.add("clusters", 1, [](double x, int64_t i) { return x + (i % 2 == 0 ? 1e4 : -1e4); });
  all.add("broad", 1, [&](double x, int64_t) { return x * static_cast<double>(size) / 100; });
  all.add("sparse", 1, [&](double x, int64_t) { return x * static_cast<double>(size); });
  all.add("geometric", 1, [&](double x, int64_t i) {
    return std::copysign(
        std::pow(10, 60.0 * static_cast<double>(i) / static_cast<double>(size) - 30), x);
  });
  all.add_infinities();
  all.add("NaN", 1, [](double x, int64_t i) { return i % 5 == 0 ? kNan : x; });
  all.add("largest", 1, [](double x, int64_t) { return std::copysign(3e38, x); });
  all.add("largest and small", 1e-37,
          [](double x, int64_t) { return std::copysign(3e38, x) / (1 + x * x); });
  all.add("neighbours", 1e6, [](double, int64_t i) {
    return static_cast<double>(std::nextafter(1.0f, i % 2 == 0 ? 2.0f : 0.0f));
  });
  all.add_masks(100);
  return std::move(all).all();
}

/// The loss and its gradient by definition, in double, for rows that are not narrow.
template <class Cdf>
double expected_loss(const Case& a, const Case& b, Row& rank_gradient) {
  const size_t size = a.values.size();
  Row rank_a(size), rank_b(size);
  double unused, aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < size; ++i) {
    rank_a[i] = expected_at<Cdf>(a, {}, i, 0, a.strength, unused);
    rank_b[i] = expected_at<Cdf>(b, {}, i, 0, b.strength, unused);
    aa += rank_a[i] * rank_a[i];
    bb += rank_b[i] * rank_b[i];
    ab += rank_a[i] * rank_b[i];
  }
  const double rho = ab / std::sqrt(aa * bb);
  rank_gradient.resize(size);
  for (size_t i = 0; i < size; ++i) {
    rank_gradient[i] = -(rank_b[i] / std::sqrt(aa * bb) - rho * rank_a[i] / aa);
  }
  return 1 - rho;
}

struct Loss {
  double loss;
  Row of_a, of_b, gradient;
};

/// Forward and, for grad_output 1, backward, as the adapters call them.
template <class Cdf>
Loss run_spearman(const Case& a, const Case& b, Storage storage) {
  const auto size = static_cast<int64_t>(a.values.size());
  const Storage statistics = storage == Storage::kFloat64 ? storage : Storage::kFloat32;
  Tensor mask(Storage::kByte, a.mask), loss(storage, {0}), gradient(storage, Row(size));
  Tensor sides[] = {Tensor(storage, a.values), Tensor(storage, b.values)};
  Tensor ranks[] = {Tensor(statistics, Row(size)), Tensor(statistics, Row(size))};
  KernelSum problem;
  problem.rows = 1;
  problem.size = size;
  if (!a.mask.empty()) problem.mask = mask.items(size);
  problem.regularization_strength = a.strength;
  problem.for_correlation = true;
  for (const int side : {0, 1}) {
    problem.input = sides[side].items(size);
    problem.output = {ranks[side].data(), statistics};
    run(problem, Cdf::name, ranks[side]);
  }
  const cuda::Correlation correlation = {1,
                                         size,
                                         problem.mask,
                                         ranks[0].data(),
                                         ranks[1].data(),
                                         storage == Storage::kFloat64,
                                         {loss.data(), storage}};
  std::vector<char> workspace(cuda::correlation_workspace(correlation) + 1);
  if (cuda::correlation(correlation, workspace.data(), nullptr) != cudaSuccess) ++failures;
  problem.input = sides[0].items(size);
  problem.order = 1;
  problem.directions[0] = ranks[0].items(size);
  problem.spread_nan = true;
  problem.output = {gradient.data(), storage};
  const Row of_input = run(problem, Cdf::name, gradient);
  return {loss.values()[0], ranks[0].values(), ranks[1].values(), of_input};
}

template <class Cdf>
void check_spearman(int64_t size, double strength, Storage storage, std::mt19937& random) {
  Case a{"Spearman", Tensor(storage, random_row(size, random)).values(), strength};
  Case b{"Spearman", Tensor(storage, random_row(size, random)).values(), strength};
  const Loss got = run_spearman<Cdf>(a, b, storage);
  const double error = storage == Storage::kFloat64 ? 1e-12 : 1e-5 + rounding_of(storage);
  Row rank_gradient;
  const double loss = expected_loss<Cdf>(a, b, rank_gradient);
  if (!(std::abs(got.loss - loss) <= error)) report(a, "loss", 0, got.loss, loss, error);
  double largest = 0.01, mass;
  Row gradient(size);
  for (int64_t i = 0; i < size; ++i) {
    gradient[i] = expected_at<Cdf>(a, {rank_gradient}, i, 0, strength, mass);
    largest = std::max(largest, std::abs(gradient[i]));
  }
  for (int64_t i = 0; i < size; ++i) {
    if (!(std::abs(got.gradient[i] - gradient[i]) <= 10 * error * largest)) {
      report(a, "gradient of the loss", i, got.gradient[i], gradient[i], 10 * error * largest);
    }
  }
}

void expect(bool condition, const char* what) {
  if (condition) return;
  std::printf("FAILED %s\n", what);
  ++failures;
}

void check_spearman_semantics(std::mt19937& random) {
  using Cdf = Sigmoid;
  const Case a{"a", random_row(50, random)}, constant{"constant", Row(50, 2.0)};
  Case undefined = a, narrow = a, masked = a, alone = a;
  undefined.values[7] = kNan;
  for (double& value : narrow.values) value *= 1e-40;
  alone.mask = Row(50, 0.0);
  alone.mask[3] = 1;
  const auto all = [](const Row& row, auto condition) {
    return std::all_of(row.begin(), row.end(), condition);
  };
  const auto is_zero = [](double x) { return x == 0; };
  const auto is_nan = [](double x) { return std::isnan(x); };
  Loss loss = run_spearman<Cdf>(a, a, Storage::kFloat64);
  expect(loss.loss == 0, "the loss of equal rows is 0");
  loss = run_spearman<Cdf>(a, constant, Storage::kFloat64);
  expect(loss.loss == 1 && all(loss.gradient, is_zero), "the loss of a constant row is 1");
  loss = run_spearman<Cdf>(a, undefined, Storage::kFloat32);
  expect(std::isnan(loss.loss) && all(loss.gradient, is_nan), "the loss over a NaN is NaN");
  loss = run_spearman<Cdf>(alone, a, Storage::kFloat32);
  expect(loss.loss == 0 && all(loss.gradient, is_zero), "the loss of one item is 0");
  const double of_narrow = run_spearman<Cdf>(narrow, a, Storage::kFloat64).loss;
  Case linear = a;
  linear.strength = 1e-7;
  Row unused;
  Case other = a;
  expect(std::abs(of_narrow - expected_loss<Cdf>(linear, other, unused)) < 1e-9,
         "a narrow row keeps its correlation");
}

/// The correlation of long rows, in parts, and its gradients by definition.
void check_correlation(std::mt19937& random) {
  constexpr int64_t kRows = 2, kSize = 17001;
  const Row a = random_row(kRows * kSize, random), b = random_row(kRows * kSize, random);
  Tensor of_a(Storage::kFloat64, a), of_b(Storage::kFloat64, b),
      loss(Storage::kFloat64, Row(kRows));
  const cuda::Correlation problem = {
      kRows, kSize, {}, of_a.data(), of_b.data(), true, {loss.data(), Storage::kFloat64}};
  std::vector<char> workspace(cuda::correlation_workspace(problem));
  if (cuda::correlation(problem, workspace.data(), nullptr) != cudaSuccess) ++failures;
  for (int64_t row = 0; row < kRows; ++row) {
    double aa = 0, bb = 0, ab = 0;
    for (int64_t i = row * kSize; i < (row + 1) * kSize; ++i) {
      aa += a[i] * a[i];
      bb += b[i] * b[i];
      ab += a[i] * b[i];
    }
    const double norm = std::sqrt(aa * bb);
    expect(std::abs(loss.values()[row] - (1 - ab / norm)) < 1e-13, "the loss of long rows");
    for (int64_t i = row * kSize; i < (row + 1) * kSize; ++i) {
      const double expected = -(b[i] - ab / aa * a[i]) / norm;
      expect(std::abs(of_a.values()[i] - expected) < 1e-15, "the gradient of long rows");
      i += 997;
    }
  }
}

/// Many rows in one call are what each is alone, at strides too.
void check_batch(int64_t size, std::mt19937& random) {
  constexpr int64_t kRows = 540, kApart = 3;  // more than sort at a time
  Row values = random_row(kRows * size * kApart, random, 20);
  for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
    if (i / kApart % kRows % 3 == 0) values[i] /= 100;  // narrow rows among those that are sorted
  }
  Tensor input(Storage::kFloat32, values);
  Tensor output(Storage::kFloat32, Row(kRows * size)), one(Storage::kFloat32, Row(size));
  KernelSum problem;
  problem.rows = kRows;
  problem.size = size;
  problem.input = {input.data(), Storage::kFloat32, kApart, kApart * kRows};
  problem.output = {output.data(), Storage::kFloat32};
  const Row got = run(problem, "sigmoid", output);
  for (int64_t row = 0; row < kRows; row += 49) {
    KernelSum alone = problem;
    alone.rows = 1;
    alone.input.data = static_cast<const float*>(input.data()) + row * kApart;
    alone.output.data = one.data();
    const Row expected = run(alone, "sigmoid", one);
    expect(std::equal(expected.begin(), expected.end(), got.begin() + row * size),
           "a row of a batch is what it is alone");
  }
}

/// Rows that a warp has in its registers: one kernel, and no memory to work in.
template <class Cdf>
void check_rows_in_registers(std::mt19937& random) {
  for (const int64_t size : {31, 32, 33, 64, 65, 127, 128}) {
    for (const Case& c : cases(size, random)) {
      if (random() % 4 != 0) continue;
      for (const int order : {0, 1}) check<Cdf>(c, Storage::kFloat32, order, random);
    }
    Tensor input(Storage::kFloat32, random_row(size, random)), output(input);
    KernelSum problem;
    problem.rows = 1;
    problem.size = size;
    problem.input = input.items(size);
    problem.output = output.results();
    const int64_t before = emulator::launches;
    expect(cuda::kernel_sum_workspace(problem, Cdf::name) == 0, "the memory for a short row");
    run(problem, Cdf::name, output);
    expect(emulator::launches == before + 1, "one kernel for a short row");
  }
}

/// Devices whose blocks have little shared memory take other forms for short rows.
constexpr int kSharedMemory[] = {227 << 10, 40 << 10, 20 << 10};

template <class Cdf>
void check_everything(std::mt19937& random) {
  for (const int64_t size : {1, 2, 5, 32, 33, 100, 257, 900}) {
    for (const Case& c : cases(size, random)) {
      emulator::most_shared_memory = kSharedMemory[random() % 3];
      for (const Storage storage : {Storage::kFloat32, Storage::kFloat64}) {
        for (int order = 0; order <= 2; ++order) {
          const bool chosen = random() % (size < 50 ? 1 : (size < 900 ? 3 : 8)) == 0;
          if (chosen) check<Cdf>(c, storage, order, random);
        }
      }
    }
    for (const Storage storage : {Storage::kBFloat16, Storage::kFloat16}) {
      check<Cdf>({"half", random_row(size, random)}, storage, 0, random);
      check<Cdf>({"half", random_row(size, random)}, storage, 1, random);
    }
  }
  for (const int order : {3, 4, 7}) {
    check<Cdf>({"high order", random_row(150, random)}, Storage::kFloat64, order, random);
  }
  for (const Storage storage : {Storage::kFloat32, Storage::kFloat64, Storage::kFloat16}) {
    for (const int64_t size : {2, 40, 300}) check_spearman<Cdf>(size, 1.5, storage, random);
  }
}

/// Rows that a block sorts in shared memory, or has a grid there for, or neither.
template <class Cdf>
void check_wide_rows(std::mt19937& random) {
  Case c = {"wide", random_row(1200, random), 100};
  for (const int shared : kSharedMemory) {
    emulator::most_shared_memory = shared;
    for (const double strength : {7.0, 20.0, 100.0, 1e5}) {
      c.strength = strength;
      for (int order = 0; order <= 2; ++order) {
        check<Cdf>(c, random() % 2 == 0 ? Storage::kFloat32 : Storage::kFloat64, order, random);
      }
    }
  }
  emulator::most_shared_memory = kSharedMemory[0];
  for (Case& other : cases(1200, random)) {
    if (other.name != "mask and sharp") continue;
    other.strength = 20;  // on a grid
    for (int order = 0; order <= 2; ++order) check<Cdf>(other, Storage::kFloat32, order, random);
  }
  c.values = random_row(6000, random);
  c.strength = 100;
  for (int order = 0; order <= 2; ++order) check<Cdf>(c, Storage::kFloat32, order, random);
  check<Cdf>(c, Storage::kFloat64, 0, random);
  c.values[17] = 1e20;  // too wide for a grid, with many items within reach
  c.strength = 2;
  for (int order = 0; order <= 2; ++order) check<Cdf>(c, Storage::kFloat32, order, random);
  for (double& value : c.values) value = std::round(4 * value) * 1e4;  // many equal ones
  for (int order = 0; order <= 2; ++order) check<Cdf>(c, Storage::kFloat32, order, random);
}

/// Long rows in one box, and one that is not, whose pairs take long.
template <class Cdf>
void check_long_rows_of_pairs(std::mt19937& random) {
  for (const Case& c : cases(16400, random)) {
    if (c.name == "constant" || (c.name == "normal" && c.strength <= 1)) {
      for (int order = 0; order <= 2; ++order) {
        check<Cdf>(c, order == 1 ? Storage::kFloat64 : Storage::kFloat32, order, random);
      }
    }
    if (c.name == "mask and sharp") check<Cdf>(c, Storage::kFloat64, 0, random);
  }
}

/// Values of a row that all blocks sort and sum together: `spread` times wider than a normal one's,
/// some of them in a crowd, some equal, some no numbers, and one far away.
Row crowded_row(int64_t size, double spread, std::mt19937& random) {
  Row values = random_row(size, random, spread);
  const auto crowd = static_cast<int64_t>(random() % size);
  for (int64_t i = 0; i < size; ++i) {
    if (i < crowd) values[i] = values[i] / spread + 7;
    if (random() % 50 == 0) values[i] = std::round(values[i]);
    if (random() % 300 == 0) values[i] = random() % 2 == 0 ? kNan : -kInfinity;
  }
  values[random() % size] = 1e20;
  return values;
}

/// Rows that all blocks sum together, with tiles of all sizes that sorts begin with.
template <class Cdf>
void check_rows_together(std::mt19937& random) {
  if (!kHasGrid<Cdf>) return;
  const auto check_row = [&](const Case& c) {
    emulator::most_shared_memory = kSharedMemory[random() % 3];
    const auto order = static_cast<int>(random() % 3);
    check<Cdf>(c, random() % 2 == 0 ? Storage::kFloat32 : Storage::kFloat64, order, random);
  };
  constexpr int64_t kSizes[] = {7000, 8192, 8193, 16383, 16384, 16385};
  for (const double spread : {1.0, 1e3, 1e6}) {
    check_row({"crowded", crowded_row(kSizes[random() % 6], spread, random), 10});
  }
  check_row({"sharp", random_row(kSizes[random() % 6], random), 1e5});
  Row mask(8193);
  for (double& item : mask) item = random() % 3 == 0;
  check_row({"crowded, with a mask", crowded_row(8193, 1e3, random), 1, mask});
}

/// More rows of a call than all blocks sort at a time, beside rows of other forms, are what each is
/// alone.
void check_batch_together(const char* method, Storage storage, int order, std::mt19937& random) {
  constexpr int64_t kRows = 4, kSize = 16500;
  emulator::most_shared_memory = kSharedMemory[0];
  Row values, directions = random_row(kRows * kSize, random);
  for (int64_t row = 0; row < kRows; ++row) {
    const Row of_row = row == 1 ? random_row(kSize, random)  // in another form
                                : crowded_row(kSize, row == 2 ? 1e3 : 1e6, random);
    values.insert(values.end(), of_row.begin(), of_row.end());
  }
  Tensor input(storage, values), along(storage, directions), output(input);
  KernelSum problem;
  problem.rows = kRows;
  problem.size = kSize;
  problem.input = input.items(kSize);
  problem.order = order;
  problem.directions[0] = along.items(kSize);
  problem.output = output.results();
  problem.shift = order == 0 ? 0.5 : 0;
  run(problem, method, output);
  for (const int64_t row : {0, 3}) {
    const auto of_row = [&](Tensor& tensor) {
      return static_cast<char*>(tensor.data()) + row * kSize * bytes_of(storage);
    };
    Tensor one(storage, Row(kSize));
    KernelSum alone = problem;
    alone.rows = 1;
    alone.input.data = of_row(input);
    alone.directions[0].data = of_row(along);
    alone.output.data = one.data();
    emulator::take_other_turns();
    run(alone, method, one);
    expect(std::memcmp(one.data(), of_row(output), kSize * bytes_of(storage)) == 0,
           "a long row of a batch is what it is alone");
  }
}

/// Blocks that wait for one another are no more than the device runs at once; one alone, where it
/// launches none together.
void check_blocks_together(std::mt19937& random) {
  const Row values = crowded_row(16500, 1e3, random);
  const int64_t size = static_cast<int64_t>(values.size());
  emulator::most_shared_memory = kSharedMemory[0];
  for (const char* method : {"sigmoid", "laplace"}) {
    for (const unsigned most : {0, 1, 2, 3}) {
      emulator::launches_blocks_together = most > 0;
      emulator::blocks_of_a_multiprocessor = std::max(1U, most);
      Tensor input(Storage::kFloat64, values), output(input);
      KernelSum problem;
      problem.rows = 1;
      problem.size = size;
      problem.regularization_strength = 10;
      problem.input = input.items(size);
      problem.output = output.results();
      run(problem, method, output);
      const unsigned wanted = cuda::kBlocksTogether * emulator::kMultiprocessors;
      const unsigned room = std::max(1U, most * emulator::kMultiprocessors);
      expect(gridDim.x == std::min(wanted, room), "as many blocks as run at once");
    }
  }
}

/// Rows that several blocks share; each case goes to another form.
template <class Cdf>
void check_long_rows(std::mt19937& random) {
  if (!kFallsExponentially<Cdf>) return check_long_rows_of_pairs<Cdf>(random);
  for (const Case& c : cases(20000, random)) {
    emulator::most_shared_memory = kSharedMemory[random() % 3];
    const bool wanted = c.name == "normal" || c.name == "outlier" || c.name == "broad" ||
                        c.name == "mask" || c.name == "clusters" || c.name == "constant";
    if (!wanted) continue;
    check<Cdf>(c, Storage::kFloat32, 0, random);
    check<Cdf>(c, Storage::kFloat64, c.strength == 30 ? 2 : 1, random);
  }
  // On a grid, in every order; far from 0 too.
  emulator::most_shared_memory = kSharedMemory[0];
  Case grid = {"grid", random_row(20000, random), 5};
  check<Cdf>(grid, Storage::kFloat32, 1, random);
  check<Cdf>(grid, Storage::kFloat32, 2, random);
  check<Cdf>(grid, Storage::kFloat64, 2, random);
  for (double& value : grid.values) value += 1000;
  check<Cdf>(grid, Storage::kFloat64, 0, random);
  emulator::most_shared_memory = kSharedMemory[2];  // too little for the grid's moments
  check<Cdf>(grid, Storage::kFloat32, 0, random);
}

/// Below very many others, -inf and equal items keep their places, relative to these.
void check_few_below_many() {
  constexpr int64_t kSize = 1'000'000, kFew = 5;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (const double few : {-kInfinity, 1.25}) {
    Row values(kSize, few < 0 ? 1.25 : kInfinity);
    std::fill_n(values.begin(), kFew, few);
    Tensor input(Storage::kFloat64, values), output(Storage::kFloat64, Row(kSize));
    KernelSum problem;
    problem.rows = 1;
    problem.size = kSize;
    problem.input = input.items(kSize);
    problem.output = output.results();
    problem.shift = 0.5;
    const Row got = run(problem, "sigmoid", output);
    constexpr double kExpected = (kFew - 1) / 2.0;
    const double error = std::abs(got[0] * (kSize - 1) - kExpected);
    expect(error <= 1e-12 * (1 + kExpected), "the places of a few items below very many");
  }
}

/// Where α d is so large that its square is no float, a derivative may still be one: α F'(α d) = 1
/// / (π α d²), in rows that are in registers and in longer ones.
void check_far_tails() {
  constexpr double kStrength = 1e20, kPi = 3.14159265358979323846;
  for (const int64_t size : {2, 100, 128, 129}) {
    Row values(size, 1), direction(size, 0);
    values[0] = 0;
    direction[0] = 1;
    Tensor input(Storage::kFloat32, values), along(Storage::kFloat32, direction), output(input);
    KernelSum problem;
    problem.rows = 1;
    problem.size = size;
    problem.regularization_strength = kStrength;
    problem.order = 1;
    problem.input = input.items(size);
    problem.directions[0] = along.items(size);
    problem.output = output.results();
    const Row got = run(problem, "cauchy", output);
    const double expected = 1 / (kPi * kStrength);
    expect(std::abs(got[0] - expected) <= 1e-6 * expected, "the derivative of a far tail");
  }
}

/// What long rows are worked on in, in bytes an item: the keys and positions of a sort, twice, what
/// a direction is for each, and what scans of a derivative add up.
void check_memory() {
  emulator::most_shared_memory = kSharedMemory[0];
  for (const int64_t rows : {1, 3, 500}) {
    for (const int order : {0, 1, 2}) {
      for (const Storage storage : {Storage::kFloat32, Storage::kFloat64}) {
        KernelSum problem;
        problem.rows = rows;
        problem.size = 1'000'000;
        problem.input.storage = storage;
        problem.order = order;
        const size_t of_item = storage == Storage::kFloat64 ? 8 : 4;
        const auto items = static_cast<size_t>(rows * problem.size);
        for_each_cdf(SmoothCdfs(), [&](auto cdf) {
          using Cdf = decltype(cdf);
          const size_t of_scans = kIsExponential<Cdf> && order > 0 ? 1 : 0;
          const size_t bound = 2 * (of_item + 4) + (order + of_scans) * of_item;
          // And for each row its plan and what is counted of its parts, at multiples of 256 bytes.
          expect(cuda::kernel_sum_workspace(problem, Cdf::name) <= bound * items + 2048 * rows,
                 "the memory that long rows are worked on in");
        });
      }
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  for (const int64_t size : {40, 140}) check_batch(size, random);
  check_blocks_together(random);
  for (const char* method : {"sigmoid", "laplace"}) {
    check_batch_together(method, Storage::kFloat32, 1, random);
    check_batch_together(method, Storage::kFloat64, 0, random);
  }
  check_memory();
  check_few_below_many();
  check_far_tails();
  check_correlation(random);
  check_spearman_semantics(random);
  for_each_cdf(SmoothCdfs(), [&](auto cdf) {
    check_everything<decltype(cdf)>(random);
    check_rows_in_registers<decltype(cdf)>(random);
    check_wide_rows<decltype(cdf)>(random);
    check_long_rows<decltype(cdf)>(random);
    check_rows_together<decltype(cdf)>(random);
  });
  std::printf(
      "largest errors beside their bounds, orders 0 to 2: float32 %.2f %.2f %.2f, float64 %.2f "
      "%.2f %.2f\n",
      worst_of[0][0], worst_of[0][1], worst_of[0][2], worst_of[1][0], worst_of[1][1],
      worst_of[1][2]);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
