#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/cdf/capabilities.h"
#include "core/series/kernel_series.h"
#include "core/series/series_spread.h"

namespace rank_relax {

struct PieceSeries;
template <class Cdf>
const PieceSeries& piece_series(int order, int terms);

/// The series of one kernel in one box over a whole row, coefficients [l][k] of T_k(t) T_l(s) with
/// rows padded to row_size; and what else the sums in one box ask of the CDF.
struct OneBoxSeries {
  static constexpr int kPadding = 8;

  double (*upper_tail)(double);  // F(-d)
  double steepest;               // F'(0)
  const PieceSeries& (*pieces)(int order, int terms);
  int terms;
  int row_size;
  double half_width;
  std::vector<double> coefficients;
  std::vector<float> single_coefficients;

  template <class Scalar>
  const Scalar* coefficients_as() const {
    if constexpr (sizeof(Scalar) == 4) {
      return single_coefficients.data();
    } else {
      return coefficients.data();
    }
  }
};

/// The number of terms for a scaled spread; 0 if there is no series for it.
template <class Cdf>
int one_box_terms(Precision precision, int order, double spread) {
  if constexpr (kHasOneBox<Cdf>) {
    const double* widest = Cdf::series_spread.spread[precision][order];
    for (int i = 0; i < kTermCounts; ++i) {
      if (spread <= widest[i]) return kFewestTerms + i * kTermStep;
    }
  }
  return 0;
}

/// As one_box_terms, and of a box so wide that it takes α / half_width to be finite.
template <class Cdf>
int one_box_terms_at(Precision precision, int order, double spread,
                     double regularization_strength) {
  int terms = one_box_terms<Cdf>(precision, order, spread);
  if constexpr (kHasOneBox<Cdf>) {
    const double* widest = Cdf::series_spread.spread[precision][order];
    const auto half_width = [&] { return widest[(terms - kFewestTerms) / kTermStep] / 2; };
    while (terms > 0 && std::isinf(regularization_strength / half_width())) terms += kTermStep;
  }
  return terms;
}

/// The series with that many terms. Made at its first use and kept.
template <class Cdf>
const OneBoxSeries& one_box_series(Precision precision, int order, int terms) {
  static std::once_flag once[2][kSeriesOrders][kTermCounts];
  static OneBoxSeries kept[2][kSeriesOrders][kTermCounts];
  const int which = (terms - kFewestTerms) / kTermStep;
  OneBoxSeries& series = kept[precision][order][which];
  std::call_once(once[precision][order][which], [&] {
    constexpr int kPadding = OneBoxSeries::kPadding;
    series.upper_tail = [](double d) { return Cdf::upper_tail(d); };
    series.steepest = Cdf::first_derivative(Cdf::coordinate(0.0));
    series.pieces = piece_series<Cdf>;
    series.terms = terms;
    series.row_size = (terms + kPadding - 1) / kPadding * kPadding;
    series.half_width = Cdf::series_spread.spread[precision][order][which] / 2;
    const std::vector<double> packed =
        kernel_series<Cdf>(order, 0, {series.half_width, terms}, {series.half_width, terms});
    series.coefficients.assign(terms * series.row_size, 0.0);
    for (int l = 0; l < terms; ++l) {
      for (int k = 0; k < terms; ++k) {
        series.coefficients[l * series.row_size + k] = packed[l * terms + k];
      }
    }
    series.single_coefficients.assign(series.coefficients.begin(), series.coefficients.end());
  });
  return series;
}

/// The series of one kernel between boxes of a grid, for distances 0, 1, ..., `reach` boxes:
/// coefficients [distance][l][k] of t^k s^l, t in the upper box and s in the lower one, of
/// kernel_between_boxes, and in a box with itself of the kernel F - 1/2, F' or F''. And what powers
/// of a box's coordinate are in the powers p of the coordinates of its cells.
struct GridSeries {
  int terms;
  int reach;  // in boxes, beyond which nothing is left of any number of items
  double width;
  std::vector<double> coefficients;
  std::vector<double> cells_to_box;  // [cell][p][l]
  std::vector<double> box_to_cells;  // [l][cell][p]
};

/// How far the tails of `count` items reach, in units of 1/α: beyond it all of them together are
/// nothing beside one near item.
template <class Cdf>
double reach_of_items(Precision precision, int64_t count) {
  const BoxGrid grid = Cdf::box_grid[precision];
  const double times = static_cast<double>(count) / kItemsWithinReach;
  if (times <= 1) return grid.reach;
  const double reach = Cdf::reach_of(times, grid.reach);
  return reach < grid.reach_of_tails ? reach : grid.reach_of_tails;
}

/// How many boxes of its grid the tails of `count` items reach.
template <class Cdf>
int boxes_within_reach(Precision precision, int64_t count) {
  return boxes_of_reach(reach_of_items<Cdf>(precision, count), Cdf::box_grid[precision].width);
}

template <class Cdf>
const GridSeries& grid_series(Precision precision, int order) {
  constexpr int kOrders = kSeriesOrders - kLowestOrder;
  static std::once_flag once[2][kOrders];
  static GridSeries kept[2][kOrders];
  const int which = order - kLowestOrder;
  GridSeries& series = kept[precision][which];
  std::call_once(once[precision][which], [&] {
    const BoxGrid grid = Cdf::box_grid[precision];
    series.terms = kGridTerms[precision];
    series.reach = boxes_of_reach(grid.reach_of_tails, grid.width);
    series.width = grid.width;
    const SeriesBox box = {grid.width / 2, series.terms};
    const auto add = [&](const std::vector<double>& chebyshev) {
      const std::vector<double> powers =
          source_in_powers(target_in_powers(chebyshev, series.terms), series.terms);
      series.coefficients.insert(series.coefficients.end(), powers.begin(), powers.end());
    };
    add(kernel_series<Cdf>(order, 0, box, box));
    for (int distance = 1; distance <= series.reach; ++distance) {
      add(difference_series(
          distance * grid.width, box, box,
          [=](double d) { return kernel_between_boxes<Cdf>(order, d); },
          [](int, int) { return false; }));
    }
    const int cells = kCellsABox[precision], cell_terms = kCellTerms[precision];
    series.cells_to_box.resize(cells * cell_terms * series.terms);
    series.box_to_cells.resize(cells * cell_terms * series.terms);
    for (int cell = 0; cell < cells; ++cell) {
      const std::vector<double> powers = polynomials_in_cell(
          series.terms, cell, cells, cell_terms, [](int l, double s) { return std::pow(s, l); });
      for (int l = 0; l < series.terms; ++l) {
        for (int p = 0; p < cell_terms; ++p) {
          const double power = powers[l * cell_terms + p];
          series.cells_to_box[(cell * cell_terms + p) * series.terms + l] = power;
          series.box_to_cells[(l * cells + cell) * cell_terms + p] = power;
        }
      }
    }
  });
  return series;
}

/// The kernel of an order as the tails of `count` items on a grid see it.
struct GridKernel {
  const GridSeries* series;
  int reach;  // in boxes
};

template <class Cdf>
GridKernel grid_kernel(Precision precision, int order, int64_t count) {
  return {&grid_series<Cdf>(precision, order), boxes_within_reach<Cdf>(precision, count)};
}

/// The series of one kernel from one box over a whole row to kPieces equal pieces of it, where a
/// short polynomial is exact to float32: coefficients [l][power of s][piece]. A piece's items are
/// those with round(position) = its number, at s = 2 (position - number), where position =
/// kPiecesPerUnit t + (kPieces - 1) / 2 for the row's t in [-1, 1].
constexpr int kPieces = 16;
constexpr int kPieceTerms = 8;
constexpr int kFewestTermsForPieces = 16;  // in a narrower box pieces cost relative precision,
constexpr int kMostTermsForPieces = 48;    // in a wider one they are too wide
constexpr double kPiecesPerUnit = kPieces / 2.0 * (1 - 1.0 / (1 << 12));  // so that ±1 are inside

struct PieceSeries {
  std::vector<float> coefficients;
};

/// For the box of one_box_series with that many terms.
template <class Cdf>
const PieceSeries& piece_series(int order, int terms) {
  static std::once_flag once[kSeriesOrders][kTermCounts];
  static PieceSeries kept[kSeriesOrders][kTermCounts];
  const int which = (terms - kFewestTerms) / kTermStep;
  PieceSeries& series = kept[order][which];
  std::call_once(once[order][which], [&] {
    const double half_width = Cdf::series_spread.spread[kSingle][order][which] / 2;
    const SeriesBox piece = {half_width / kPiecesPerUnit / 2, kPieceTerms};
    series.coefficients.resize(terms * kPieceTerms * kPieces);
    for (int number = 0; number < kPieces; ++number) {
      const double center = (number - (kPieces - 1) / 2.0) / kPiecesPerUnit * half_width;
      const std::vector<double> one = target_in_powers(
          kernel_series<Cdf>(order, center, piece, {half_width, terms}), kPieceTerms);
      for (int i = 0; i < terms * kPieceTerms; ++i) {
        series.coefficients[i * kPieces + number] = static_cast<float>(one[i]);
      }
    }
  });
  return series;
}

/// The Chebyshev polynomials T_l, l < kMostTerms, on kBoxCells equal cells of a box over a whole
/// row, where a cubic serves any kernel of it: coefficients [cell][power of r][l]. A cell's items
/// are those with round(position) = its number, at r = 2 (position - number), where position =
/// kBoxCellsPerUnit t + (kBoxCells - 1) / 2.
constexpr int kBoxCells = 161;
constexpr double kBoxCellsPerUnit = kBoxCells / 2.0 * (1 - 1.0 / (1 << 12));  // as with pieces

inline const std::vector<double>& chebyshev_in_cells() {
  static const std::vector<double> kept = [] {
    constexpr int kPowers = kCellTerms[kSingle];
    std::vector<double> coefficients(kBoxCells * kPowers * kMostTerms);
    for (int cell = 0; cell < kBoxCells; ++cell) {
      const std::vector<double> cubics =
          polynomials_in_cell(kMostTerms, cell, kBoxCells, kPowers, [](int l, double s) {
            const double t = s * (kBoxCells / 2.0 / kBoxCellsPerUnit);
            return std::abs(t) <= 1 ? std::cos(l * std::acos(t))
                                    : std::copysign(1.0, l % 2 == 0 ? 1 : t) *
                                          std::cosh(l * std::acosh(std::abs(t)));
          });
      for (int l = 0; l < kMostTerms; ++l) {
        for (int p = 0; p < kPowers; ++p) {
          coefficients[(cell * kPowers + p) * kMostTerms + l] = cubics[l * kPowers + p];
        }
      }
    }
    return coefficients;
  }();
  return kept;
}

}  // namespace rank_relax
