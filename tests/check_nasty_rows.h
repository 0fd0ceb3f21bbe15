#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "core/cdf/smooth_cdfs.h"
#include "kernel_sum_reference.h"
#include "nasty_rows.h"

/// Compares what a device makes of nasty_rows() with the sums over all pairs: in both dtypes, of
/// every smooth CDF, with derivatives to second order.
class NastyRowCheck {
 public:
  /// How exact float32 and float64 are to be where few items are near, relative to what is there.
  /// At most so many rows may have a sum that `run` has no way to take.
  NastyRowCheck(double single_at_ends, double double_at_ends, int most_left_out = 0)
      : at_ends_{single_at_ends, double_at_ends}, most_left_out_(most_left_out) {}

  /// run(cdf, in_double, values, strength, directions) returns the soft ranks, or their derivative
  /// along the directions; nothing if it has no way to sum the row. A row is the first argument of
  /// the program to look at it alone.
  template <class Run>
  int operator()(const char* only, const Run& run) {
    int number = 0;
    for (const NastyRow& row : nasty_rows()) {
      ++number;
      if (only != nullptr && number != std::atoi(only)) continue;
      left_out_ = false;
      for (const bool in_double : {false, true}) {
        for_each_cdf(rank_relax::SmoothCdfs(),
                     [&](auto cdf) { check(cdf, number, row, in_double, run); });
      }
      rows_left_out_ += left_out_;
    }
    for (const bool in_double : {false, true}) {
      std::printf("%s: largest errors beside their bounds, orders 0 to 2:",
                  in_double ? "float64" : "float32");
      for (int order = 0; order <= 2; ++order) std::printf(" %.3g", worst_[in_double][order]);
      std::printf("\n");
    }
    std::printf("%d checks of nasty rows, %d failures, %d rows left out\n", checks_, failures_,
                rows_left_out_);
    const bool enough = only != nullptr || rows_left_out_ <= most_left_out_;
    if (!enough) std::printf("FAILED: at most %d rows may be left out\n", most_left_out_);
    return checks_ > 0 && failures_ == 0 && enough ? EXIT_SUCCESS : EXIT_FAILURE;
  }

 private:
  template <class... Cdfs, class Visit>
  static void for_each_cdf(rank_relax::SmoothCdfList<Cdfs...>, const Visit& visit) {
    (visit(Cdfs()), ...);
  }

  static void round_to_float(std::vector<double>& values) {
    for (double& value : values) value = static_cast<float>(value);
  }

  template <class Cdf, class Run>
  void check(Cdf cdf, int number, const NastyRow& row, bool in_double, const Run& run) {
    std::vector<double> values = row.values;
    std::vector<std::vector<double>> directions = nasty_directions(row, in_double);
    if (!in_double) {
      round_to_float(values);
      for (std::vector<double>& direction : directions) round_to_float(direction);
    }
    const auto reference =
        KernelSumReference::of(cdf, values, row.strength, directions[0], directions[1]);
    // Where α² is no double, its product with the sums may be none.
    const double square = row.strength * row.strength;
    const bool has_square = std::isnormal(square) && std::isnormal(1 / square);
    for (int order = 0; order <= (has_square ? 2 : 1); ++order) {
      const std::vector<double> got =
          run(cdf, in_double, values, row.strength,
              std::vector<std::vector<double>>(directions.begin(), directions.begin() + order));
      if (got.empty()) {
        left_out_ = true;
        continue;
      }
      for (const KernelSumReference::At& at : reference.items()) {
        const double bound = reference.bound(at, order, in_double, at_ends_[in_double]);
        // What a float cannot hold is infinite or 0.
        const double here = in_double ? got[at.item] : static_cast<float>(got[at.item]);
        const double expected =
            in_double ? at.expected[order] : static_cast<float>(at.expected[order]);
        const double error = here == expected ? 0 : std::abs(here - expected);
        ++checks_;
        if (error <= bound) {
          worst_[in_double][order] = std::max(worst_[in_double][order], error / bound);
          continue;
        }
        if (++failures_ > kMostPrinted) continue;
        std::printf(
            "FAILED row %d, \"%s\", n = %zu, α = %g, %s, %s, order %d, item %lld: got %.17g, "
            "expected %.17g ± %.3g, %.3g times the bound\n",
            number, row.name.c_str(), values.size(), row.strength, Cdf::name,
            in_double ? "float64" : "float32", order, static_cast<long long>(at.item), got[at.item],
            expected, bound, error / bound);
      }
    }
  }

  static constexpr int kMostPrinted = 40;

  double at_ends_[2];
  int most_left_out_;

  int checks_ = 0, failures_ = 0, rows_left_out_ = 0;
  bool left_out_ = false;    // something of the row at hand
  double worst_[2][3] = {};  // [in_double][order], in units of the bound
};
