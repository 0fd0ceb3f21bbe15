#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/aligned_array.h"
#include "cpu/inverse/density_sums_abreast.h"
#include "cpu/inverse/quantiles_abreast.h"
#include "cpu/inverse/sorted_group.h"
#include "cpu/isa/vector.h"
#include "cpu/row/rows.h"
#include "cpu/row/rows_in_lanes.h"
#include "cpu/soft_sort.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Soft sorted values, and products with their Jacobian, of as many short rows at once as a vector
/// has lanes, as cpu/soft_sort.h says, of rows that lie one after the other.
template <class Cdf, class Scalar>
class SoftSortsAbreast {
  using Group = SortedGroup<Cdf, Scalar>;
  static constexpr int kLanes = QuantilesAbreast<Cdf, Scalar>::kLanes;

 public:
  static constexpr int kRows = Group::kRows;
  static constexpr bool kServes = Group::kServes;

  static bool suits(const SoftBatch<Scalar>& batch) { return Group::suits(batch); }

  SoftSortsAbreast(int64_t size, double regularization_strength)
      : size_(size), group_(size, regularization_strength) {
    vectors_.make_room(whole_blocks<Scalar>(size));
    doubles_.make_room(4 * (size + 1) * kRows);
    for (int i = 0; i < 4; ++i) numbers_[i] = doubles_.data() + i * (size + 1) * kRows;
  }

  /// Takes in kRows rows, or refuses them.
  bool set_rows(const Rows<Scalar>& input, int64_t first_row) {
    constexpr double kItemsABox = 8;  // as benchmarks/sorting.py measured it
    return group_.set_rows(input, first_row, kItemsABox);
  }

  void sort(Scalar* values, double* points, double* densities) {
    double *const point = numbers_[0], *const density = numbers_[1];
    for (int first_row = 0; first_row < kRows; first_row += kLanes) {
      quantiles_.begin(size_, group_.strength());
      for (int64_t i = 0; i < size_; ++i) {
        std::copy_n(group_.sorted().item(i) + first_row, kLanes, quantiles_.values() + i * kLanes);
        std::copy_n(group_.sorted().steps(i) + first_row, kLanes, quantiles_.steps() + i * kLanes);
      }
      quantiles_.solve_half_levels(0, size_, kRows, point + first_row,
                                   densities == nullptr ? nullptr : density + first_row);
    }
    for (int row = 0; row < kRows; ++row) {
      double highest = point[row];
      for (int64_t k = 0; k < size_; ++k) {
        highest = std::max(highest, point[k * kRows + row]);  // where rounding has turned two round
        values[row * size_ + k] = static_cast<Scalar>(highest);
      }
    }
    if (points != nullptr) copy_rows(point, points);
    if (densities != nullptr) copy_rows(density, densities);
  }

  /// False, and nothing is written, if a vector or a point is not finite.
  bool product(const SortedPoints& sorted, const Rows<Scalar>& vector, int64_t first_row,
               bool transposed, Scalar* output) {
    Vector<Scalar>* const vectors = vectors_.data();
    load_in_lanes(vector, first_row, size_, vectors);
    if (!extent_of_lanes(vectors, size_).all_finite) return false;
    double *const points = numbers_[0], *const items = numbers_[1];
    for (int64_t i = 0; i < size_; ++i) {
      std::copy_n(group_.sorted().item(i), kRows, items + i * kRows);
    }
    double zero = 0;
    for (int row = 0; row < kRows; ++row) {
      for (int64_t k = 0; k < size_; ++k) {
        points[k * kRows + row] = sorted.points[row * size_ + k];
        zero += sorted.points[row * size_ + k] * 0;  // NaN of what is not finite
      }
    }
    if (!(zero == 0)) return false;
    const Scalar* const factors = reinterpret_cast<const Scalar*>(vectors);
    if (transposed) {
      to_items(points, sorted.densities, factors, items, output);
    } else {
      to_places(items, factors, points, sorted.densities, output);
    }
    return true;
  }

 private:
  /// Σ_k g_k J_kj
  void to_items(double* points, const double* densities, const Scalar* places, double* items,
                Scalar* output) {
    double *const weights = numbers_[2], *const sums = numbers_[3];
    for (int row = 0; row < kRows; ++row) {
      for (int64_t k = 0; k < size_; ++k) {
        weights[k * kRows + row] = places[k * kRows + row] / densities[row * size_ + k];
      }
    }
    densities_.sum(points, weights, items, size_, group_.strength(), sums);
    int32_t stood[kRows];
    for (int64_t i = 0; i < size_; ++i) {
      group_.sorted().places_of(i, stood);
      for (int row = 0; row < kRows; ++row) {
        output[row * size_ + stood[row]] = static_cast<Scalar>(sums[i * kRows + row]);
      }
    }
  }

  /// Σ_j J_kj v_j
  void to_places(double* items, const Scalar* vectors, double* points, const double* densities,
                 Scalar* output) {
    double *const weights = numbers_[2], *const sums = numbers_[3];
    int32_t stood[kRows];
    for (int64_t i = 0; i < size_; ++i) {
      group_.sorted().places_of(i, stood);
      for (int row = 0; row < kRows; ++row) {
        weights[i * kRows + row] = vectors[stood[row] * kRows + row];
      }
    }
    densities_.sum(items, weights, points, size_, group_.strength(), sums);
    for (int row = 0; row < kRows; ++row) {
      for (int64_t k = 0; k < size_; ++k) {
        const int64_t at = row * size_ + k;
        output[at] = static_cast<Scalar>(sums[k * kRows + row] / densities[at]);
      }
    }
  }

  void copy_rows(const double* numbers, double* rows) const {
    for (int row = 0; row < kRows; ++row) {
      for (int64_t k = 0; k < size_; ++k) rows[row * size_ + k] = numbers[k * kRows + row];
    }
  }

  int64_t size_;
  Group group_;
  AlignedArray<Vector<Scalar>> vectors_;
  AlignedArray<double> doubles_;
  double* numbers_[4];  // [item or place][row]
  QuantilesAbreast<Cdf, Scalar> quantiles_;
  DensitySumsAbreast<Cdf, Scalar> densities_;
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
