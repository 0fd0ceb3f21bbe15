#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "for_each_cdf.h"
#include "kernel_sum_reference.h"
#include "nasty_rows.h"

/// One way to sum a row, and how exact it is to be.
struct Way {
  std::string name;
  /// Of float32 and float64 where few items are near, relative to what is there.
  double at_ends[2];
  /// Whether it has a way to sum rows with a CDF of that name at all.
  bool (*takes)(const std::string& cdf);
  /// At most so many rows may have a sum that `run` has no way to take.
  int most_left_out;
  /// The soft ranks, or their derivative along the directions; nothing if it has no way to sum the
  /// row.
  std::function<std::vector<double>(const std::string& cdf, bool in_double,
                                    const std::vector<double>& values, double strength,
                                    const std::vector<std::vector<double>>& directions)>
      run;
};

/// Compares what a device makes of nasty_rows() with the sums over all pairs: in both dtypes, of
/// every smooth CDF, with derivatives to second order.
class NastyRowCheck {
 public:
  explicit NastyRowCheck(std::vector<Way> ways) : ways_(std::move(ways)), tallies_(ways_.size()) {}

  /// So many rows at once. A row is the first argument of the program to look at it alone.
  int operator()(const char* only, unsigned threads = 1) {
    const std::vector<NastyRow> rows = nasty_rows();
    std::atomic<size_t> next{0};
    const auto check_rows = [&] {
      for (size_t i = next++; i < rows.size(); i = next++) {
        if (only == nullptr || static_cast<int>(i + 1) == std::atoi(only)) {
          check(static_cast<int>(i + 1), rows[i]);
        }
      }
    };
    std::vector<std::thread> others;
    for (unsigned i = 1; i < threads; ++i) others.emplace_back(check_rows);
    check_rows();
    for (std::thread& thread : others) thread.join();
    bool passed = true;
    for (size_t w = 0; w < ways_.size(); ++w) {
      passed = report(ways_[w], tallies_[w], only != nullptr) && passed;
    }
    return passed ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  struct Tally {
    int checks = 0, failures = 0, rows_left_out = 0;
    double worst[2][3] = {};  // [in_double][order], in units of the bound
  };

  static bool report(const Way& way, const Tally& tally, bool is_one_row) {
    for (const bool in_double : {false, true}) {
      std::printf("%s, %s: largest errors beside their bounds, orders 0 to 2:", way.name.c_str(),
                  in_double ? "float64" : "float32");
      for (int order = 0; order <= 2; ++order) std::printf(" %.3g", tally.worst[in_double][order]);
      std::printf("\n");
    }
    std::printf("%s: %d checks of nasty rows, %d failures, %d rows left out\n", way.name.c_str(),
                tally.checks, tally.failures, tally.rows_left_out);
    const bool enough = is_one_row || tally.rows_left_out <= way.most_left_out;
    if (!enough) std::printf("FAILED: at most %d rows may be left out\n", way.most_left_out);
    return tally.checks > 0 && tally.failures == 0 && enough;
  }

  static void round_to_float(std::vector<double>& values) {
    for (double& value : values) value = static_cast<float>(value);
  }

  void check(int number, const NastyRow& row) {
    std::vector<char> left_out(ways_.size(), false);
    for (const bool in_double : {false, true}) {
      NastyRow given = row;
      std::vector<std::vector<double>> directions = nasty_directions(row, in_double);
      if (!in_double) {
        round_to_float(given.values);
        for (std::vector<double>& direction : directions) round_to_float(direction);
      }
      for_each_cdf(rank_relax::SmoothCdfs(), [&](auto smooth) {
        const std::string cdf = smooth.name;
        if (takes_too_long(cdf, given)) return;
        const auto reference =
            KernelSumReference::of(cdf, given.values, given.strength, directions[0], directions[1]);
        for (size_t w = 0; w < ways_.size(); ++w) {
          if (!ways_[w].takes(cdf)) continue;
          left_out[w] |=
              !check(ways_[w], tallies_[w], cdf, number, given, directions, in_double, reference);
        }
      });
    }
    const std::lock_guard<std::mutex> lock(mutex_);
    for (size_t w = 0; w < ways_.size(); ++w) tallies_[w].rows_left_out += left_out[w];
  }

  /// All pairs of a long row.
  static bool takes_too_long(const std::string& name, const NastyRow& row) {
    constexpr size_t kLong = 1000;
    bool falls = true;
    rank_relax::SmoothCdfs::visit(
        name, [&](auto cdf) { falls = rank_relax::kFallsExponentially<decltype(cdf)>; });
    return !falls && row.values.size() > kLong;
  }

  /// False if there is no way to take one of the sums.
  bool check(const Way& way, Tally& tally, const std::string& cdf, int number, const NastyRow& row,
             const std::vector<std::vector<double>>& directions, bool in_double,
             const KernelSumReference& reference) {
    // Where α² is no double, its product with the sums may be none.
    const double square = row.strength * row.strength;
    const bool has_square = std::isnormal(square) && std::isnormal(1 / square);
    bool is_summed = true;
    for (int order = 0; order <= (has_square ? 2 : 1); ++order) {
      const std::vector<double> got =
          way.run(cdf, in_double, row.values, row.strength,
                  std::vector<std::vector<double>>(directions.begin(), directions.begin() + order));
      is_summed = is_summed && !got.empty();
      if (got.empty()) continue;
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const KernelSumReference::At& at : reference.items()) {
        const double bound = reference.bound(at, order, in_double, way.at_ends[in_double]);
        // What a float cannot hold is infinite or 0.
        const double here = in_double ? got[at.item] : static_cast<float>(got[at.item]);
        const double expected =
            in_double ? at.expected[order] : static_cast<float>(at.expected[order]);
        const double error = here == expected ? 0 : std::abs(here - expected);
        ++tally.checks;
        double& worst = tally.worst[in_double][order];
        if (error <= bound) {
          worst = std::max(worst, error / bound);
        } else if (++tally.failures <= kMostPrinted) {
          std::printf(
              "FAILED %s, row %d, \"%s\", n = %zu, α = %g, %s, %s, order %d, item %lld: got %.17g, "
              "expected %.17g ± %.3g, %.3g times the bound\n",
              way.name.c_str(), number, row.name.c_str(), row.values.size(), row.strength,
              cdf.c_str(), in_double ? "float64" : "float32", order,
              static_cast<long long>(at.item), got[at.item], expected, bound, error / bound);
        }
      }
    }
    return is_summed;
  }

  static constexpr int kMostPrinted = 40;

  std::vector<Way> ways_;
  std::mutex mutex_;  // of what follows
  std::vector<Tally> tallies_;
};
