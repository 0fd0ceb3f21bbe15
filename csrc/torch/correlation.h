#pragma once

#include <ATen/TensorOperators.h>

#include "core/correlation.h"

namespace rank_relax {

/// |x|² of each row, [*, 1].
inline at::Tensor square_of_rows(const at::Tensor& x) { return (x * x).sum(-1, /*keepdim=*/true); }

/// What core/correlation.h starts from, of two batches of rows as tensors.
struct SquaresOfRows {
  at::Tensor a, b;      // |a|² and |b|², [*, 1]; 1 where `constant`
  at::Tensor constant;  // where a or b is zero

  SquaresOfRows(const at::Tensor& rows_a, const at::Tensor& rows_b)
      : a(square_of_rows(rows_a)), b(square_of_rows(rows_b)) {
    constant = (a == 0).logical_or(b == 0);
    a = a.masked_fill(constant, 1);
    b = b.masked_fill(constant, 1);
  }
};

}  // namespace rank_relax
