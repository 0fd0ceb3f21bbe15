#pragma once

#include <cuda_runtime.h>

#include <string_view>

#include "core/series/series_spread.h"

namespace rank_relax::cuda {

constexpr int kItemCounts = 33;  // of a row, 2^b or fewer

/// The series of one kernel at one precision (core/series/box_series.h), in device memory.
struct SeriesTables {
  double widest[kTermCounts];      // the widest scaled spread for each number of terms
  double half_width[kTermCounts];  // of its box
  int row_size[kTermCounts];       // coefficients [l][k] of T_k(t) T_l(s)
  const double* one_box[kTermCounts];
  // The farthest that the mean of very many items may be from an end of their row for one box.
  double most_mean_distance;
  double box_width;  // of the grid; 0: there is none, nor what follows
  // How many boxes far the tails of 2^b items go at most, and in units of 1/α.
  int box_reach[kItemCounts];
  double reach[kItemCounts];
  const double* grid;  // [distance][l][k] of t^k s^l, t in the upper box; core/series/box_series.h
};

/// The tables of a CDF that has a series (core/cdf/capabilities.h), by its name, made at their
/// first use on a device and kept; null, and `error` set, if that fails.
const SeriesTables* series_tables(std::string_view method, Precision precision, int order,
                                  cudaError_t& error);

/// The series of core/series/quantile_series.h in double precision, in device memory.
struct QuantileTables {
  double box_width;
  int box_reach;
  const double* own;    // [l][k]
  const double* tails;  // [distance - 1][l][k]
};

/// The tables for quantiles of a CDF that has a grid, by its name, made at their first use on a
/// device and kept; null, and `error` set, if that fails.
const QuantileTables* quantile_tables(std::string_view method, cudaError_t& error);

}  // namespace rank_relax::cuda
