// The CUDA kernels of the smoothed count's inverse, as they stand, run on the host
// (emulator/cuda_runtime.h) and compared with long double sums, in the bounds of
// tests/core/test_core.cpp. They compute in double whatever the dtype, so the bounds are the same.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "core/cdf/smooth_cdfs.h"
#include "cuda/row/rows_together.cuh"
#include "cuda/soft_sort_and_soft_quantile.h"
#include "inverse_cases.h"
#include "tensor.h"

namespace {

using namespace rank_relax;
using cuda::Quantile;

int failures = 0;
double worst_sort = 0, worst_density = 0, worst_level = 0;  // in units of their bounds

void report(const std::string& what, const Case& c, int64_t place, double got, double expected) {
  if (++failures > 30) return;
  std::printf("FAILED %s: %s, n = %zu, α = %g, place %lld: got %.17g, expected %.17g\n",
              what.c_str(), c.name.c_str(), c.values.size(), c.strength,
              static_cast<long long>(place), got, expected);
}

/// How far a point may be off by rounding, in units of 1/α: that of the largest value to double,
/// and, where tails are long, of points that lie far out from all items. There what a tail is off
/// relative to itself its distance is too: atan(1/d)/π is rounded thrice, by up to 3.7e-16, d and
/// y, which is a sum, four times, and so is their sum over the items.
template <class Cdf>
double rounding_at(const Counted& counted, double strength, double point) {
  const double of_largest = 4e-16 * strength * counted.largest();
  return kFallsExponentially<Cdf> ? of_largest
                                  : std::max(of_largest, 1e-15 * strength * std::abs(point));
}

/// How far y is from G(y) = level, in units of 1/α: whole items below, and two tails.
long double distance_to_level(const Row& values, double strength, const std::string& method,
                              double y, long double level, long double& slope) {
  long double below = 0, tails = 0;
  slope = 0;
  for (const double value : values) {
    const long double d = strength * (static_cast<long double>(y) - value);
    below += d > 0 ? 1 : 0;
    tails += d > 0 ? -tail(method, d) : tail(method, -d);
    slope += density(method, d);
  }
  return std::abs(below - level + tails) / slope;
}

/// The same for a whole level in a gap, by the tails' logarithms.
long double distance_to_balance(const Row& sorted, double strength, const std::string& method,
                                double y, int64_t level) {
  long double sum[2] = {0, 0}, slope[2] = {0, 0};
  const auto distance = [&](int64_t i) {
    return strength * std::abs(static_cast<long double>(y) - sorted[i]);
  };
  const long double nearest[] = {distance(level - 1), distance(level)};
  for (int64_t i = 0; i < static_cast<int64_t>(sorted.size()); ++i) {
    const int side = i < level ? 0 : 1;
    const long double d = distance(i), step = 1e-6L * (1 + d);
    const long double weight = std::exp(log_tail(method, d) - log_tail(method, nearest[side]));
    sum[side] += weight;
    slope[side] += weight * (log_tail(method, d) - log_tail(method, d + step)) / step;
  }
  const long double value = log_tail(method, nearest[1]) - log_tail(method, nearest[0]) +
                            std::log(sum[1]) - std::log(sum[0]);
  return std::abs(value) / (slope[0] / sum[0] + slope[1] / sum[1]);
}

void run(const Quantile& problem, const char* method) {
  std::vector<char> workspace(cuda::quantile_workspace(problem, method) + 1, '\x5a');
  emulator::take_other_turns();
  if (cuda::quantile(problem, method, workspace.data(), nullptr) != cudaSuccess) {
    std::printf("FAILED: a launch\n");
    ++failures;
  }
}

/// A case as a kernel sees it; the case takes the values that its dtype holds.
struct Input {
  Tensor values, mask;
  Quantile problem;

  Input(Case& c, Storage storage) : values(storage, c.values), mask(Storage::kByte, c.mask) {
    c.values = values.values();
    const auto size = static_cast<int64_t>(c.values.size());
    problem.rows = 1;
    problem.size = size;
    problem.input = values.items(size);
    if (!c.mask.empty()) problem.mask = mask.items(size);
    problem.regularization_strength = c.strength;
  }
};

struct Sorted {
  Row values, points, densities;
};

/// Sorts twice, in other turns, the second time for the values alone: both must have the same bits.
template <class Cdf>
Sorted sort(const Case& c, Input& input, Storage storage) {
  const size_t size = c.values.size();
  Tensor values(storage, Row(size, 7.0)), alone(storage, Row(size, 3.0));
  Row points(size, 7.0), densities(size, 7.0);
  input.problem.values = {alone.data(), storage};
  run(input.problem, Cdf::name);
  input.problem.values = {values.data(), storage};
  input.problem.points = points.data();
  input.problem.densities = densities.data();
  run(input.problem, Cdf::name);
  if (std::memcmp(alone.data(), values.data(), size * bytes_of(storage)) != 0) {
    report("other bits for other turns", c, 0, 0, 0);
  }
  return {values.values(), points, densities};
}

bool same_number(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b; }

template <class Cdf>
void check_sort(Case c, Storage storage) {
  Input input(c, storage);
  const Sorted got = sort<Cdf>(c, input, storage);
  const Counted counted(c);
  const auto size = static_cast<int64_t>(c.values.size());
  const int64_t end = counted.below + counted.count();
  for (int64_t place = 0; place < size; ++place) {
    const std::string what = std::string(Cdf::name) + " sort";
    if (place < counted.below || place >= end) {
      const double expected = place < counted.below                       ? -kInfinity
                              : place < end + counted.above               ? kInfinity
                              : place < end + counted.above + counted.nan ? kNan
                                                                          : 0;
      if (!same_number(got.values[place], expected) || !same_number(got.points[place], expected) ||
          got.densities[place] != 0) {
        report(what + ", not finite", c, place, got.points[place], expected);
      }
      continue;
    }
    const double point = got.points[place];
    const bool ascends = place == counted.below || got.points[place - 1] <= point;
    if (!ascends) report(what + " ascends", c, place, point, got.points[place - 1]);
    if (!same_number(got.values[place], Tensor(storage, {point}).values()[0])) {
      report(what + ", a value", c, place, got.values[place], point);
    }
    // m F(T) = m - 1/2 brings the bracket.
    const double item = counted.finite[place - counted.below];
    const double items = 2.0 * static_cast<double>(size);
    const double reach = kFallsExponentially<Cdf> ? std::log(items) + 0.1 : Cdf::reach_of(items, 0);
    const double farthest = reach / c.strength;
    if (!(std::abs(point - item) <= farthest + 4e-16 * std::abs(item))) {
      report(what + ", beside its item", c, place, point, item);
    }
    if (place % (1 + size / 40) != 0) continue;
    const double rounding = rounding_at<Cdf>(counted, c.strength, point);
    const double bound = 4e-14 + rounding, relative = 1e-11 + 8 * rounding;
    long double slope;
    const long double distance =
        distance_to_level(counted.finite, c.strength, Cdf::name, point,
                          static_cast<long double>(place - counted.below) + 0.5L, slope);
    if (!(distance <= bound))
      report(what + ", a level", c, place, static_cast<double>(distance), bound);
    const auto error = static_cast<double>(std::abs(got.densities[place] / slope - 1));
    if (!(error <= relative)) report(what + ", a density", c, place, error, relative);
    worst_sort = std::max(worst_sort, static_cast<double>(distance) / bound);
    worst_density = std::max(worst_density, error / relative);
  }
}

/// Levels of every kind among those of a row.
Row some_levels(const Counted& counted, int64_t number, std::mt19937& random) {
  const auto count = static_cast<double>(counted.count());
  const auto below = static_cast<double>(counted.below);
  std::uniform_real_distribution<double> uniform(0, std::max(count, 1.0));
  Row levels = {kNan, -1, below, below + count, below + count + 1, 0, kInfinity, below + count / 2};
  while (static_cast<int64_t>(levels.size()) < number) {
    const double level = uniform(random);
    const int kind = static_cast<int>(random() % 3);
    levels.push_back(below + (kind == 0 ? level : (kind == 1 ? std::floor(level) : 1e-3 * level)));
  }
  return levels;
}

double point_beyond(const Counted& counted, double level) {
  const auto count = static_cast<double>(counted.count());
  if (std::isnan(level) || (counted.finite.empty() && counted.below + counted.above == 0)) {
    return kNan;
  }
  const double above = level - static_cast<double>(counted.below);
  if (count == 0 && above == 0) return kNan;
  return above <= 0 ? -kInfinity : kInfinity;
}

template <class Cdf>
void check_point(const Case& c, const Counted& counted, double level, double got) {
  const std::string what = std::string(Cdf::name) + " level " + std::to_string(level);
  const double above = level - static_cast<double>(counted.below);
  if (!(0 < above && above < static_cast<double>(counted.count()))) {
    const double expected = point_beyond(counted, level);
    if (!same_number(got, expected)) report(what, c, 0, got, expected);
    return;
  }
  const Row& sorted = counted.finite;
  const auto whole = static_cast<int64_t>(above);
  const bool in_gap =
      above == std::floor(above) && c.strength * (sorted[whole] / 2 - sorted[whole - 1] / 2) > 4;
  long double slope;
  const long double distance =
      in_gap ? distance_to_balance(sorted, c.strength, Cdf::name, got, whole)
             : distance_to_level(sorted, c.strength, Cdf::name, got, above, slope);
  const double bound = 2e-13 + std::max(4e-16 * c.strength * std::abs(got),
                                        rounding_at<Cdf>(counted, c.strength, got));
  if (!(distance <= bound)) report(what, c, 0, static_cast<double>(distance), bound);
  worst_level = std::max(worst_level, static_cast<double>(distance) / bound);
}

template <class Cdf>
void check_levels(Case c, Storage storage, int64_t number, std::mt19937& random) {
  Input input(c, storage);
  const Counted counted(c);
  const Row wanted = some_levels(counted, number, random);
  const auto count = static_cast<int64_t>(wanted.size());
  Tensor levels(Storage::kFloat64, wanted);
  Row points(count, 7.0), again(count, 7.0);
  input.problem.levels = levels.items(count);
  input.problem.level_count = count;
  for (Row* here : {&points, &again}) {
    input.problem.points = here->data();
    run(input.problem, Cdf::name);
  }
  if (std::memcmp(points.data(), again.data(), 8 * count) != 0) {
    report("other bits for other turns, at levels", c, 0, 0, 0);
  }
  for (int64_t l = 0; l < count; ++l) check_point<Cdf>(c, counted, wanted[l], points[l]);
}

/// In a dtype in turn; short rows in two.
template <class Cdf>
void check_everything(std::mt19937& random) {
  unsigned turn = random();
  for (const int64_t size : {0, 1, 2, 7, 40, 130, 300, 1100}) {
    for (const Case& c : cases(size, random)) {
      for (int i = 0; i < (size < 130 ? 2 : 1); ++i) {
        const auto storage = static_cast<Storage>(turn++ % 4);
        check_sort<Cdf>(c, storage);
        check_levels<Cdf>(c, storage, 20, random);
      }
    }
  }
}

/// Rows in which many items share a box, on a device whose blocks sort them in several tiles.
template <class Cdf>
void check_long_rows(std::mt19937& random) {
  emulator::most_shared_memory = 20 << 10;
  for (const Case& c : cases(2500, random)) {
    const bool on_a_grid = c.name == "normal" && c.strength == 30;
    if (on_a_grid || c.name == "outlier" || c.name == "two clusters" || c.name == "mask") {
      check_sort<Cdf>(c, Storage::kFloat32);
      check_levels<Cdf>(c, Storage::kFloat64, 20, random);
    }
  }
  emulator::most_shared_memory = 227 << 10;
}

/// The middle of a gap, by the limit ½ (LSE(α x_left) - LSE(-α x_right))/α of the sigmoid.
void points_at_whole_levels_balance_a_gap() {
  for (const double gap : {60.0, 200.0, 1e6, 1e20}) {
    for (const int64_t copies : {1, 50, 300}) {  // short, and long on a grid or sorted
      Row row;
      for (int64_t i = 0; i < copies; ++i) {
        row.insert(row.end(), {0.0, -1.0, gap, gap, gap + 3});
      }
      Case c{"a gap", row};
      Input input(c, Storage::kFloat64);
      double level = static_cast<double>(2 * copies), point = 7;
      input.problem.levels = {&level, Storage::kFloat64, 1, 1};
      input.problem.level_count = 1;
      input.problem.points = &point;
      run(input.problem, "sigmoid");
      // An ulp of 1e20 swallows the 3.
      const double left = std::log1p(std::exp(-1)),
                   right = gap < 1e19 ? std::log(2 + std::exp(-3)) : std::log(3);
      const double expected = gap / 2 + (left - right) / 2;
      if (!(std::abs(point - expected) <= 1e-15 * gap + 1e-12)) {
        report("the middle of a gap", c, 0, point, expected);
      }
    }
  }
}

/// So far below all items that Σ F(y - x) is Σ e^(y - x).
void points_at_tiny_levels_are_in_the_tail() {
  for (const double level : {1e-12, 1e-16, 1e-17}) {
    for (const int64_t copies : {1, 300}) {
      Row row;
      for (int64_t i = 0; i < copies; ++i) row.insert(row.end(), {0.0, 3.0});
      double wanted = level, point = 7;
      Case c{"a tail", row};
      Input input(c, Storage::kFloat64);
      input.problem.levels = {&wanted, Storage::kFloat64, 1, 1};
      input.problem.level_count = 1;
      input.problem.points = &point;
      run(input.problem, "sigmoid");
      const double count = static_cast<double>(copies) * (1 + std::exp(-3.0));
      const double expected = std::log(level / count);
      if (!(std::abs(point - expected) <= 1e-12 * (1 + std::abs(expected)))) {
        report("a tiny level", c, 0, point, expected);
      }
    }
  }
}

/// Where values or strengths overflow, points still ascend with their levels, short and long.
template <class Cdf>
void nasty_rows_stay_in_order() {
  constexpr double kHuge = std::numeric_limits<double>::max(), kTiny = 5e-324;
  const Row rows[] = {{kNan, 1, kInfinity, -2, 5, -kInfinity, 0, 0},
                      {kHuge, -kHuge, 0, 1, -1, kTiny, -kTiny, 1e-300},
                      {kInfinity, kInfinity, -kInfinity, kInfinity, kInfinity, 1e300, -1e300, 0}};
  for (const Row& row : rows) {
    for (const int copies : {1, 40}) {
      for (const double strength : {1e-300, 1.0, 1e300, kHuge}) {
        Case c{"nasty", {}, strength};
        for (int i = 0; i < copies; ++i) c.values.insert(c.values.end(), row.begin(), row.end());
        Input input(c, Storage::kFloat64);
        const Sorted sorted = sort<Cdf>(c, input, Storage::kFloat64);
        Row levels(2 * c.values.size()), points(levels.size());
        for (size_t l = 0; l < levels.size(); ++l) levels[l] = static_cast<double>(l) / 2;
        Tensor wanted(Storage::kFloat64, levels);
        Input at_levels(c, Storage::kFloat64);
        at_levels.problem.levels = wanted.items(wanted.size);
        at_levels.problem.level_count = wanted.size;
        at_levels.problem.points = points.data();
        run(at_levels.problem, Cdf::name);
        for (size_t i = 1; i < points.size(); ++i) {
          if (points[i] < points[i - 1]) report("levels ascend", c, i, points[i], points[i - 1]);
        }
        for (size_t i = 1; i < c.values.size(); ++i) {
          const double before = sorted.values[i - 1], here = sorted.values[i];
          if (here < before) report("sorted values ascend", c, i, here, before);
          if (std::isnan(here) && c.values.size() - i > static_cast<size_t>(copies)) {
            report("only NaN makes NaN", c, i, here, before);
          }
          if (!(sorted.densities[i] >= 0)) report("a density", c, i, sorted.densities[i], 0);
        }
      }
    }
  }
}

/// A sort of a short row is one launch, without working memory where scans sort it, in as much
/// shared memory as there is.
void check_launches() {
  const auto check = [](const char* method, int64_t size, int64_t expected) {
    Case c{"launches", Row(size, 1.0)};
    Input input(c, Storage::kFloat32);
    Row points(size);
    input.problem.points = points.data();
    const int64_t before = emulator::launches;
    run(input.problem, method);
    const int64_t got = emulator::launches - before;
    const bool has_memory = cuda::quantile_workspace(input.problem, method) > 0;
    if (got == expected && has_memory == (expected > 1)) return;
    std::printf("FAILED: a sort of %lld items by %s: %lld launches, expected %lld\n",
                static_cast<long long>(size), method, static_cast<long long>(got),
                static_cast<long long>(expected));
    ++failures;
  };
  check("sigmoid", 1024, 1);
  check("sigmoid", 1025, 9);
  check("laplace", 1024, 1);
  check("gaussian", 256, 1);
  check("gaussian", 1024, 9);
  emulator::most_shared_memory = 20 << 10;
  check("sigmoid", 300, 9);
  emulator::most_shared_memory = 227 << 10;
}

/// Rows in whose sorts a block's warps have tiles that are full, empty of levels, or one item.
void check_tiles() {
  std::mt19937 random(1);
  for (const int64_t size : {31, 32, 33, 64, 65, 127, 129, 1023, 1024}) {
    Row tied = random_row(size, random), stepped(size), apart(size);
    for (int64_t i = 0; i < size; ++i) {
      tied[i] = i < size / 2 ? 0.5 : tied[i];
      stepped[i] = static_cast<double>(i / 40);
      apart[i] = static_cast<double>(i);
    }
    const auto storage = static_cast<Storage>(random() % 4);
    check_sort<Sigmoid>({"half tied", tied, 2}, storage);
    check_sort<Sigmoid>({"steps", stepped, 60}, storage);
    check_sort<Laplace>({"steps", stepped, 60}, storage);
    check_sort<Sigmoid>({"apart", apart, 1000}, Storage::kFloat64);
    check_sort<Sigmoid>({"a heap", random_row(size, random, 1e-6), 1}, Storage::kFloat64);
  }
  for (const int kilobytes : {20, 30, 50}) {  // fewer warps, or another way
    emulator::most_shared_memory = kilobytes << 10;
    check_sort<Sigmoid>({"little memory", random_row(200, random), 1}, Storage::kFloat32);
    check_sort<Laplace>({"little memory", random_row(900, random), 30}, Storage::kFloat32);
  }
  emulator::most_shared_memory = 227 << 10;
}

/// What a call writes.
struct Outputs {
  Tensor values;
  Row points, densities, at_levels;

  Outputs(int64_t places, int64_t levels)
      : values(Storage::kFloat32, Row(places)),
        points(places),
        densities(places),
        at_levels(levels) {}

  /// Sorts, then finds the points at levels.
  void fill(const char* method, Quantile problem, Items levels, int64_t level_count) {
    problem.values = {values.data(), Storage::kFloat32};
    problem.points = points.data();
    problem.densities = densities.data();
    run(problem, method);
    problem.values = {};
    problem.densities = nullptr;
    problem.levels = levels;
    problem.level_count = level_count;
    problem.points = at_levels.data();
    run(problem, method);
  }
};

/// Rows of one call, at strides, are what each is alone, whatever form the others take, and however
/// many are worked on at a time.
void check_batch(const char* method, std::mt19937& random) {
  for (const int64_t size : {37, 700, 2500}) {
    // The longest ones on a device whose blocks sort each in several tiles.
    emulator::most_shared_memory = size == 2500 ? 20 << 10 : 227 << 10;
    const int64_t rows = size == 37 ? 90 : 5, apart = 3, level_count = 3;
    Row values = random_row(rows * size * apart, random, 20), counts(values.size());
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i) {
      const int64_t row = i / apart % rows;
      values[i] *= row % 3 == 0 ? 0.01 : 20;
      if (row % 4 == 1 && i % 5 == 0) values[i] = kNan;
      if (size == 2500 && row < 3 && i / apart < rows) values[i] = 1e5;  // runs of many items
      counts[i] = static_cast<double>(i % 9);
    }
    Tensor input(Storage::kFloat32, values), mask(Storage::kByte, counts);
    Tensor levels(Storage::kFloat64, random_row(rows * level_count, random, 20));
    Quantile problem;
    problem.rows = rows;
    problem.size = size;
    problem.input = {input.data(), Storage::kFloat32, apart, apart * rows};
    problem.mask = {mask.data(), Storage::kByte, apart, apart * rows};
    for (const size_t most_bytes : {size_t{1}, size_t{200'000}, problem.most_bytes}) {
      if (size == 2500 && most_bytes == 1) continue;  // one at a time takes long
      Outputs got(rows * size, rows * level_count), one(size, level_count);
      problem.most_bytes = most_bytes;
      got.fill(method, problem, levels.items(level_count), level_count);
      for (int64_t row = 0; row < rows; row += size == 37 ? 7 : (size == 2500 ? 2 : 1)) {
        Quantile alone = problem;
        alone.rows = 1;
        alone.input.data = static_cast<const float*>(input.data()) + row * apart;
        alone.mask.data = static_cast<const uint8_t*>(mask.data()) + row * apart;
        Items own_levels = levels.items(level_count);
        own_levels.data = static_cast<const double*>(own_levels.data) + row * level_count;
        one.fill(method, alone, own_levels, level_count);
        const auto same = [row](const void* all, const void* alone, int64_t bytes) {
          return std::memcmp(static_cast<const char*>(all) + row * bytes, alone, bytes) == 0;
        };
        if (!same(got.values.data(), one.values.data(), size * 4) ||
            !same(got.points.data(), one.points.data(), size * 8) ||
            !same(got.densities.data(), one.densities.data(), size * 8) ||
            !same(got.at_levels.data(), one.at_levels.data(), level_count * 8)) {
          report("a row of a batch", {"batch", Row(size)}, row, 0, 0);
        }
      }
    }
  }
  emulator::most_shared_memory = 227 << 10;
}

/// More rows that have no grid than all blocks sort at a time, for an outlier or for all items, and
/// some beside them that have one.
void check_more_rows_than_are_sorted_together(std::mt19937& random) {
  constexpr int64_t kRows = cuda::kMostRowsTogether * 9 / 8 + 9, kSize = 260;
  Row values, wanted;
  for (int64_t row = 0; row < kRows; ++row) {
    Row of_row = random_row(kSize, random, row % 9 < 5 ? 1 : 1000);
    if (row % 9 < 4) of_row[row % kSize] = 1000;
    values.insert(values.end(), of_row.begin(), of_row.end());
    wanted.push_back(std::uniform_real_distribution<double>(1, kSize - 1)(random));
  }
  Tensor input(Storage::kFloat32, values), levels(Storage::kFloat64, wanted);
  values = input.values();
  Row points(kRows, 7.0);
  Quantile problem;
  problem.rows = kRows;
  problem.size = kSize;
  problem.input = input.items(kSize);
  problem.levels = levels.items(1);
  problem.level_count = 1;
  problem.points = points.data();
  run(problem, Sigmoid::name);
  for (int64_t row = 0; row < kRows; ++row) {
    const auto begin = values.begin() + row * kSize;
    const Case c = {"one of very many rows", Row(begin, begin + kSize)};
    check_point<Sigmoid>(c, Counted(c), wanted[row], points[row]);
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  check_launches();
  check_tiles();
  points_at_whole_levels_balance_a_gap();
  points_at_tiny_levels_are_in_the_tail();
  check_more_rows_than_are_sorted_together(random);
  for_each_cdf(SmoothCdfs(), [&](auto cdf) {
    using Cdf = decltype(cdf);
    check_batch(Cdf::name, random);
    nasty_rows_stay_in_order<Cdf>();
    check_everything<Cdf>(random);
    check_long_rows<Cdf>(random);
  });
  std::printf(
      "largest errors beside their bounds: sorted points %.2f, densities %.2f, points at levels "
      "%.2f\n",
      worst_sort, worst_density, worst_level);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
