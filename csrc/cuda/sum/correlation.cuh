#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/correlation.h"
#include "cuda/launch/block.cuh"
#include "cuda/spearman_loss.h"

namespace rank_relax::cuda {

// 1 - ρ of centred vectors a and b, and in their place its gradients (core/correlation.h). In
// double. Three steps over a row, by a block; or by several, in a kernel each, which begins by
// adding what the parts have found in the one before.

/// What a block does at a time: some items of a row.
template <class Scalar>
struct RowPart {
  int64_t row, part, begin, end;
  Scalar* a;
  Scalar* b;

  __device__ RowPart(const Correlation& problem, int64_t number, int64_t parts, int64_t size)
      : row(number / parts), part(number % parts), begin(part * size) {
    end = begin + size < problem.size ? begin + size : problem.size;
    a = static_cast<Scalar*>(problem.a) + row * problem.size;
    b = static_cast<Scalar*>(problem.b) + row * problem.size;
  }
};

/// The norms of a row, or what a part of it adds.
struct Norms {
  double square_a, square_b;
  double unmasked;
  double undefined;  // unmasked items that are NaN

  __device__ void take_in(const Norms& other) {
    square_a += other.square_a;
    square_b += other.square_b;
    unmasked += other.unmasked;
    undefined += other.undefined;
  }

  __device__ bool vanish() const { return square_a == 0 || square_b == 0; }

  __device__ UnitVectors<double> units() const {
    return UnitVectors<double>::of(1 / sqrt(square_a), 1 / sqrt(square_b));
  }
};

__device__ inline Norms sum_in_block(const Norms& found) {
  return {reduce_in_block(found.square_a, Sum()), reduce_in_block(found.square_b, Sum()),
          reduce_in_block(found.unmasked, Sum()), reduce_in_block(found.undefined, Sum())};
}

/// First step.
template <class Scalar>
__device__ Norms norms_of_part(const Correlation& problem, const RowPart<Scalar>& at) {
  Norms found = {0, 0, 0, 0};
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += blockDim.x) {
    if (is_masked(problem.mask, at.row, i)) continue;
    const double a = at.a[i], b = at.b[i];
    found.take_in({a * a, b * b, 1, isnan(a) || isnan(b) ? 1.0 : 0.0});
  }
  return sum_in_block(found);
}

/// Second step: |δ|² of the part.
template <class Scalar>
__device__ double square_of_part(const Correlation& problem, const RowPart<Scalar>& at,
                                 const Norms& norms) {
  const UnitVectors<double> units = norms.units();
  double square = 0;
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += blockDim.x) {
    if (is_masked(problem.mask, at.row, i)) continue;
    const double delta = units.difference(at.a[i], at.b[i]);
    square += delta * delta;
  }
  return reduce_in_block(square, Sum());
}

/// Third step: the loss, and the gradients of the part.
template <class Scalar>
__device__ void write_part(const Correlation& problem, const RowPart<Scalar>& at,
                           const Norms& norms, double square) {
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const bool undefined = norms.undefined > 0;
  const double loss = norms.vanish() ? 1 : correlation_loss(square);
  const UnitVectors<double> units = norms.units();
  for (int64_t i = at.begin + threadIdx.x; i < at.end; i += blockDim.x) {
    const double a = at.a[i], b = at.b[i];
    const double delta = units.difference(a, b);
    double of_a = units.gradient_a(a, delta, loss), of_b = units.gradient_b(b, delta, loss);
    if (undefined) of_a = of_b = kNan;
    if ((norms.vanish() && !undefined) || is_masked(problem.mask, at.row, i)) of_a = of_b = 0;
    at.a[i] = static_cast<Scalar>(of_a);
    at.b[i] = static_cast<Scalar>(of_b);
  }
  if (at.part == 0 && threadIdx.x == 0) {
    store(problem.loss, at.row, undefined ? kNan : (norms.unmasked > 1 ? loss : 0));
  }
}

/// Short rows, a block each.
template <class Scalar>
__global__ void correlate_rows(Correlation problem) {
  for (int64_t row = blockIdx.x; row < problem.rows; row += gridDim.x) {
    const RowPart<Scalar> all(problem, row, 1, problem.size);
    const Norms norms = norms_of_part(problem, all);
    write_part(problem, all, norms, square_of_part(problem, all, norms));
  }
}

/// Long rows, first step: norms[row, part].
template <class Scalar>
__global__ void find_norms(Correlation problem, int64_t parts, int64_t part_size, Norms* norms) {
  const RowPart<Scalar> part(problem, blockIdx.x, parts, part_size);
  const Norms found = norms_of_part(problem, part);
  if (threadIdx.x == 0) norms[blockIdx.x] = found;
}

__device__ inline Norms norms_of_row(const Norms* norms, int64_t row, int64_t parts) {
  Norms found = {0, 0, 0, 0};
  for (int64_t p = threadIdx.x; p < parts; p += blockDim.x) found.take_in(norms[row * parts + p]);
  return sum_in_block(found);
}

/// Second: squares[row, part].
template <class Scalar>
__global__ void find_differences(Correlation problem, int64_t parts, int64_t part_size,
                                 const Norms* norms, double* squares) {
  const RowPart<Scalar> part(problem, blockIdx.x, parts, part_size);
  const double square = square_of_part(problem, part, norms_of_row(norms, part.row, parts));
  if (threadIdx.x == 0) squares[blockIdx.x] = square;
}

/// Third.
template <class Scalar>
__global__ void write_correlations(Correlation problem, int64_t parts, int64_t part_size,
                                   const Norms* norms, const double* squares) {
  const RowPart<Scalar> part(problem, blockIdx.x, parts, part_size);
  const Norms found = norms_of_row(norms, part.row, parts);
  double square = 0;
  for (int64_t p = threadIdx.x; p < parts; p += blockDim.x) {
    square += squares[part.row * parts + p];
  }
  write_part(problem, part, found, reduce_in_block(square, Sum()));
}

}  // namespace rank_relax::cuda
