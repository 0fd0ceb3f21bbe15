#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "core/projection/permutahedron.h"
#include "core/sum/lane_sum.h"
#include "cpu/projection/permutahedron.h"
#include "cpu/row/rows.h"

namespace rank_relax::cpu {

/// Derivatives of the ranks of a row, from the row's blocks. Inside a block of m items and mean
/// rank W/m, with q_i = rank_i/W for kl, the k-th derivative along v_1..v_k is
///
///     l2   α/(n-1) (v_i - mean(v)) for k = 1, and 0 for more
///     kl   α^k/(n-1) W κ(δ_i, v_1, .., v_k), the joint cumulant under q: q_i (v_i - <q, v>) W
///          α/(n-1) for k = 1
///
/// which is symmetric, with a cotangent in δ's place, in all k + 1. On the border between two ways
/// to make blocks it is the derivative of the larger block.
template <class Scalar>
class BlockDerivative {
 public:
  /// `blocks` must hold the numbers 0..b-1 and no others but those of block_number(Kind).
  void set_row(Row<Scalar> input, Row<int32_t> blocks, int64_t size) {
    input_ = input;
    blocks_ = blocks;
    size_ = size;
    int32_t last = -1;
    int64_t inside = 0, outside[5] = {};
    for (int64_t i = 0; i < size; ++i) {
      const int32_t block = blocks[i];
      last = std::max(last, block);
      inside += block >= 0;
      if (block < 0) ++outside[std::min(-block, 4)];
    }
    number_ = last + 1;
    whole_ = inside == size;
    below_ = outside[-block_number(Kind::kBelow)];
    counted_ = inside + below_ + outside[-block_number(Kind::kAbove)];
  }

  /// factor times the derivative; 0 at masked items and infinities, NaN where the input is.
  template <class Projection>
  void derivative(double regularization_strength, const Row<Scalar>* directions, int order,
                  double factor, Scalar* output) {
    strength_ = regularization_strength;
    scale_ = factor / static_cast<double>(std::max<int64_t>(counted_ - 1, 1));
    for (int l = 0; l < order; ++l) scale_ *= regularization_strength;
    if (!whole_) fill_outside(output);
    if constexpr (std::is_same_v<Projection, L2>) {
      if (order > 1) {
        fill_inside(output);
      } else if (whole_ && number_ == 1) {
        deviations_of_one(directions[0], output);
      } else {
        deviations(directions[0], output);
      }
    } else if (order == 1) {
      weighted_deviations(directions[0], output);
    } else {
      cumulants(directions, order, output);
    }
  }

 private:
  struct Sum {
    Scalar first;  // sums are of differences from it, so that what is common cancels exactly
    int32_t size;
    double of_differences;
  };

  struct WeightedSum {
    Scalar first_value;
    Scalar first_direction;
    int64_t size;
    double weights;         // Σ e^d; then W over it
    double of_differences;  // Σ e^d (v - first); then <q, v> less first
  };

  void fill_outside(Scalar* output) const {
    for (int64_t i = 0; i < size_; ++i) {
      const int32_t block = blocks_[i];
      if (block < 0)
        output[i] =
            block == block_number(Kind::kNan) ? std::numeric_limits<Scalar>::quiet_NaN() : 0;
    }
  }

  void fill_inside(Scalar* output) const {
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] >= 0) output[i] = 0;
    }
  }

  /// A saturated row stays 0 though α^k may overflow.
  Scalar scaled(double sum) const {
    return static_cast<Scalar>(sum == 0 && !std::isnan(scale_) ? 0 : scale_ * sum);
  }

  static double difference(Scalar value, Scalar first) {
    return static_cast<double>(value) - static_cast<double>(first);
  }

  void deviations_of_one(Row<Scalar> direction, Scalar* output) const {
    const Scalar first = direction[0];
    const double mean =
        lane_sum(size_, [=](int64_t i) { return difference(direction[i], first); }) /
        static_cast<double>(size_);
    for (int64_t i = 0; i < size_; ++i) {
      output[i] = scaled(difference(direction[i], first) - mean);
    }
  }

  void deviations(Row<Scalar> direction, Scalar* output) {
    sums_.assign(number_, Sum{0, 0, 0});
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] < 0) continue;
      Sum& sum = sums_[blocks_[i]];
      if (sum.size++ == 0) sum.first = direction[i];
      sum.of_differences += difference(direction[i], sum.first);
    }
    for (Sum& sum : sums_) sum.of_differences /= std::max(sum.size, 1);  // the mean from here on
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] < 0) continue;
      const Sum& sum = sums_[blocks_[i]];
      output[i] = scaled(difference(direction[i], sum.first) - sum.of_differences);
    }
  }

  void weighted_deviations(Row<Scalar> direction, Scalar* output) {
    weighted_sums_.assign(number_, WeightedSum{0, 0, 0, 0, 0});
    shares_.resize(size_);
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] < 0) continue;
      WeightedSum& sum = weighted_sums_[blocks_[i]];
      if (sum.size++ == 0) {
        sum.first_value = input_[i];
        sum.first_direction = direction[i];
      }
      shares_[i] = exponential(input_[i], sum.first_value);
      sum.weights += shares_[i];
      sum.of_differences += shares_[i] * difference(direction[i], sum.first_direction);
    }
    int64_t begin = 0;
    for (WeightedSum& sum : weighted_sums_) {
      const IsotonicBlock block = {begin, sum.size, 0};
      begin += sum.size;
      sum.of_differences /= sum.weights;
      const double size = static_cast<double>(sum.size);
      sum.weights = mean_rank(block, static_cast<double>(below_)) * size / sum.weights;
    }
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] < 0) continue;
      const WeightedSum& sum = weighted_sums_[blocks_[i]];
      const double deviation = difference(direction[i], sum.first_direction) - sum.of_differences;
      output[i] = scaled(shares_[i] * sum.weights * deviation);
    }
  }

  /// e^d. Halved, the difference of two finite values doesn't overflow.
  double exponential(Scalar value, Scalar first) const {
    const double half = static_cast<double>(value) / 2 - static_cast<double>(first) / 2;
    return std::exp(2 * (strength_ * half));
  }

  /// Block by block, its items one after the other.
  void cumulants(const Row<Scalar>* directions, int order, Scalar* output) {
    begins_.assign(number_ + 1, 0);
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] >= 0) ++begins_[blocks_[i] + 1];
    }
    for (int64_t b = 0; b < number_; ++b) begins_[b + 1] += begins_[b];
    places_.resize(begins_[number_]);
    for (int64_t i = 0; i < size_; ++i) {
      if (blocks_[i] >= 0) places_[begins_[blocks_[i]]++] = i;
    }
    int64_t begin = 0;
    for (int64_t b = 0; b < number_; ++b) {  // begins_[b] has moved to the block's end
      const int64_t size = begins_[b] - begin;
      if (size > 0) cumulants_of(begin, size, directions, order, output);
      begin = begins_[b];
    }
  }

  /// With v_T the product of the directions in a set T and M_T = <q, v_T>, the derivatives of
  /// q along all T follow from those of the products q Σ e^s, which are q_i v_T[i] Σ e^s:
  ///
  ///     q_T[i] = q_i v_T[i] - Σ_{U ⊊ T} M_{T\U} q_U[i].
  void cumulants_of(int64_t begin, int64_t size, const Row<Scalar>* directions, int order,
                    Scalar* output) {
    const int64_t* places = places_.data() + begin;
    share_out(places, size);
    values_.resize(order * size);
    for (int l = 0; l < order; ++l) center(places, size, directions[l], values_.data() + l * size);
    const int sets = 1 << order;
    moments_.assign(sets, 0);
    products_.resize(sets);
    for (int64_t j = 0; j < size; ++j) {
      multiply(j, size, order);
      for (int set = 1; set < sets; ++set) moments_[set] += products_[set];
    }
    const IsotonicBlock block = {begin, size, 0};
    const double total = mean_rank(block, static_cast<double>(below_)) * static_cast<double>(size);
    for (int64_t j = 0; j < size; ++j) {
      multiply(j, size, order);
      for (int set = 1; set < sets; ++set) {
        for (int part = (set - 1) & set;; part = (part - 1) & set) {
          products_[set] -= moments_[set ^ part] * products_[part];
          if (part == 0) break;
        }
      }
      output[places[j]] = scaled(total * products_[sets - 1]);
    }
  }

  /// q, which depends on differences of values alone.
  void share_out(const int64_t* places, int64_t size) {
    shares_.resize(size);
    double* shares = shares_.data();
    const Scalar first = input_[places[0]];
    for (int64_t j = 0; j < size; ++j) shares[j] = exponential(input_[places[j]], first);
    const double sum = lane_sum(size, [=](int64_t j) { return shares[j]; });
    for (int64_t j = 0; j < size; ++j) shares[j] /= sum;
  }

  /// v - <q, v>: a cumulant doesn't depend on the centre, and its terms are smallest here.
  void center(const int64_t* places, int64_t size, Row<Scalar> direction, double* centered) const {
    const Scalar first = direction[places[0]];
    for (int64_t j = 0; j < size; ++j) centered[j] = difference(direction[places[j]], first);
    const double mean = lane_sum(size, [&](int64_t j) { return shares_[j] * centered[j]; });
    for (int64_t j = 0; j < size; ++j) centered[j] -= mean;
  }

  /// products_[T] = q_j v_T[j].
  void multiply(int64_t j, int64_t size, int order) {
    products_[0] = shares_[j];
    for (int l = 0; l < order; ++l) {
      const int set = 1 << l;
      for (int part = 0; part < set; ++part) {
        products_[set | part] = products_[part] * values_[l * size + j];
      }
    }
  }

  Row<Scalar> input_;
  Row<int32_t> blocks_;
  int64_t size_ = 0, counted_ = 0, below_ = 0;
  int32_t number_ = 0;
  bool whole_ = false;  // every item is in a block
  double strength_ = 0, scale_ = 0;
  std::vector<Sum> sums_;
  std::vector<WeightedSum> weighted_sums_;
  std::vector<int64_t> begins_, places_;
  std::vector<double> shares_, values_, moments_, products_;
};

}  // namespace rank_relax::cpu
