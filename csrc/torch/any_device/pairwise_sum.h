#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>
#include <vector>

// Sums over all pairs of a list, by tensor operators that every backend has: what a device that we
// have no kernel for computes, and what an export to standard operators consists of. O(n²) time, in
// tables of bounded size; in float64 for float64 and in float32 otherwise, as some devices have no
// float64. No operator here returns a view: a backend that makes tensors functional, as lazy ones
// do, has no views below the dispatch key at which we are called.

namespace rank_relax::any_device {

/// A tensor as a table of lists: [rows, n], contiguous. There must be an item.
at::Tensor rows(const at::Tensor& tensor);

/// The items of an operator's lists and what they are; everything is [rows, n] or [rows, 1].
struct Lists {
  at::Tensor values;    // 0 where not finite or not counted
  at::Tensor shrink;    // 1/4 in rows whose differences could overflow, else 1
  at::Tensor kept;      // not masked
  at::Tensor counted;   // kept and not NaN: what is compared
  at::Tensor finite;    // counted and finite: what has derivatives
  at::Tensor infinity;  // -1, 0 or 1: where infinite, and on which side

  Lists(const at::Tensor& input, const std::optional<at::Tensor>& mask);

  /// The n - 1 of every formula, and at least 1.
  at::Tensor others() const;

  /// NaN at the NaN that are kept, else `results`.
  at::Tensor with_nan_items(const at::Tensor& results) const;
};

/// α as a product of two factors that the dtype of the values can hold; one may vary by row.
struct Strength {
  at::Tensor first;   // [rows, 1]
  at::Tensor second;  // [rows, 1], undefined if 1

  /// One strength for all rows.
  Strength(const Lists& lists, double regularization_strength);

  /// As a correlation takes it (core/correlation.h): rows in which ranks are linear anyway are
  /// stretched.
  static Strength for_correlation(const Lists& lists, double regularization_strength,
                                  std::string_view method);
};

/// Σ_j F(α (x_m - x_j)) - 1/2 without directions v_1..v_k, else
/// α^k Σ_j Π_l (v_l[m] - v_l[j]) F^(k)(α (x_m - x_j)), as [rows, n]; 0 at items that don't count.
at::Tensor pairwise_sum(const std::vector<at::Tensor>& directions, const Lists& lists,
                        const Strength& strength, std::string_view method);

}  // namespace rank_relax::any_device
