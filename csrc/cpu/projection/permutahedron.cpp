#include "cpu/projection/permutahedron.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "core/correlation.h"
#include "core/projection/permutahedron.h"
#include "core/sum/lane_sum.h"
#include "cpu/batch/rows_over_threads.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/projection/block_derivative.h"
#include "cpu/projection/permutahedron_row.h"
#include "cpu/sum/spearman_row.h"

// One copy for every instruction set: sorting and pooling are scalar work.
namespace rank_relax::cpu {
namespace {

/// visit(begin, end) for ranges of rows, each with memory of its own.
template <class Scalar, class Visit>
void for_each_range(const Batch<Scalar>& batch, const ParallelFor& parallel_for,
                    const Visit& visit) {
  RowsOverThreads{1 << 11, /*splits_rows=*/false}.visit_ranges(
      batch.count, batch.size, parallel_for,
      [&](int64_t begin, int64_t end, const ParallelFor&) { visit(begin, end); });
}

template <class Projection, class Scalar>
double strength_of(const PermutahedronRow<Scalar>& row, double regularization_strength) {
  if (row.has_infinities()) return regularization_strength;
  return correlation_strength(regularization_strength, row.spread(), Projection::kLinearSpread);
}

/// A row's ranks by projection, for spearman_loss_of_row.
template <class Projection, class Scalar>
struct ProjectedRanker {
  PermutahedronRow<Scalar>& row;
  Row<uint8_t> mask;
  int64_t size;
  double regularization_strength;

  void set_row(const Row<Scalar>& values) { row.set_row({values, mask, size}); }
  void rank(Scalar* ranks) {
    row.template ranks<Projection>(strength_of<Projection>(row, regularization_strength), 0, ranks,
                                   nullptr);
  }
  bool masked(int64_t i) const { return row.masked(i); }
  int64_t unmasked() const { return row.unmasked(); }
  bool all_ranked() const { return row.counted() == row.unmasked(); }
};

/// Products with the Jacobian of sorted values, block by block.
template <class Scalar>
class SortedBlocks {
 public:
  void set_row(Row<Scalar> input, Row<int64_t> permutation, Row<int32_t> blocks, int64_t size) {
    input_ = input;
    permutation_ = permutation;
    blocks_ = blocks;
    weights_.resize(size);
  }

  template <class Projection>
  void multiply(Row<Scalar> vector, bool transposed, Scalar* output) {
    const auto size = static_cast<int64_t>(weights_.size());
    const Row<int64_t> permutation = permutation_;
    const Row<int32_t> blocks = blocks_;
    for (int64_t begin = 0, end = 0; begin < size; begin = end) {
      end = begin + 1;
      if (blocks[begin] < 0) {
        output[transposed ? permutation[begin] : begin] =
            blocks[begin] == block_number(Kind::kNan) ? std::numeric_limits<Scalar>::quiet_NaN()
                                                      : Scalar(0);
        continue;
      }
      while (end < size && blocks[end] == blocks[begin]) ++end;
      share_out<Projection>(begin, end);
      const double* weights = weights_.data();
      if (transposed) {
        const double sum =
            lane_sum(end - begin, [=](int64_t k) -> double { return vector[begin + k]; });
        for (int64_t k = begin; k < end; ++k) {
          output[permutation[k]] = static_cast<Scalar>(weights[k - begin] * sum);
        }
      } else {
        const double sum = lane_sum(
            end - begin, [=](int64_t k) { return weights[k] * vector[permutation[begin + k]]; });
        std::fill(output + begin, output + end, static_cast<Scalar>(sum));
      }
    }
  }

 private:
  template <class Projection>
  void share_out(int64_t begin, int64_t end) {
    double* weights = weights_.data();
    const double first = input_[permutation_[begin]];
    for (int64_t k = begin; k < end; ++k) {
      weights[k - begin] = Projection::weight(input_[permutation_[k]] - first);
    }
    const double sum = lane_sum(end - begin, [=](int64_t k) { return weights[k]; });
    for (int64_t k = begin; k < end; ++k) weights[k - begin] /= sum;
  }

  Row<Scalar> input_;
  Row<int64_t> permutation_;
  Row<int32_t> blocks_;
  std::vector<double> weights_;
};

/// The blocks of rows whose forward kept none.
template <class Scalar>
class RowBlocks {
 public:
  template <class Projection>
  Row<int32_t> of(const SoftBatch<Scalar>& batch, int64_t row, Scalar* ranks) {
    row_.set_row(batch.row(row));
    blocks_.resize(batch.size);
    row_.template ranks<Projection>(batch.regularization_strength, 0, ranks, blocks_.data());
    return {blocks_.data(), 1};
  }

 private:
  PermutahedronRow<Scalar> row_;
  std::vector<int32_t> blocks_;
};

}  // namespace

template <class Scalar>
void permutahedron_rank(const SoftBatch<Scalar>& batch, bool centered, Scalar* ranks,
                        int32_t* blocks, const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      PermutahedronRow<Scalar> row;
      for (int64_t i = begin; i < end; ++i) {
        row.set_row(batch.row(i));
        const double shift = centered || row.counted() <= 1 ? 0 : 0.5;
        row.template ranks<decltype(projection)>(
            batch.regularization_strength, shift, ranks + i * batch.size,
            blocks == nullptr ? nullptr : blocks + i * batch.size);
      }
    });
  });
}

template <class Scalar>
void permutahedron_rank_derivative(const SoftBatch<Scalar>& batch, const Rows<int32_t>& blocks,
                                   const Rows<Scalar>* directions, int order, Scalar* output,
                                   const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      RowBlocks<Scalar> own_blocks;
      BlockDerivative<Scalar> derivative;
      std::vector<Row<Scalar>> rows(order);
      for (int64_t i = begin; i < end; ++i) {
        Scalar* to = output + i * batch.size;
        const Row<int32_t> given = blocks.row(i);
        derivative.set_row(batch.input.row(i),
                           given.data != nullptr
                               ? given
                               : own_blocks.template of<decltype(projection)>(batch, i, to),
                           batch.size);
        for (int l = 0; l < order; ++l) rows[l] = directions[l].row(i);
        derivative.template derivative<decltype(projection)>(batch.regularization_strength,
                                                             rows.data(), order, 1, to);
      }
    });
  });
}

template <class Scalar>
void permutahedron_sort(const SoftBatch<Scalar>& batch, Scalar* values, int64_t* permutation,
                        int32_t* blocks, const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      PermutahedronRow<Scalar> row;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i * batch.size;
        row.set_row(batch.row(i));
        row.template values<decltype(projection)>(batch.regularization_strength, values + at,
                                                  permutation + at, blocks + at);
      }
    });
  });
}

template <class Scalar>
void permutahedron_sort_product(const SoftBatch<Scalar>& batch, const SortedPlaces& sorted,
                                const Rows<Scalar>& vector, bool transposed, Scalar* output,
                                const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      SortedBlocks<Scalar> row;
      for (int64_t i = begin; i < end; ++i) {
        row.set_row(batch.input.row(i), sorted.permutation.row(i), sorted.blocks.row(i),
                    batch.size);
        row.template multiply<decltype(projection)>(vector.row(i), transposed,
                                                    output + i * batch.size);
      }
    });
  });
}

template <class Scalar>
void permutahedron_spearman_forward(const SoftBatch<Scalar>& batch, const Targets<Scalar>& targets,
                                    Scalar* loss, Scalar* rank_gradient_predictions,
                                    Scalar* rank_gradient_targets,
                                    const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      PermutahedronRow<Scalar> row;
      for (int64_t i = begin; i < end; ++i) {
        ProjectedRanker<decltype(projection), Scalar> ranker = {row, batch.mask.row(i), batch.size,
                                                                batch.regularization_strength};
        ranker.set_row(batch.input.row(i));
        loss[i] = spearman_loss_of_row(ranker, targets.row(i), batch.size,
                                       rank_gradient_predictions + i * batch.size,
                                       rank_gradient_targets + i * batch.size, in_this_thread);
      }
    });
  });
}

template <class Scalar>
void permutahedron_spearman_backward(const SoftBatch<Scalar>& batch,
                                     const Rows<Scalar>& grad_output,
                                     const Rows<Scalar>& rank_gradient, Scalar* output,
                                     const ParallelFor& parallel_for) {
  Projections::visit(batch.method, [&](auto projection) {
    using Projection = decltype(projection);
    for_each_range(batch, parallel_for, [&](int64_t begin, int64_t end) {
      PermutahedronRow<Scalar> row;
      BlockDerivative<Scalar> derivative;
      std::vector<int32_t> blocks(batch.size);
      for (int64_t i = begin; i < end; ++i) {
        const Row<Scalar> input = batch.input.row(i), direction = rank_gradient.row(i);
        Scalar* gradient = output + i * batch.size;  // holds the ranks at first
        row.set_row(batch.row(i));
        const double strength = strength_of<Projection>(row, batch.regularization_strength);
        row.template ranks<Projection>(strength, 0, gradient, blocks.data());
        derivative.set_row(input, {blocks.data(), 1}, batch.size);
        derivative.template derivative<Projection>(strength, &direction, 1, grad_output.row(i)[0],
                                                   gradient);
        for (int64_t j = 0; j < batch.size; ++j) {
          const bool masked = blocks[j] == block_number(Kind::kMasked);
          if (!masked && std::isnan(direction[j])) gradient[j] = direction[j];
        }
      }
    });
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                           \
  template void permutahedron_rank(const SoftBatch<Scalar>&, bool, Scalar*, int32_t*,            \
                                   const ParallelFor&);                                          \
  template void permutahedron_rank_derivative(const SoftBatch<Scalar>&, const Rows<int32_t>&,    \
                                              const Rows<Scalar>*, int, Scalar*,                 \
                                              const ParallelFor&);                               \
  template void permutahedron_sort(const SoftBatch<Scalar>&, Scalar*, int64_t*, int32_t*,        \
                                   const ParallelFor&);                                          \
  template void permutahedron_sort_product(const SoftBatch<Scalar>&, const SortedPlaces&,        \
                                           const Rows<Scalar>&, bool, Scalar*,                   \
                                           const ParallelFor&);                                  \
  template void permutahedron_spearman_forward(const SoftBatch<Scalar>&, const Targets<Scalar>&, \
                                               Scalar*, Scalar*, Scalar*, const ParallelFor&);   \
  template void permutahedron_spearman_backward(const SoftBatch<Scalar>&, const Rows<Scalar>&,   \
                                                const Rows<Scalar>&, Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
