// The CUDA kernels of soft top-k masks and of products with their Jacobian, as they stand, run on
// the host (emulator/cuda_runtime.h) and compared with long double.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "core/cdf/smooth_cdfs.h"
#include "cuda/soft_topk.h"
#include "inverse_cases.h"
#include "tensor.h"

namespace {

using namespace rank_relax;
using cuda::SoftTopK;
using cuda::SoftTopKProduct;

int failures = 0;
double worst_share = 0, worst_density = 0, worst_product = 0;  // in units of their bounds

void report(const std::string& what, const Case& c, double k, int64_t i, double got,
            double expected) {
  if (++failures > 30) return;
  std::printf("FAILED %s: %s, n = %zu, α = %g, k = %.17g, item %lld: got %.17g, expected %.17g\n",
              what.c_str(), c.name.c_str(), c.values.size(), c.strength, k,
              static_cast<long long>(i), got, expected);
}

/// The threshold of a row at a level of its finite items, as α (c - anchor), in long double.
class Threshold {
 public:
  Threshold(const Counted& counted, const std::string& method, double strength, double level)
      : sorted_(counted.finite),
        method_(method),
        strength_(strength),
        level_(level),
        place_(static_cast<int64_t>(std::ceil(level)) - 1) {
    if (level == std::floor(level)) gap_ = difference(sorted_[place_ + 1], anchor());
    SmoothCdfs::visit(method, [&](auto cdf) {
      constexpr long double kWide = 1000;  // the tails are in the range of long double up to it
      balances_ = kFallsExponentially<decltype(cdf)> && gap_ > kWide;
    });
    u_ = root();
  }

  /// α (x - c)
  long double distance_of(double x) const { return difference(x, anchor()) - u_; }

 private:
  struct Value {
    long double value, slope;
  };

  double anchor() const { return sorted_[place_]; }
  long double difference(double a, double b) const {
    return strength_ * (static_cast<long double>(a) - b);
  }

  /// Whole items below, less the level, and two tails; of a whole level in a very wide gap, in
  /// which it then lies, the tails' logarithms.
  Value at(long double u) const {
    if (balances_) return balance_at(u);
    long double whole = 0, tails = 0, slope = 0;
    for (const double x : sorted_) {
      const long double d = u - difference(x, anchor());
      whole += d > 0 ? 1 : 0;
      tails += d > 0 ? -tail(method_, d) : tail(method_, -d);
      slope += density(method_, d);
    }
    return {(whole - level_) + tails, slope};
  }

  Value balance_at(long double u) const {
    long double sum[2] = {0, 0}, slope[2] = {0, 0};
    for (size_t i = 0; i < sorted_.size(); ++i) {
      const int side = static_cast<int64_t>(i) <= place_ ? 0 : 1;
      const long double d = std::abs(u - difference(sorted_[i], anchor()));
      const long double nearest = log_tail(method_, side == 0 ? u : gap_ - u);
      const long double weight = std::exp(log_tail(method_, d) - nearest), step = 1e-6L * (1 + d);
      sum[side] += weight;
      slope[side] += weight * (log_tail(method_, d) - log_tail(method_, d + step)) / step;
    }
    return {
        log_tail(method_, gap_ - u) - log_tail(method_, u) + std::log(sum[1]) - std::log(sum[0]),
        slope[0] / sum[0] + slope[1] / sum[1]};
  }

  /// By Newton's method between bounds.
  long double root() const {
    long double lower = 0, upper = gap_;
    if (!balances_) {
      for (lower = -1; at(lower).value > 0;) lower *= 2;
      for (upper = gap_ + 1; at(upper).value < 0;) upper *= 2;
    }
    long double u = (lower + upper) / 2;
    for (int i = 0; i < 400; ++i) {
      const Value here = at(u);
      if (here.value == 0) break;
      (here.value > 0 ? upper : lower) = u;
      long double next = u - here.value / here.slope;
      if (!(lower < next && next < upper)) next = lower / 2 + upper / 2;
      const bool ends =
          std::abs(next - u) <= 4e-19L * std::abs(u) || next == lower || next == upper;
      u = next;
      if (ends) break;
    }
    return u;
  }

  const Row& sorted_;
  std::string method_;
  long double strength_;
  double level_;
  int64_t place_;
  bool balances_ = false;
  long double gap_ = 0, u_ = 0;
};

/// What the items of a row must get.
struct Expected {
  bool has_level;
  double of_finite, of_tops, of_bottoms;
  double level;

  Expected(const Counted& counted, double k) {
    const auto finite = static_cast<double>(counted.count());
    const auto tops = static_cast<double>(counted.above);
    const auto bottoms = static_cast<double>(counted.below);
    const double all = finite + tops + bottoms, wanted = k >= 0 ? std::min(k, all) : kNan;
    level = all - wanted - bottoms;
    has_level = 0 < level && level < finite;
    of_finite = std::isnan(level) ? kNan : (level <= 0 ? 1 : 0);
    const auto share = [](double left, double number) {
      return std::isnan(left) ? kNan : std::clamp(left / std::max(number, 1.0), 0.0, 1.0);
    };
    of_tops = share(wanted, tops);
    of_bottoms = share(wanted - tops - finite, bottoms);
  }
};

/// What a dtype rounds by, beside a number and at least.
struct Rounding {
  double relative, least;
};
Rounding rounding_of(Storage storage) {
  switch (storage) {
    case Storage::kFloat64:
      return {2e-16, 1e-307};
    case Storage::kFloat32:
      return {6e-8, 1e-38};
    case Storage::kBFloat16:
      return {4e-3, 1e-38};
    default:
      return {5e-4, 3e-8};
  }
}

struct Masks {
  std::vector<uint64_t> words;  // of the dtype
  Row chosen, densities;
};

/// The masks of a row for several k: rows of a batch, all at one place in memory.
Masks masks_of(const std::string& method, SoftTopK problem, const Row& ks, Storage storage) {
  const auto rows = static_cast<int64_t>(ks.size());
  Tensor numbers(Storage::kFloat64, ks), chosen(storage, Row(rows * problem.size, 7.0));
  Row densities(rows * problem.size, 7.0);
  problem.rows = rows;
  problem.numbers = numbers.items(1);
  problem.chosen = chosen.results();
  problem.densities = densities.data();
  std::vector<char> workspace(cuda::soft_topk_workspace(problem) + 1, '\x5a');
  emulator::take_other_turns();
  if (cuda::soft_topk(problem, method, workspace.data(), nullptr) != cudaSuccess) {
    std::printf("FAILED: a launch\n");
    ++failures;
  }
  return {chosen.words, chosen.values(), densities};
}

bool same_bits(const Masks& a, const Masks& b) {
  return a.words == b.words && std::memcmp(a.densities.data(), b.densities.data(),
                                           a.densities.size() * sizeof(double)) == 0;
}

bool same_number(double a, double b) { return std::isnan(a) ? std::isnan(b) : a == b; }

void check_item(const std::string& what, const Case& c, double k, int64_t i, Storage storage,
                double share, double density_, double expected, double expected_density) {
  const double rounded = Tensor(storage, {expected}).values()[0];
  if (!same_number(share, rounded)) report(what + ", a share", c, k, i, share, rounded);
  if (!same_number(density_, expected_density)) {
    report(what + ", its density", c, k, i, density_, expected_density);
  }
}

/// Of float32 and halves the threshold is right to the square of a step of 1e-6, else to the
/// roundings of sums, as test_quantile.cpp has it; a tail to the same and to d times that of d.
void check_mask(const std::string& method, const Case& c, const Counted& counted, double k,
                Storage storage, const double* shares, const double* densities) {
  const Expected expected(counted, k);
  const double at_threshold = storage == Storage::kFloat64 ? 4e-13 : 2e-12;
  const Rounding rounding = rounding_of(storage);
  const auto size = static_cast<int64_t>(c.values.size());
  const std::string what = method + " mask";
  const bool all = size <= 100;
  std::vector<Threshold> threshold;
  if (expected.has_level) threshold.emplace_back(counted, method, c.strength, expected.level);
  for (int64_t i = 0; i < size; ++i) {
    const double x = c.values[i];
    const bool is_masked = !c.mask.empty() && c.mask[i] == 0;
    const auto check = [&](double share, double slope) {
      check_item(what, c, k, i, storage, shares[i], densities[i], share, slope);
    };
    if (is_masked) {
      check(0, 0);
    } else if (std::isnan(x)) {
      check(kNan, kNan);
    } else if (std::isinf(x)) {
      check(x > 0 ? expected.of_tops : expected.of_bottoms, 0);
    } else if (!expected.has_level) {
      check(expected.of_finite, std::isnan(expected.of_finite) ? kNan : 0);
    } else if (all || i % 37 == 0) {
      const long double d = threshold[0].distance_of(x), far = tail(method, std::abs(d));
      const auto share = static_cast<double>(d > 0 ? 1 - far : far);
      const auto slope = static_cast<double>(density(method, d));
      const auto steps = static_cast<double>(1 + std::min(d * d, 1e6L));
      const double bound = rounding.relative * share +
                           at_threshold * std::min(steps * static_cast<double>(far), 1.0) +
                           rounding.least;
      const double error = std::abs(shares[i] - share);
      if (!(error <= bound)) report(what + ", a share", c, k, i, shares[i], share);
      const double slope_bound = at_threshold * steps * slope + 1e-307;
      const double slope_error = std::abs(densities[i] - slope);
      if (!(slope_error <= slope_bound)) {
        report(what + ", a density", c, k, i, densities[i], slope);
      }
      if (storage == Storage::kFloat64) worst_share = std::max(worst_share, error / bound);
      worst_density = std::max(worst_density, slope_error / slope_bound);
    }
  }
}

/// Numbers of items of every kind.
Row some_numbers(const Counted& counted, std::mt19937& random, size_t most) {
  const auto all = static_cast<double>(counted.count() + counted.below + counted.above);
  std::uniform_real_distribution<double> uniform(0, std::max(all, 1.0));
  Row numbers = {std::floor(all / 2),
                 1,
                 uniform(random),
                 std::max(all - 1, 0.0),
                 std::floor(uniform(random)),
                 1e-3,
                 all - 1e-3,
                 0,
                 all,
                 all + 3,
                 kNan,
                 -1,
                 static_cast<double>(counted.above),
                 kInfinity};
  numbers.resize(std::min(numbers.size(), most));
  return numbers;
}

void check_case(const std::string& method, Case c, Storage storage, size_t numbers,
                std::mt19937& random) {
  const auto size = static_cast<int64_t>(c.values.size());
  constexpr int64_t kApart = 3;
  Tensor values(storage, c.values, kApart), mask(Storage::kByte, c.mask, 2);
  c.values = values.values();
  SoftTopK problem;
  problem.size = size;
  problem.input = {values.data(), storage, 0, kApart};
  if (!c.mask.empty()) problem.mask = {mask.data(), Storage::kByte, 0, 2};
  problem.regularization_strength = c.strength;
  const Counted counted(c);
  const Row ks = some_numbers(counted, random, numbers);
  const Masks got = masks_of(method, problem, ks, storage);
  if (!same_bits(got, masks_of(method, problem, ks, storage))) {
    report(method + ", other bits for other turns", c, 0, 0, 0, 0);
  }
  for (size_t row = 0; row < ks.size(); ++row) {
    const auto at = static_cast<int64_t>(row) * size;
    check_mask(method, c, counted, ks[row], storage, got.chosen.data() + at,
               got.densities.data() + at);
    if (row > 1) continue;
    const Masks alone = masks_of(method, problem, {ks[row]}, storage);
    if (std::memcmp(alone.densities.data(), got.densities.data() + at, size * sizeof(double)) !=
        0) {
      report(method + ", a row of a batch", c, ks[row], 0, 0, 0);
    }
  }
}

/// In a dtype in turn, rows of a warp, of a block, and of several.
template <class Cdf>
void check_everything(std::mt19937& random) {
  unsigned turn = random();
  for (const int64_t size : {1, 2, 7, 40, 256, 300, 1100}) {
    for (const Case& c : cases(size, random)) {
      const auto storage = static_cast<Storage>(turn++ % 4);
      if (size < 1000) {
        check_case(Cdf::name, c, storage, 14, random);
      } else if (turn % 2 == 0) {
        check_case(Cdf::name, c, storage, 4, random);
      }
    }
  }
  constexpr int64_t kLong = 8300;
  for (const Case& c : cases(kLong, random)) {
    if (turn % 5 == 0) {
      check_case(Cdf::name, c, turn % 2 == 0 ? Storage::kFloat64 : Storage::kFloat32, 3, random);
    }
    ++turn;
  }
}

/// A wide gap in the middle, where the sum is flat and the shares are those of the tails.
template <class Cdf>
void check_gaps(std::mt19937& random) {
  for (const double gap : {3.0, 30.0, 50.0, 54.0, 60.0, 200.0, 1e6, 1e20}) {
    for (const int64_t copies : {1, 60, 1700}) {
      if (copies == 1700 && gap != 200) continue;
      Row row;
      for (int64_t i = 0; i < copies; ++i) row.insert(row.end(), {0.0, -1.0, gap, gap, gap + 3});
      Row ks(1, 3.0 * static_cast<double>(copies));
      check_case(Cdf::name, {"a gap", row},
                 gap < 1e6 && copies > 1 ? Storage::kFloat32 : Storage::kFloat64, 1, random);
      // k is the middle there; here the items above the gap.
      const Case c{"above a gap", row};
      Tensor values(Storage::kFloat64, row);
      SoftTopK problem;
      problem.size = static_cast<int64_t>(row.size());
      problem.input = values.items(problem.size);
      const Masks got = masks_of(Cdf::name, problem, ks, Storage::kFloat64);
      check_mask(Cdf::name, c, Counted(c), ks[0], Storage::kFloat64, got.chosen.data(),
                 got.densities.data());
    }
  }
}

/// Where values or strengths overflow shares are still between 0 and 1, and in the items' order.
template <class Cdf>
void nasty_rows_stay_in_order() {
  constexpr double kHuge = std::numeric_limits<double>::max(), kTiny = 5e-324;
  const Row rows[] = {{1, -2, 5, 0, 0, 7, 7, 7},
                      {kHuge, -kHuge, 0, 1, -1, kTiny, -kTiny, 1e-300},
                      {kInfinity, kInfinity, -kInfinity, kInfinity, 3, 1e300, -1e300, 0}};
  for (const Row& row : rows) {
    for (const int copies : {1, 40, 1100}) {
      for (const double strength : {5e-324, 1e-300, 1.0, 1e300, kHuge}) {
        if (copies == 1100 && strength != 1) continue;
        Case c{"nasty", {}, strength};
        for (int i = 0; i < copies; ++i) c.values.insert(c.values.end(), row.begin(), row.end());
        const auto size = static_cast<int64_t>(c.values.size());
        Tensor values(Storage::kFloat64, c.values);
        SoftTopK problem;
        problem.size = size;
        problem.input = {values.data(), Storage::kFloat64, 0, 1};
        problem.regularization_strength = strength;
        Row ks;
        for (int k = 0; k <= 16; ++k) ks.push_back(static_cast<double>(size * k) / 16);
        if (copies > 40) ks = {ks[3], ks[8]};
        const Masks got = masks_of(Cdf::name, problem, ks, Storage::kFloat64);
        for (size_t at = 0; at < got.chosen.size(); ++at) {
          const size_t begin = at / size * size, i = at - begin;
          const double share = got.chosen[at], k = ks[at / size];
          if (!(0 <= share && share <= 1)) report("a nasty share", c, k, i, share, 0.5);
          if (!(got.densities[at] >= 0)) report("a nasty density", c, k, i, got.densities[at], 0);
          for (size_t j = 0; j < 8; ++j) {
            if (c.values[j] <= c.values[i] && !(got.chosen[begin + j] <= share)) {
              report("nasty shares ascend", c, k, i, share, got.chosen[begin + j]);
            }
          }
        }
      }
    }
  }
}

/// Products with the Jacobian, of rows of a warp, of a block, and of several.
void check_products(std::mt19937& random) {
  std::normal_distribution<double> normal;
  for (const int64_t size : {1, 5, 33, 256, 700, 9000}) {
    for (int turn = 0; turn < 8; ++turn) {
      const auto storage = static_cast<Storage>(turn % 4);
      constexpr int64_t kRows = 5;
      Row along(kRows * size), f(kRows * size);
      for (int64_t i = 0; i < kRows * size; ++i) {
        const int64_t row = i / size;
        const bool has_none = row == 1 || (row == 2 && random() % 2 == 0);
        f[i] = has_none ? 0 : std::exp(-3 * std::abs(normal(random)));
        if (row == 3 && random() % 5 == 0) f[i] = kNan;
        along[i] = f[i] > 0 ? 3 + normal(random) : (random() % 2 == 0 ? kInfinity : kNan);
      }
      Tensor vectors(storage, along), densities(Storage::kFloat64, f), output(storage, along);
      along = vectors.values();
      SoftTopKProduct problem{
          kRows, size, vectors.items(size), densities.items(size), 2.5, output.results()};
      std::vector<char> workspace(cuda::soft_topk_product_workspace(problem) + 1, '\x5a');
      const auto run = [&] {
        emulator::take_other_turns();
        if (cuda::soft_topk_product(problem, workspace.data(), nullptr) != cudaSuccess) ++failures;
        return output.words;
      };
      const std::vector<uint64_t> first = run();
      const Case c{"a product", Row(size)};
      if (run() != first) report("other bits for other turns", c, 0, 0, 0, 0);
      const Row got = output.values();
      for (int64_t row = 0; row < kRows; ++row) {
        long double total = 0, products = 0;
        for (int64_t i = row * size; i < (row + 1) * size; ++i) {
          if (!(f[i] > 0)) continue;
          total += f[i];
          products += static_cast<long double>(f[i]) * along[i];
        }
        for (int64_t i = row * size; i < (row + 1) * size; ++i) {
          if (!(f[i] > 0)) {
            if (!same_number(got[i], f[i])) report("no product", c, 0, i, got[i], f[i]);
            continue;
          }
          const auto expected = static_cast<double>(2.5L * f[i] * (along[i] - products / total));
          const Rounding rounding = rounding_of(storage);
          // The mean of vectors of size 8 at most is right to some roundings of that.
          const double bound =
              rounding.relative * std::abs(expected) + rounding.least + 2.5 * f[i] * 1e-15 * 8;
          const double error = std::abs(got[i] - expected);
          if (!(error <= bound)) report("a product", c, 0, i, got[i], expected);
          worst_product = std::max(worst_product, error / bound);
        }
      }
    }
  }
}

/// A launch, or two, where some 125 kernels of torch were; so many that a host can't overtake them.
void check_launches() {
  const auto launches_of = [](int64_t size, Storage storage) {
    Tensor values(storage, Row(size, 1.0));
    SoftTopK problem;
    problem.size = size;
    problem.input = values.items(size);
    const int64_t before = emulator::launches;
    masks_of("sigmoid", problem, {1.0}, storage);
    return emulator::launches - before;
  };
  const auto check = [](const char* what, int64_t got, int64_t expected) {
    if (got == expected) return;
    std::printf("FAILED: %s: %lld launches, expected %lld\n", what, static_cast<long long>(got),
                static_cast<long long>(expected));
    ++failures;
  };
  check("a row of a warp", launches_of(256, Storage::kFloat32), 1);
  check("a row of a block", launches_of(8192, Storage::kFloat64), 1);
  check("a long row", launches_of(8193, Storage::kFloat32), 19);
  check("a long row in double", launches_of(8193, Storage::kFloat64), 21);
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  check_launches();
  check_products(random);
  for_each_cdf(SmoothCdfs(), [&](auto cdf) {
    using Cdf = decltype(cdf);
    check_gaps<Cdf>(random);
    nasty_rows_stay_in_order<Cdf>();
    check_everything<Cdf>(random);
  });
  std::printf("largest errors beside their bounds: shares %.2f, densities %.2f, products %.2f\n",
              worst_share, worst_density, worst_product);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
