// The CUDA kernels of the projections, as they stand, run on the host (emulator/cuda_runtime.h) and
// compared with the CPU's kernels, and with the definition in long double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "cpu/projection/permutahedron.h"
#include "cuda/projection/permutahedron.h"
#include "cuda/spearman_loss.h"
#include "tensor.h"

namespace {

using namespace rank_relax;

int failures = 0;
double worst_of[2][4] = {};  // [double][what], in units of the bound
enum What { kRank, kDerivative, kSorted, kProduct };

void fail(const std::string& what) {
  if (++failures <= 30) std::printf("FAILED %s\n", what.c_str());
}

double rounding_of(Storage storage) {
  if (storage == Storage::kFloat64) return 2.3e-16;
  if (storage == Storage::kFloat32) return 6e-8;
  return storage == Storage::kBFloat16 ? 4e-3 : 5e-4;
}

/// Rows of one size, one after the other, and what they are projected with.
struct Case {
  std::string name;
  Row values;
  int64_t size;
  double strength = 1;
  Row mask = {};

  int64_t rows() const { return static_cast<int64_t>(values.size()) / size; }
};

void serially(int64_t count, int64_t, const cpu::Work& work) { work(0, count); }

/// The CPU's kernels, on the same values.
template <class Scalar>
struct OnCpu {
  std::vector<Scalar> values;
  std::vector<uint8_t> mask;
  int64_t sizes[2], strides[2];

  explicit OnCpu(const Case& c)
      : values(c.values.begin(), c.values.end()),
        mask(c.mask.begin(), c.mask.end()),
        sizes{c.rows(), c.size},
        strides{c.size, 1} {}

  template <class T>
  cpu::Rows<T> rows(const std::vector<T>& data) const {
    return {data.empty() ? nullptr : data.data(), sizes, strides, 2};
  }
  cpu::SoftBatch<Scalar> batch(double strength, std::string_view method) const {
    return {{sizes[0], sizes[1], rows(values), rows(mask)}, strength, method};
  }

  Row ranks(const Case& c, const char* method, std::vector<int32_t>& blocks) const {
    std::vector<Scalar> result(values.size());
    blocks.resize(values.size());
    cpu::permutahedron_rank(batch(c.strength, method), false, result.data(), blocks.data(),
                            serially);
    return {result.begin(), result.end()};
  }

  Row derivative(const Case& c, const char* method, const std::vector<int32_t>& blocks,
                 const std::vector<Row>& directions) const {
    std::vector<std::vector<Scalar>> data;
    for (const Row& v : directions) data.emplace_back(v.begin(), v.end());
    std::vector<cpu::Rows<Scalar>> all;
    for (const auto& v : data) all.push_back(rows(v));
    std::vector<Scalar> result(values.size());
    cpu::permutahedron_rank_derivative(batch(c.strength, method), rows(blocks), all.data(),
                                       static_cast<int>(all.size()), result.data(), serially);
    return {result.begin(), result.end()};
  }

  Row sorted(const Case& c, const char* method, std::vector<int64_t>& permutation,
             std::vector<int32_t>& blocks) const {
    std::vector<Scalar> result(values.size());
    permutation.resize(values.size());
    blocks.resize(values.size());
    cpu::permutahedron_sort(batch(c.strength, method), result.data(), permutation.data(),
                            blocks.data(), serially);
    return {result.begin(), result.end()};
  }

  Row product(const char* method, const std::vector<int64_t>& permutation,
              const std::vector<int32_t>& blocks, const Row& vector, bool transposed) const {
    const std::vector<Scalar> data(vector.begin(), vector.end());
    std::vector<Scalar> result(values.size());
    cpu::permutahedron_sort_product(batch(1, method), {rows(permutation), rows(blocks)}, rows(data),
                                    transposed, result.data(), serially);
    return {result.begin(), result.end()};
  }
};

/// Runs a problem twice, in other turns and in memory that held other things: the same bits.
template <class Problem, class Run>
void run_twice(const std::string& name, const Problem& problem, size_t workspace, const Run& run,
               void* output, size_t bytes) {
  std::vector<char> first;
  for (const char filled : {'\x5a', '\xff'}) {
    std::vector<char> memory(workspace + 1, filled);
    std::memset(output, filled, bytes);
    emulator::take_other_turns();
    if (run(problem, memory.data()) != cudaSuccess) fail(name + ": a launch");
    if (memory.back() != filled) fail(name + ": writes past its working memory");
    const auto* begin = static_cast<const char*>(output);
    if (first.empty()) {
      first.assign(begin, begin + bytes);
    } else if (!std::equal(first.begin(), first.end(), begin)) {
      fail(name + ": other bits for other turns");
    }
  }
}

/// `bound` is absolute, for every item; beside it stands the rounding to the result's dtype.
void compare(const std::string& name, What what, Storage storage, const Row& got,
             const Row& unrounded, const Row& bounds) {
  const Row expected = Tensor(storage, unrounded).values();
  for (size_t i = 0; i < got.size(); ++i) {
    const double e = expected[i], g = got[i];
    const double bound = bounds[i] + 2 * rounding_of(storage) * std::abs(e) +
                         (storage == Storage::kFloat16 ? 6e-8 : 1e-44);
    const bool equal =
        std::isfinite(e) ? std::abs(g - e) <= bound : (std::isnan(e) ? std::isnan(g) : g == e);
    if (!equal) {
      char text[300];
      std::snprintf(text, sizeof text, "%s, item %zu: got %.17g, expected %.17g ± %.3g",
                    name.c_str(), i, g, e, bound);
      fail(text);
    } else if (std::isfinite(e) && storage <= Storage::kFloat32) {
      double& worst = worst_of[storage == Storage::kFloat64][what];
      worst = std::max(worst, std::abs(g - e) / bound);
    }
  }
}

cuda::RowBatch batch_of(const Case& c, const Tensor& input, const Tensor& mask) {
  cuda::RowBatch batch;
  batch.rows = c.rows();
  batch.size = c.size;
  batch.input = input.items(c.size);
  if (!c.mask.empty()) batch.mask = mask.items(c.size);
  batch.regularization_strength = c.strength;
  return batch;
}

/// A vector of normal numbers, NaN where it must not be read.
Row vector_beside(const Case& c, std::mt19937& random, double scale) {
  std::normal_distribution<double> normal(scale, scale);
  Row v(c.values.size());
  for (size_t i = 0; i < v.size(); ++i) {
    v[i] = normal(random);
    const bool counts = (c.mask.empty() || c.mask[i] != 0) && std::isfinite(c.values[i]);
    if (!counts) v[i] = kNan;
  }
  return v;
}

double largest_of(const Row& values) {
  double largest = 0;
  for (const double x : values) {
    if (std::isfinite(x)) largest = std::max(largest, std::abs(x));
  }
  return largest;
}

/// α^k Π_l (largest v_l less smallest): what an item's derivative by kl is at most, but for a
/// factor; 1/(n-1) of it by l2. Terms of about this size cancel where the derivative is small.
double derivative_scale(const Case& c, const std::vector<Row>& directions, const char* method) {
  double scale = std::pow(c.strength, static_cast<double>(directions.size()));
  if (std::string(method) == L2::name) scale /= std::max(static_cast<double>(c.size) - 1, 1.0);
  for (const Row& v : directions) {
    double smallest = kInfinity, largest = -kInfinity;
    for (const double x : v) {
      if (std::isnan(x)) continue;
      smallest = std::min(smallest, x);
      largest = std::max(largest, x);
    }
    scale *= std::max(largest - smallest, 0.0);
  }
  return scale;
}

template <class Scalar>
void check_ranks(const Case& c, Storage storage, const char* method, std::mt19937& random) {
  const std::string name = c.name + ", " + method + ", n = " + std::to_string(c.size) +
                           ", α = " + std::to_string(c.strength) +
                           (storage == Storage::kFloat64 ? ", double" : "");
  const Tensor input(storage, c.values, 1 + c.size % 2), mask(Storage::kByte, c.mask, 2);
  const OnCpu<Scalar> on_cpu(c);
  std::vector<int32_t> expected_blocks, blocks(c.values.size());
  const Row expected = on_cpu.ranks(c, method, expected_blocks);
  Tensor ranks(storage, Row(c.values.size()));
  cuda::PermutahedronRank problem;
  problem.batch = batch_of(c, input, mask);
  problem.shift = 0.5;
  problem.ranks = ranks.results();
  problem.blocks = blocks.data();
  const auto run = [&](const cuda::PermutahedronRank& rank, void* memory) {
    return cuda::permutahedron_rank(rank, method, memory, nullptr);
  };
  run_twice(name, problem, cuda::permutahedron_rank_workspace(problem), run, ranks.data(),
            c.values.size() * bytes_of(storage));
  compare(name + " ranks", kRank, storage, ranks.values(), expected,
          Row(c.values.size(), storage == Storage::kFloat64 ? 2e-15 : 0));
  if (blocks != expected_blocks) fail(name + ": blocks");

  std::vector<Row> directions;
  for (int order = 1; order <= (c.size <= 40 ? 4 : 2); ++order) {
    directions.push_back(Tensor(storage, vector_beside(c, random, order)).values());
    const Row expected_derivative = on_cpu.derivative(c, method, expected_blocks, directions);
    Tensor output(storage, Row(c.values.size()));
    std::vector<Tensor> kept;
    for (const Row& v : directions) kept.emplace_back(storage, v, 2);
    cuda::PermutahedronRankDerivative derivative;
    derivative.batch = problem.batch;
    derivative.order = order;
    if (order != 2) derivative.blocks = blocks.data();  // in order 2 they are found again
    for (int l = 0; l < order; ++l) derivative.directions[l] = kept[l].items(c.size);
    derivative.output = output.results();
    const std::string what = name + " order " + std::to_string(order);
    const auto run_derivative = [&](const cuda::PermutahedronRankDerivative& d, void* memory) {
      return cuda::permutahedron_rank_derivative(d, method, memory, nullptr);
    };
    run_twice(what, derivative, cuda::permutahedron_rank_derivative_workspace(derivative),
              run_derivative, output.data(), c.values.size() * bytes_of(storage));
    compare(what, kDerivative, storage, output.values(), expected_derivative,
            Row(c.values.size(), 2e-15 * derivative_scale(c, directions, method)));
  }
}

template <class Scalar>
void check_sorted(const Case& c, Storage storage, const char* method, std::mt19937& random) {
  const std::string name = c.name + ", sorted by " + method + ", n = " + std::to_string(c.size) +
                           ", α = " + std::to_string(c.strength) +
                           (storage == Storage::kFloat64 ? ", double" : "");
  const Tensor input(storage, c.values, 1 + c.size % 2), mask(Storage::kByte, c.mask, 2);
  const OnCpu<Scalar> on_cpu(c);
  const size_t count = c.values.size();
  std::vector<int64_t> expected_permutation, permutation(count);
  std::vector<int32_t> expected_blocks, blocks(count);
  const Row expected = on_cpu.sorted(c, method, expected_permutation, expected_blocks);
  Tensor values(storage, Row(count));
  const cuda::PermutahedronSort problem = {batch_of(c, input, mask), values.results(),
                                           permutation.data(), blocks.data()};
  const auto run = [&](const cuda::PermutahedronSort& sort, void* memory) {
    return cuda::permutahedron_sort(sort, method, memory, nullptr);
  };
  run_twice(name, problem, cuda::permutahedron_sort_workspace(problem), run, values.data(),
            count * bytes_of(storage));
  compare(name, kSorted, storage, values.values(), expected,
          Row(count, 1e-14 * largest_of(c.values)));
  if (permutation != expected_permutation) fail(name + ": permutation");
  if (blocks != expected_blocks) fail(name + ": blocks");

  for (const bool transposed : {false, true}) {
    Row vector = vector_beside(c, random, 1);
    if (transposed) {
      for (size_t k = 0; k < count; ++k) vector[k] = blocks[k] < 0 ? kNan : 1.0 + k % 3;
    }
    vector = Tensor(storage, vector).values();
    const Row expected_product = on_cpu.product(method, permutation, blocks, vector, transposed);
    const Tensor kept(storage, vector, 2);
    Tensor output(storage, Row(count));
    const cuda::PermutahedronSortProduct product = {problem.batch, permutation.data(),
                                                    blocks.data(), kept.items(c.size),
                                                    transposed,    output.results()};
    const auto run_product = [&](const cuda::PermutahedronSortProduct& p, void* memory) {
      return cuda::permutahedron_sort_product(p, method, memory, nullptr);
    };
    run_twice(name + " product", product, cuda::permutahedron_sort_product_workspace(product),
              run_product, output.data(), count * bytes_of(storage));
    compare(name + (transposed ? " transposed" : " product"), kProduct, storage, output.values(),
            expected_product, Row(count, 1e-13));
  }
}

/// Where blocks have little shared memory they sort tiles of 64 items, 128 if their keys have 32
/// bits, and merge these together.
constexpr int kMuchSharedMemory = 227 << 10, kLittleSharedMemory = 5 << 10;

void check_in(int shared_memory, Case c, Storage storage, std::mt19937& random) {
  emulator::most_shared_memory = shared_memory;
  c.values = Tensor(storage, c.values).values();
  for (const char* method : {L2::name, Kl::name}) {
    if (storage == Storage::kFloat64) {
      check_ranks<double>(c, storage, method, random);
      check_sorted<double>(c, storage, method, random);
    } else {
      check_ranks<float>(c, storage, method, random);
      check_sorted<float>(c, storage, method, random);
    }
  }
}

void check(const Case& c, Storage storage, std::mt19937& random) {
  check_in(random() % 2 == 0 ? kMuchSharedMemory : kLittleSharedMemory, c, storage, random);
}

/// Rows of every kind that docs/semantics.md speaks of, and those that are hard to pool.
std::vector<Case> cases(int64_t size, std::mt19937& random) {
  std::vector<Case> all;
  std::normal_distribution<double> normal;
  const double n = static_cast<double>(size);
  const auto add = [&](const char* name, double strength, auto value, Row mask = {}) {
    Row values(size);
    for (int64_t i = 0; i < size; ++i) values[i] = value(normal(random), static_cast<double>(i));
    all.push_back({name, values, size, strength, std::move(mask)});
  };
  const auto same = [](double x, double) { return x; };
  for (const double share : {1e-3, 0.1, 0.3, 1.0, 10.0}) add("normal", share * n, same);
  add("sharp", 1e6, same);
  add("faint", 1e-9, same);
  add("sorted", 0.5, [](double, double i) { return i; });
  add("reversed", 2, [](double, double i) { return -i; });
  add("constant", 3, [](double, double) { return -0.75; });
  add("two values", 1, [](double x, double) { return x < 0 ? -1.0 : 1.0; });
  add("two values far apart", 100, [&](double x, double) { return x < 0 ? -n : n; });
  add("geometric", 1,
      [](double x, double i) { return std::copysign(std::pow(1.5, std::fmod(i, 150)) / 1e12, x); });
  // By l2 each pair of neighbours is in order, but for one in the middle, which takes in all.
  add("falling back once", 1, [&](double, double i) {
    return i * (1 + 1 / (64 * n)) - (i < std::floor(n / 2) ? 0.0 : 1.0);
  });
  add("steps", 1, [](double, double i) { return 5 * std::floor(i / 7); });
  add("shifted", 4, [](double x, double) { return 1e4 + x; });
  add("outlier", 1, [](double x, double i) { return i == 0 ? 1e30 : x; });
  add("infinities", n,
      [](double x, double i) { return std::fmod(i, 3) == 0 ? std::copysign(kInfinity, x) : x; });
  add("infinities alone", 1, [](double x, double) { return std::copysign(kInfinity, x); });
  add("NaN", n, [](double x, double i) { return std::fmod(i, 5) == 0 ? kNan : x; });
  add("largest", 1, [](double x, double) { return std::copysign(3e38, x); });
  add("zeros", 1, [](double x, double) { return x < 0 ? -0.0 : 0.0; });
  const auto some = [](double x, double i) {
    return std::fmod(i, 7) == 0 ? kNan : (std::fmod(i, 11) == 0 ? kInfinity : x);
  };
  Row mask(size), none(size, 0.0);
  for (int64_t i = 0; i < size; ++i) mask[i] = i % 3 != 1;
  add("mask", 0.3 * n, some, mask);
  add("mask and sharp", 1e3, some, mask);
  add("all masked", 1, some, none);
  return all;
}

Case normal_rows(const char* name, int64_t rows, int64_t size, double strength,
                 std::mt19937& random) {
  std::normal_distribution<double> normal;
  Case c{name, Row(rows * size), size, strength};
  for (double& value : c.values) value = normal(random);
  return c;
}

/// One row by definition: v_i = max_{a <= i} min_{b >= i} value(a, b), the isotonic regression
/// whose common value of the items a..b is value(a, b). O(size³).
template <class Value>
std::vector<long double> isotonic_regression(int64_t size, const Value& value) {
  std::vector<long double> fitted(size, -std::numeric_limits<long double>::infinity());
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t a = 0; a <= i; ++a) {
      long double lowest = std::numeric_limits<long double>::infinity();
      for (int64_t b = i; b < size; ++b) lowest = std::min(lowest, value(a, b));
      fitted[i] = std::max(fitted[i], lowest);
    }
  }
  return fitted;
}

/// Σ_{a <= i <= b} terms[i].
struct PrefixSums {
  std::vector<long double> sums = {0};

  void add(long double term) { sums.push_back(sums.back() + term); }
  long double operator()(int64_t a, int64_t b) const { return sums[b + 1] - sums[a]; }
};

/// Ranks and sorted values of a row in the definitions' own terms, in long double.
void check_definitions(const Case& c) {
  Row sorted = c.values;
  std::sort(sorted.begin(), sorted.end());
  PrefixSums values, exponentials, mirrored, places, ranks;
  const long double alpha = c.strength;
  for (int64_t i = 0; i < c.size; ++i) {
    values.add(sorted[i]);
    exponentials.add(std::exp(alpha * sorted[i]));
    mirrored.add(std::exp(-static_cast<long double>(sorted[i])));
    places.add(i);
    ranks.add(i + 1);
  }
  // The fit in ranks is v, and rank = s - v or e^(s - v); that in values falls, so -v is fitted.
  const auto ranks_l2 = isotonic_regression(c.size, [&](int64_t a, int64_t b) {
    return (alpha * values(a, b) - ranks(a, b)) / (b + 1 - a);
  });
  const auto ranks_kl = isotonic_regression(c.size, [&](int64_t a, int64_t b) {
    return std::log(exponentials(a, b)) - std::log(ranks(a, b));
  });
  const auto values_l2 = isotonic_regression(c.size, [&](int64_t a, int64_t b) {
    return (alpha * places(a, b) - values(a, b)) / (b + 1 - a);
  });
  const auto values_kl = isotonic_regression(c.size, [&](int64_t a, int64_t b) {
    // log Σ e^-αk is that of a geometric series.
    const long double places_kl = std::log(std::expm1(-alpha * (b + 1 - a)) / std::expm1(-alpha));
    return std::log(mirrored(a, b)) - (places_kl - alpha * a);
  });
  const Tensor input(Storage::kFloat64, c.values), mask(Storage::kByte, {});
  for (const bool is_kl : {false, true}) {
    const char* method = is_kl ? Kl::name : L2::name;
    Row expected_ranks(c.size), expected_values(c.size);
    for (int64_t i = 0; i < c.size; ++i) {
      const int64_t place =
          std::lower_bound(sorted.begin(), sorted.end(), c.values[i]) - sorted.begin();
      const long double s = alpha * c.values[i];
      const long double rank = is_kl ? std::exp(s - ranks_kl[place]) : s - ranks_l2[place];
      expected_ranks[i] = static_cast<double>((rank - 1) / std::max<int64_t>(c.size - 1, 1));
      expected_values[i] = static_cast<double>(alpha * i - (is_kl ? values_kl[i] : values_l2[i]));
    }
    Tensor output(Storage::kFloat64, Row(c.size));
    cuda::PermutahedronRank rank;
    rank.batch = batch_of(c, input, mask);
    rank.shift = 0.5;
    rank.ranks = output.results();
    std::vector<char> memory(cuda::permutahedron_rank_workspace(rank));
    if (cuda::permutahedron_rank(rank, method, memory.data(), nullptr) != cudaSuccess) ++failures;
    compare(c.name + " ranks by definition, " + method, kRank, Storage::kFloat64, output.values(),
            expected_ranks, Row(c.size, 1e-14));
    std::vector<int64_t> permutation(c.size);
    std::vector<int32_t> blocks(c.size);
    const cuda::PermutahedronSort sort = {rank.batch, output.results(), permutation.data(),
                                          blocks.data()};
    memory.resize(cuda::permutahedron_sort_workspace(sort));
    if (cuda::permutahedron_sort(sort, method, memory.data(), nullptr) != cudaSuccess) ++failures;
    compare(c.name + " values by definition, " + method, kSorted, Storage::kFloat64,
            output.values(), expected_values,
            Row(c.size, 1e-15 * (largest_of(c.values) + c.strength * c.size)));
  }
}

/// The loss and its gradient as the adapters compute them, and as the CPU does.
void check_spearman(const Case& predictions, const Case& targets, const char* method) {
  const int64_t size = predictions.size;
  const std::string name = "Spearman of " + predictions.name + ", " + method;
  const Tensor sides[] = {Tensor(Storage::kFloat64, predictions.values),
                          Tensor(Storage::kFloat64, targets.values)};
  const Tensor mask(Storage::kByte, predictions.mask), factor(Storage::kFloat64, {-1.5});
  Tensor ranks[] = {Tensor(Storage::kFloat64, Row(size)), Tensor(Storage::kFloat64, Row(size))};
  Tensor loss(Storage::kFloat64, {0}), gradient(Storage::kFloat64, Row(size));
  cuda::PermutahedronRank rank;
  for (const int side : {0, 1}) {
    rank.batch = batch_of(predictions, sides[side], mask);
    rank.batch.for_correlation = true;
    rank.ranks = ranks[side].results();
    std::vector<char> memory(cuda::permutahedron_rank_workspace(rank));
    if (cuda::permutahedron_rank(rank, method, memory.data(), nullptr) != cudaSuccess) ++failures;
  }
  const cuda::Correlation correlation = {
      1, size, rank.batch.mask, ranks[0].data(), ranks[1].data(), true, loss.results()};
  if (cuda::correlation(correlation, nullptr, nullptr) != cudaSuccess) ++failures;
  cuda::PermutahedronRankDerivative derivative;
  derivative.batch = rank.batch;
  derivative.batch.input = sides[0].items(size);
  derivative.directions[0] = ranks[0].items(size);
  derivative.factor = factor.items(1);
  derivative.spread_nan = true;
  derivative.output = gradient.results();
  run_twice(
      name, derivative, cuda::permutahedron_rank_derivative_workspace(derivative),
      [&](const cuda::PermutahedronRankDerivative& d, void* memory) {
        return cuda::permutahedron_rank_derivative(d, method, memory, nullptr);
      },
      gradient.data(), size * sizeof(double));

  const OnCpu<double> on_cpu(predictions), targets_on_cpu(targets);
  Row expected_loss(1), of_predictions(size), of_targets(size), expected(size);
  cpu::permutahedron_spearman_forward(
      on_cpu.batch(predictions.strength, method),
      cpu::Targets<double>{targets_on_cpu.rows(targets_on_cpu.values)}, expected_loss.data(),
      of_predictions.data(), of_targets.data(), serially);
  const int64_t one[] = {1, 1};
  const Row factors = {-1.5};
  cpu::permutahedron_spearman_backward(on_cpu.batch(predictions.strength, method),
                                       cpu::Rows<double>{factors.data(), one, one, 2},
                                       on_cpu.rows(of_predictions), expected.data(), serially);
  compare(name, kDerivative, Storage::kFloat64, loss.values(), expected_loss, {1e-14});
  const double scale = std::max(largest_of(of_predictions), largest_of(of_targets));
  compare(name + " rank gradient", kDerivative, Storage::kFloat64, ranks[0].values(),
          of_predictions, Row(size, 1e-14 * scale));
  compare(name + " gradient", kDerivative, Storage::kFloat64, gradient.values(), expected,
          Row(size, 1e-13 * largest_of(expected)));
}

/// More rows than blocks of threads, items that are more than one tile, and high orders.
void check_sizes(std::mt19937& random) {
  check(normal_rows("many rows", 300, 7, 5, random), Storage::kFloat32, random);
  check(normal_rows("longer rows", 2, 1500, 400, random), Storage::kFloat64, random);
  for (const Storage storage : {Storage::kFloat32, Storage::kFloat64}) {
    check_in(kLittleSharedMemory,
             normal_rows("more rows than are sorted at a time", 5, 330, 90, random), storage,
             random);
  }
  emulator::most_shared_memory = kMuchSharedMemory;
  check(normal_rows("one large block", 1, 1300, 1e-3, random), Storage::kFloat64, random);
  Case c = normal_rows("high order", 1, 40, 4, random);
  const OnCpu<double> on_cpu(c);
  const Tensor input(Storage::kFloat64, c.values), mask(Storage::kByte, {});
  std::vector<Row> directions;
  std::vector<Tensor> kept;
  for (int order = 1; order <= L2::kMaxOrder; ++order) {
    directions.push_back(vector_beside(c, random, 1));
    kept.emplace_back(Storage::kFloat64, directions.back());
    for (const char* method : {L2::name, Kl::name}) {
      if (order < 5 || (method == Kl::name && order > Kl::kMaxOrder)) continue;
      Tensor output(Storage::kFloat64, Row(c.size));
      cuda::PermutahedronRankDerivative problem;
      problem.batch = batch_of(c, input, mask);
      problem.order = order;
      for (int l = 0; l < order; ++l) problem.directions[l] = kept[l].items(c.size);
      problem.output = output.results();
      std::vector<char> memory(cuda::permutahedron_rank_derivative_workspace(problem));
      if (cuda::permutahedron_rank_derivative(problem, method, memory.data(), nullptr) !=
          cudaSuccess) {
        fail("a launch");
      }
      std::vector<int32_t> blocks;
      on_cpu.ranks(c, method, blocks);
      compare("order " + std::to_string(order) + " by " + method, kDerivative, Storage::kFloat64,
              output.values(), on_cpu.derivative(c, method, blocks, directions),
              Row(c.size, 1e-13 * derivative_scale(c, directions, method)));
    }
  }
}

/// Blocks of threads take several rows each.
void check_more_rows_than_blocks(std::mt19937& random) {
  Case c = normal_rows("very many rows", 4300, 3, 2, random);
  c.values = Tensor(Storage::kFloat32, c.values).values();
  const OnCpu<float> on_cpu(c);
  const Tensor input(Storage::kFloat32, c.values), mask(Storage::kByte, {});
  const Tensor kept(Storage::kFloat32, vector_beside(c, random, 1));
  const Row vector = kept.values();
  Tensor output(Storage::kFloat32, Row(c.values.size()));
  std::vector<int64_t> permutation(c.values.size());
  std::vector<int32_t> blocks(c.values.size()), expected_blocks;
  const auto launched = [](cudaError_t error) {
    if (error != cudaSuccess) fail("a launch");
  };
  const auto expect = [&](const char* name, What what, const Row& expected) {
    compare(name, what, Storage::kFloat32, output.values(), expected,
            Row(expected.size(), 1e-14 * largest_of(expected)));
  };
  cuda::PermutahedronRank rank;
  rank.batch = batch_of(c, input, mask);
  rank.shift = 0.5;
  rank.ranks = output.results();
  rank.blocks = blocks.data();
  std::vector<char> memory(cuda::permutahedron_rank_workspace(rank));
  launched(cuda::permutahedron_rank(rank, Kl::name, memory.data(), nullptr));
  expect("very many ranks", kRank, on_cpu.ranks(c, Kl::name, expected_blocks));
  cuda::PermutahedronRankDerivative derivative;
  derivative.batch = rank.batch;
  derivative.blocks = blocks.data();
  derivative.directions[0] = kept.items(c.size);
  derivative.output = output.results();
  memory.resize(cuda::permutahedron_rank_derivative_workspace(derivative));
  launched(cuda::permutahedron_rank_derivative(derivative, Kl::name, memory.data(), nullptr));
  expect("very many derivatives", kDerivative,
         on_cpu.derivative(c, Kl::name, expected_blocks, {vector}));
  const cuda::PermutahedronSort sort = {rank.batch, output.results(), permutation.data(),
                                        blocks.data()};
  memory.resize(cuda::permutahedron_sort_workspace(sort));
  launched(cuda::permutahedron_sort(sort, Kl::name, memory.data(), nullptr));
  std::vector<int64_t> expected_permutation;
  expect("very many values", kSorted,
         on_cpu.sorted(c, Kl::name, expected_permutation, expected_blocks));
  const cuda::PermutahedronSortProduct product = {
      rank.batch, permutation.data(), blocks.data(), kept.items(c.size), true, output.results()};
  memory.resize(cuda::permutahedron_sort_product_workspace(product));
  launched(cuda::permutahedron_sort_product(product, Kl::name, memory.data(), nullptr));
  expect("very many products", kProduct,
         on_cpu.product(Kl::name, expected_permutation, expected_blocks, vector, true));
}

/// Blocks and permutations that no forward returned touch no memory but the row's. The rows beside
/// it, and what lies around all of them, must stay as they are.
void check_foreign_indices(std::mt19937& random) {
  constexpr int64_t kSize = 70, kFar = int64_t{1} << 40;
  const Case c = normal_rows("foreign indices", 1, kSize, 5, random);
  const Tensor input(Storage::kFloat64, c.values), mask(Storage::kByte, {});
  const Tensor vector(Storage::kFloat64, vector_beside(c, random, 1));
  const int32_t strange[] = {std::numeric_limits<int32_t>::min(), -5, -1, 0, 3, kSize - 1, kSize,
                             std::numeric_limits<int32_t>::max()};
  const int64_t strange_items[] = {-kFar, -1, 0, 5, 5, kSize - 1, kSize, kFar};
  std::vector<int32_t> blocks(kSize);
  std::vector<int64_t> permutation(kSize);
  for (int64_t i = 0; i < kSize; ++i) {
    blocks[i] = strange[random() % 8];
    permutation[i] = strange_items[random() % 8];
  }
  for (const char* method : {L2::name, Kl::name}) {
    std::vector<double> output(3 * kSize, 7.0);
    const cuda::Results results = {output.data() + kSize, Storage::kFloat64};
    cuda::PermutahedronRankDerivative derivative;
    derivative.batch = batch_of(c, input, mask);
    derivative.blocks = blocks.data();
    derivative.order = method == Kl::name ? 2 : 1;
    derivative.directions[0] = derivative.directions[1] = vector.items(kSize);
    derivative.output = results;
    const size_t bytes = cuda::permutahedron_rank_derivative_workspace(derivative);
    std::vector<char> memory(bytes + 1, '\x5a');
    if (cuda::permutahedron_rank_derivative(derivative, method, memory.data(), nullptr) !=
        cudaSuccess) {
      fail("a launch");
    }
    for (int64_t i = 0; i < kSize; ++i) {
      if ((blocks[i] < 0 || blocks[i] >= kSize) && output[kSize + i] != 0 &&
          blocks[i] != block_number(Kind::kNan)) {
        fail("an item whose block is no number has no derivative");
      }
    }
    bool whole = memory.back() == '\x5a';
    for (const bool transposed : {false, true}) {
      const cuda::PermutahedronSortProduct product = {derivative.batch, permutation.data(),
                                                      blocks.data(),    vector.items(kSize),
                                                      transposed,       results};
      memory.assign(cuda::permutahedron_sort_product_workspace(product) + 1, '\x5a');
      if (cuda::permutahedron_sort_product(product, method, memory.data(), nullptr) !=
          cudaSuccess) {
        fail("a launch");
      }
      whole = whole && memory.back() == '\x5a';
    }
    for (int64_t i = 0; i < kSize; ++i) {
      whole = whole && output[i] == 7 && output[2 * kSize + i] == 7;
    }
    if (!whole) fail("foreign indices write outside of the row");
  }
}

void check_spearman_of_all_kinds(std::mt19937& random) {
  for (const int64_t size : {1, 5, 40, 100}) {
    for (const Case& c : cases(size, random)) {
      if (c.name == "largest" || c.name == "outlier") continue;  // whose loss hangs on one rank
      const Case targets = normal_rows("targets", 1, size, c.strength, random);
      check_spearman(c, targets, random() % 2 == 0 ? L2::name : Kl::name);
    }
    Case narrow = normal_rows("narrow", 1, size, 1, random);
    for (double& value : narrow.values) value *= 1e-40;
    const Case targets = normal_rows("targets", 1, size, 1, random);
    for (const char* method : {L2::name, Kl::name}) check_spearman(narrow, targets, method);
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  for (const int64_t size : {1, 2, 3, 33, 65, 300, 700}) {
    for (const Case& c : cases(size, random)) {
      for (const Storage storage : {Storage::kFloat32, Storage::kFloat64}) {
        if (size < 10 || random() % (size < 300 ? 2 : 6) == 0) check(c, storage, random);
      }
    }
    for (const Storage storage : {Storage::kBFloat16, Storage::kFloat16}) {
      check(normal_rows("half", 1, size, static_cast<double>(size), random), storage, random);
    }
  }
  for (const int64_t size : {1, 2, 5, 40, 66}) {
    for (const double strength : {0.01, 0.5, 3.0, 40.0}) {
      check_definitions(normal_rows("normal", 1, size, strength, random));
    }
  }
  check_spearman_of_all_kinds(random);
  check_sizes(random);
  check_more_rows_than_blocks(random);
  check_foreign_indices(random);
  std::printf(
      "largest differences beside their bounds, ranks, derivatives, sorted values, products: "
      "float32 "
      "%.2f %.2f %.2f %.2f, float64 %.2f %.2f %.2f %.2f\n",
      worst_of[0][0], worst_of[0][1], worst_of[0][2], worst_of[0][3], worst_of[1][0],
      worst_of[1][1], worst_of[1][2], worst_of[1][3]);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
