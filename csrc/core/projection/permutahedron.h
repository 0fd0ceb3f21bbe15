#pragma once

#include <cmath>
#include <cstdint>

#include "core/correlation.h"
#include "core/host_device.h"
#include "core/method_list.h"
#include "core/projection/isotonic.h"

namespace rank_relax {

// Soft ranks as projections of α·x onto the permutahedron, the convex hull of all orders of the
// ranks 1..n (Blondel et al., "Fast differentiable sorting and ranking", 2020). The sorted values
// fall into blocks of neighbours, found by isotonic regression, and a block of sorted positions w
// shares these ranks out among its items. With s = α·x, and means over the block,
//
//     l2   rank_i = mean(w) + s_i - mean(s)
//     kl   rank_i = mean(w) · e^s_i / mean(e^s)
//
// so that items in a crowd have close ranks, and an item far from all others has its hard rank.
// Everything is taken from the block's first item on: d = α (x_i - x_first), coordinate c(d) = d
// or e^d - 1. A block of m items spans at most m in s for l2 and log n for kl, so nothing here
// overflows but the gap of two blocks that stay apart.

/// The mean of the ranks at sorted positions begin, begin + 1, ...; `lower` items come before all.
RANK_RELAX_HOST_DEVICE inline double mean_rank(const IsotonicBlock& block, double lower) {
  return lower + static_cast<double>(block.begin) + static_cast<double>(block.size + 1) / 2;
}

// Soft sorted values are the projection of the places α·(1..n) onto the permutahedron of the
// values: in a block of sorted x at places k = 0..m-1, with the mean of the values
//
//     l2   value_k = mean(x) + α (k - (m-1)/2)
//     kl   value_k = -log mean(e^-x) + log mean(e^-αk) + α k
//
// and blocks join while values lie farther than α apart: by l2, a gap is closed to α.

/// The common factor of differences and α at which sums of n values stay in range.
RANK_RELAX_HOST_DEVICE inline double shrinkage(double spread) {
  return spread > 0x1p900 ? 0x1p-120 : 1;
}

/// Values in the wrong order are those of s - w: mean(s) - mean(w) must grow from block to block.
struct L2 {
  static constexpr const char* name = "l2";
  static constexpr int kMaxOrder = 16;  // zero from the second on
  static constexpr double kLinearSpread = rank_relax::kLinearSpread;
  static constexpr double kSumOfOne = 0;

  RANK_RELAX_HOST_DEVICE static double coordinate(double d) { return d; }

  /// rank_i - mean(w).
  RANK_RELAX_HOST_DEVICE static double deviation(double coordinate, double mean_coordinate,
                                                 double) {
    return coordinate - mean_coordinate;
  }

  /// `gap` is d between the blocks' first items; `lower` doesn't matter.
  RANK_RELAX_HOST_DEVICE static bool join(IsotonicBlock& below, const IsotonicBlock& above,
                                          double gap, double) {
    const double m = static_cast<double>(below.size), n = static_cast<double>(above.size);
    if (m * n * (gap - (m + n) / 2) + (above.sum * m - below.sum * n) > 0) return false;
    below.sum += above.sum + n * gap;
    below.size += above.size;
    return true;
  }

  static constexpr double kValueSumOfOne = 0;

  /// For sorted values: mean(x) - α mean(k) must not grow. Both arguments are shrunk.
  RANK_RELAX_HOST_DEVICE static bool join_values(IsotonicBlock& below, const IsotonicBlock& above,
                                                 double difference, double strength, double) {
    const double m = static_cast<double>(below.size), n = static_cast<double>(above.size);
    if (!(m * n * (difference - strength * (m + n) / 2) + (above.sum * m - below.sum * n) >= 0)) {
      return false;
    }
    below.sum += above.sum + n * difference;
    below.size += above.size;
    return true;
  }

  RANK_RELAX_HOST_DEVICE static double shrinkage(double spread) {
    return rank_relax::shrinkage(spread);
  }
  RANK_RELAX_HOST_DEVICE static double join_unit(double) { return 1; }
  RANK_RELAX_HOST_DEVICE static double value_coordinate(double difference) { return difference; }

  /// value_0 less the first of the values.
  RANK_RELAX_HOST_DEVICE static double first_value(const IsotonicBlock& block, double mean,
                                                   double strength) {
    return mean - strength * static_cast<double>(block.size - 1) / 2;
  }

  /// What the value at every place of the block takes of its item: weight / (sum of weights).
  RANK_RELAX_HOST_DEVICE static double weight(double) { return 1; }
};

/// mean(e^s) / mean(w) must grow from block to block; sums are of e^d.
struct Kl {
  static constexpr const char* name = "kl";
  static constexpr int kMaxOrder = 8;  // the cost grows as 3^order
  static constexpr double kLinearSpread = 0x1p-60;
  static constexpr double kSumOfOne = 1;

  RANK_RELAX_HOST_DEVICE static double coordinate(double d) { return std::expm1(d); }

  RANK_RELAX_HOST_DEVICE static double deviation(double coordinate, double mean_coordinate,
                                                 double mean_rank) {
    return mean_rank * (coordinate - mean_coordinate) / (1 + mean_coordinate);
  }

  RANK_RELAX_HOST_DEVICE static bool join(IsotonicBlock& below, const IsotonicBlock& above,
                                          double gap, double lower) {
    const double m = static_cast<double>(below.size), n = static_cast<double>(above.size);
    const double sum = above.sum * std::exp(gap);
    if (sum * (m * mean_rank(below, lower)) > below.sum * (n * mean_rank(above, lower))) {
      return false;
    }
    below.sum += sum;
    below.size += above.size;
    return true;
  }

  // Sums for sorted values are of e^-d - 1, not of e^-d: values close together, in units of 1,
  // keep their relative precision.
  static constexpr double kValueSumOfOne = 0;

  /// For sorted values: log mean(e^-αk) - log mean(e^-x) must not grow, with k counted from the
  /// row's start. `difference` and `strength` are in a `unit` in which they don't overflow.
  RANK_RELAX_HOST_DEVICE static bool join_values(IsotonicBlock& below, const IsotonicBlock& above,
                                                 double difference, double strength, double unit) {
    const double m = static_cast<double>(below.size), n = static_cast<double>(above.size);
    const double of_values = std::log1p(below.sum / m) - std::log1p(above.sum / n);
    const double of_places =
        log_mean_of_places(n, strength / unit) - log_mean_of_places(m, strength / unit);
    if (!(difference - strength * m + unit * (of_values + of_places) >= 0)) return false;
    const double grown = std::expm1(-difference / unit);
    below.sum += above.sum * (1 + grown) + n * grown;
    below.size += above.size;
    return true;
  }

  /// log mean(e^-αk) over k = 0..m-1: log((1 - e^-αm) / (m (1 - e^-α))), of which little is left
  /// if αm is small.
  RANK_RELAX_HOST_DEVICE static double log_mean_of_places(double m, double strength) {
    const double width = strength * m;
    if (width > 0.03) return std::log(std::expm1(-width) / std::expm1(-strength) / m);
    const double square = strength * strength, m2 = m * m;
    const double bent =
        (m2 - 1) / 24 - square * ((m2 * m2 - 1) / 2880 - square * (m2 * m2 * m2 - 1) / 181440);
    return -strength * (m - 1) / 2 + square * bent;
  }

  RANK_RELAX_HOST_DEVICE static double shrinkage(double) { return 1; }
  RANK_RELAX_HOST_DEVICE static double join_unit(double spread) {
    return spread > 0x1p900 ? 0x1p-3 : 1;
  }
  RANK_RELAX_HOST_DEVICE static double value_coordinate(double difference) {
    return std::expm1(-difference);
  }

  RANK_RELAX_HOST_DEVICE static double first_value(const IsotonicBlock& block, double mean,
                                                   double strength) {
    return log_mean_of_places(static_cast<double>(block.size), strength) - std::log1p(mean);
  }

  RANK_RELAX_HOST_DEVICE static double weight(double difference) { return std::exp(-difference); }
};

using Projections = MethodList<L2, Kl>;

}  // namespace rank_relax
