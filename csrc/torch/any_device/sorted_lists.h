#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

// Sorts of whole tables by tensor operators that every backend has, none of which returns a view
// (torch/any_device/pairwise_sum.h says why). Nothing waits for the device.

namespace rank_relax::any_device {

/// A table of items of any real dtype in one that every device sorts, in the same order, exactly.
at::Tensor sortable(const at::Tensor& table);

/// The sorted rows of a table.
struct SortedLists {
  at::Tensor values;
  at::Tensor order;  // int64: where each of them stood
  at::Tensor place;  // int64: 0, 1, ... in every row

  /// All of which count.
  explicit SortedLists(const at::Tensor& sortable_table);

  /// `counted` first, the others behind them in any order.
  SortedLists(const at::Tensor& sortable_table, const at::Tensor& counted);

  /// What stands one place before, and one after; the item itself at the end.
  at::Tensor before() const;
  at::Tensor after() const;

  /// A table in this order, put back into the first one.
  at::Tensor put_back(const at::Tensor& table) const;
};

}  // namespace rank_relax::any_device
