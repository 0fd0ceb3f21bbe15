#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "cuda/block.cuh"
#include "cuda/spearman_loss.h"

namespace rank_relax::cuda {

// 1 - ρ for two vectors a and b that sum to zero, ρ = <a, b> / (|a| |b|), and in their place its
// gradients. With â = a/|a|, b̂ = b/|b| and δ = b̂ - â,
//
//     loss = |δ|²/2,   ∂loss/∂a = -(δ + loss · â)/|a|,   ∂loss/∂b = (δ - loss · b̂)/|b|,
//
// in which nothing cancels as ρ → 1; with δ = (b - a)/|b| + a (1/|b| - 1/|a|), which is 0 for
// b = a however products are rounded. If a or b is zero: loss 1, gradients 0. In double. Three
// passes of [rows * parts] blocks; each begins by adding what the parts of the one before have
// found.

/// The norms that a row's passes share.
struct Norms {
  double square_a, square_b;
  double unmasked;
  double undefined;  // unmasked items that are NaN
};

__device__ inline Norms norms_in_block(Norms found) {
  return {reduce_in_block(found.square_a, Sum()), reduce_in_block(found.square_b, Sum()),
          reduce_in_block(found.unmasked, Sum()), reduce_in_block(found.undefined, Sum())};
}

/// First pass: norms[row, part].
template <class Scalar>
__global__ void find_norms(Correlation problem, int64_t parts, int64_t part_size, Norms* norms) {
  const int64_t row = blockIdx.x / parts, begin = blockIdx.x % parts * part_size;
  const int64_t end = begin + part_size < problem.size ? begin + part_size : problem.size;
  const Scalar* a = static_cast<const Scalar*>(problem.a) + row * problem.size;
  const Scalar* b = static_cast<const Scalar*>(problem.b) + row * problem.size;
  Norms found = {0, 0, 0, 0};
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    if (is_masked(problem.mask, row, i)) continue;
    const double at_a = a[i], at_b = b[i];
    found.square_a += at_a * at_a;
    found.square_b += at_b * at_b;
    found.unmasked += 1;
    found.undefined += isnan(at_a) || isnan(at_b);
  }
  found = norms_in_block(found);
  if (threadIdx.x == 0) norms[blockIdx.x] = found;
}

__device__ inline Norms norms_of_row(const Norms* norms, int64_t row, int64_t parts) {
  Norms found = {0, 0, 0, 0};
  for (int64_t part = threadIdx.x; part < parts; part += blockDim.x) {
    const Norms& other = norms[row * parts + part];
    found.square_a += other.square_a;
    found.square_b += other.square_b;
    found.unmasked += other.unmasked;
    found.undefined += other.undefined;
  }
  return norms_in_block(found);
}

/// δ at an item.
__device__ inline double difference(double a, double b, double per_a, double per_b) {
  return (b - a) * per_b + a * (per_b - per_a);
}

/// Second pass: squares[row, part], |δ|² of the part.
template <class Scalar>
__global__ void find_differences(Correlation problem, int64_t parts, int64_t part_size,
                                 const Norms* norms, double* squares) {
  const int64_t row = blockIdx.x / parts, begin = blockIdx.x % parts * part_size;
  const int64_t end = begin + part_size < problem.size ? begin + part_size : problem.size;
  const Norms found = norms_of_row(norms, row, parts);
  const double per_a = 1 / sqrt(found.square_a), per_b = 1 / sqrt(found.square_b);
  const Scalar* a = static_cast<const Scalar*>(problem.a) + row * problem.size;
  const Scalar* b = static_cast<const Scalar*>(problem.b) + row * problem.size;
  double square = 0;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    if (is_masked(problem.mask, row, i)) continue;
    const double delta = difference(a[i], b[i], per_a, per_b);
    square += delta * delta;
  }
  square = reduce_in_block(square, Sum());
  if (threadIdx.x == 0) squares[blockIdx.x] = square;
}

/// Third pass: the loss, and the gradients.
template <class Scalar>
__global__ void write_correlations(Correlation problem, int64_t parts, int64_t part_size,
                                   const Norms* norms, const double* squares) {
  const int64_t row = blockIdx.x / parts, part = blockIdx.x % parts, begin = part * part_size;
  const int64_t end = begin + part_size < problem.size ? begin + part_size : problem.size;
  const Norms found = norms_of_row(norms, row, parts);
  double square = 0;
  for (int64_t p = threadIdx.x; p < parts; p += blockDim.x) square += squares[row * parts + p];
  square = reduce_in_block(square, Sum());
  const double kNan = std::numeric_limits<double>::quiet_NaN();
  const bool undefined = found.undefined > 0;
  const bool zero = found.square_a == 0 || found.square_b == 0;
  const double of_ranks = zero ? 1 : (square / 2 < 2 ? square / 2 : 2);
  const double per_a = 1 / sqrt(found.square_a), per_b = 1 / sqrt(found.square_b);
  Scalar* a = static_cast<Scalar*>(problem.a) + row * problem.size;
  Scalar* b = static_cast<Scalar*>(problem.b) + row * problem.size;
  for (int64_t i = begin + threadIdx.x; i < end; i += blockDim.x) {
    const double at_a = a[i], at_b = b[i];
    const double delta = difference(at_a, at_b, per_a, per_b);
    double of_a = -(delta + of_ranks * (at_a * per_a)) * per_a;
    double of_b = (delta - of_ranks * (at_b * per_b)) * per_b;
    if (undefined) of_a = of_b = kNan;
    if ((zero && !undefined) || is_masked(problem.mask, row, i)) of_a = of_b = 0;
    a[i] = static_cast<Scalar>(of_a);
    b[i] = static_cast<Scalar>(of_b);
  }
  if (part == 0 && threadIdx.x == 0) {
    store(problem.loss, row, undefined ? kNan : (found.unmasked > 1 ? of_ranks : 0));
  }
}

}  // namespace rank_relax::cuda
