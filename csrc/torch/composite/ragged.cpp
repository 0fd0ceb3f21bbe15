#include "torch/composite/ragged.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <numeric>
#include <optional>
#include <tuple>
#include <vector>

#include "core/refusals.h"
#include "torch/declaration/kernel.h"
#include "torch/operators/in_float64.h"
#include "torch/operators/ragged.h"

// Lists that lie one behind the other are put in rows of a few lengths, of which each batch is a
// call of the function's own operator. A row is at most twice as long as its list, and many lists
// of one length have rows without a mask. What results is put back in order. All that is made of
// operators of torch, and so are all derivatives.

namespace rank_relax {
namespace {

using at::Tensor;

/// Rows of one length.
struct Batch {
  int64_t first_row;
  int64_t rows;
  int64_t size;
  int64_t first_place;  // of the items of all rows
  bool padded;
};

/// ValueError unless the ends rise from 0 to the number of items.
void check_ends(std::string_view function, const int64_t* ends, int64_t lists, int64_t items) {
  const auto refused = refusal::of_ends("offsets", ends, lists + 1, items);
  TORCH_CHECK_VALUE(!refused.has_value(), function.substr(0, function.find(' ')), ": ", *refused);
}

/// Where the lists that end at those of `ends` [L + 1] are put.
class RowsOfLists {
 public:
  RowsOfLists(const std::vector<int64_t>& ends, at::Device device) : items_(ends.back()) {
    const int64_t lists = static_cast<int64_t>(ends.size()) - 1;
    std::vector<int64_t> order(lists);
    std::iota(order.begin(), order.end(), 0);
    const auto length = [&](int64_t list) { return ends[list + 1] - ends[list]; };
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return length(a) > length(b); });
    for (int64_t row = 0; row < lists;) {
      int64_t next = row + 1;
      while (next < lists && length(order[next]) == length(order[row])) ++next;
      add(row, next - row, length(order[row]));
      row = next;
    }
    in_order_ = batches_.size() == 1 && !batches_[0].padded;
    if (!in_order_) set_indices(ends, order, device);
  }

  const std::vector<Batch>& batches() const { return batches_; }

  /// One item for each place of the rows; of [N].
  Tensor of_items(const Tensor& items) const {
    if (in_order_) return items;
    const Tensor some = items_ > 0 ? items : at::constant_pad_nd(items, {0, 1});
    return some.index_select(0, item_);
  }
  Tensor rows(const Tensor& of_items, const Batch& batch) const {
    return of_items.narrow(0, batch.first_place, batch.rows * batch.size)
        .reshape({batch.rows, batch.size});
  }
  /// Which items of the rows are none, if any.
  std::optional<Tensor> mask(const std::optional<Tensor>& of_items, const Batch& batch) const {
    std::optional<Tensor> mask;
    if (batch.padded) mask = rows(is_item_, batch);
    if (of_items.has_value()) {
      const Tensor given = rows(*of_items, batch);
      mask = mask.has_value() ? mask->logical_and(given) : given;
    }
    return mask;
  }
  /// What belongs to the lists of a batch, of [L, ...].
  Tensor of_lists(const Tensor& lists) const {
    return in_order_ ? lists : lists.index_select(0, list_);
  }

  /// What there is one of for each place of the rows, for each item.
  Tensor to_items(const Tensor& of_places) const {
    return in_order_ ? of_places : of_places.index_select(0, place_);
  }
  /// What there is one of for each row, for each list.
  Tensor to_lists(const Tensor& of_rows) const {
    return in_order_ ? of_rows : of_rows.index_select(0, row_);
  }

 private:
  static constexpr int64_t kEnoughRows = 32;  // of one length, to be worth a call of their own

  /// Rows of the next length, which is not longer than the last.
  void add(int64_t first_row, int64_t rows, int64_t length) {
    const int64_t size = std::max<int64_t>(length, 1);
    const bool joins = !batches_.empty() && rows < kEnoughRows && batches_.back().rows > 0 &&
                       joinable_ && 2 * size > batches_.back().size;
    if (joins) {
      Batch& batch = batches_.back();
      batch.rows += rows;
      batch.padded = true;
      places_ += rows * batch.size;
    } else {
      batches_.push_back({first_row, rows, size, places_, /*padded=*/length == 0});
      places_ += rows * size;
    }
    joinable_ = joins || rows < kEnoughRows;
  }

  void set_indices(const std::vector<int64_t>& ends, const std::vector<int64_t>& order,
                   at::Device device) {
    std::vector<int64_t> item(places_), place_of(items_), row_of(order.size());
    std::vector<uint8_t> is_item(places_);
    for (const Batch& batch : batches_) {
      int64_t place = batch.first_place;
      for (int64_t row = batch.first_row; row < batch.first_row + batch.rows; ++row) {
        const int64_t list = order[row], begin = ends[list], length = ends[list + 1] - begin;
        row_of[list] = row;
        for (int64_t i = 0; i < batch.size; ++i, ++place) {
          is_item[place] = i < length ? 1 : 0;
          item[place] = i < length ? begin + i : std::max<int64_t>(std::min(begin, items_ - 1), 0);
          if (i < length) place_of[begin + i] = place;
        }
      }
    }
    item_ = index(item, device);
    place_ = index(place_of, device);
    list_ = index(order, device);
    row_ = index(row_of, device);
    is_item_ = at::from_blob(is_item.data(), {places_}, at::TensorOptions(at::kByte))
                   .to(at::TensorOptions(at::kBool).device(device));
  }

  /// A copy; made by an operator, it is one for the transforms too that run.
  static Tensor index(const std::vector<int64_t>& numbers, at::Device device) {
    return at::from_blob(const_cast<int64_t*>(numbers.data()),
                         {static_cast<int64_t>(numbers.size())}, at::TensorOptions(at::kLong))
        .to(at::TensorOptions(at::kLong).device(device), /*non_blocking=*/false, /*copy=*/true);
  }

  int64_t items_;
  int64_t places_ = 0;
  bool joinable_ = false;
  bool in_order_ = false;
  std::vector<Batch> batches_;
  Tensor item_;     // at each place of the rows; any, where there is none
  Tensor is_item_;  // whether one is
  Tensor place_;    // of each item
  Tensor list_;     // of each row
  Tensor row_;      // of each list
};

/// Those of several rows of lists, one behind the other, as those of one row.
std::vector<int64_t> ends_in_one_row(std::string_view function, const std::vector<int64_t>& ends,
                                     int64_t rows, int64_t items_a_row) {
  std::vector<int64_t> in_one_row{0};
  const int64_t lists = rows > 0 ? static_cast<int64_t>(ends.size()) / rows - 1 : 0;
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t* of_row = ends.data() + row * (lists + 1);
    check_ends(function, of_row, lists, items_a_row);
    for (int64_t list = 1; list <= lists; ++list) {
      in_one_row.push_back(row * items_a_row + of_row[list]);
    }
  }
  return in_one_row;
}

Tensor value_of(const FunctionCall& call, const Options& options) {
  return call.is_in_float64() ? operators::in_float64(call, options)
                              : call.of().value(call, options);
}

Tensor ragged(const FunctionCall& call, const Options& options, const Tensor& offsets) {
  return operators::Ragged::value(call, options, values_of(offsets));
}

std::tuple<Tensor, Tensor, Tensor> ragged_backward(const Tensor& grad_output,
                                                   const FunctionCall& call,
                                                   std::array<bool, 3> needed,
                                                   const Options& options, const Tensor& offsets) {
  const std::vector<int64_t> ends = values_of(offsets);
  const auto value = [&](const FunctionCall& of) {
    return operators::Ragged::value(of, options, ends);
  };
  return call.gradients_below_autograd(value, grad_output, needed);
}

void register_ragged_on(torch::Library& library) {
  kernel<operators::Ragged, ragged>(library);
  kernel<operators::RaggedBackward, ragged_backward>(library);
}

}  // namespace

std::vector<int64_t> values_of(const Tensor& offsets) {
  const Tensor here = offsets.detach().to(at::kCPU).contiguous();
  const int64_t* values = here.const_data_ptr<int64_t>();
  return {values, values + here.numel()};
}

Tensor operators::Ragged::value(const FunctionCall& call, const Options& options,
                                const std::vector<int64_t>& ends) {
  const Tensor& input = call.input;
  const ListFunction& function = call.of();
  int64_t rows_of_lists = 1;
  for (const int64_t size : input.sizes().slice(0, input.dim() - 1)) rows_of_lists *= size;
  std::vector<c10::SymInt> batch_shape = input.sym_sizes().vec();
  batch_shape.back() =
      rows_of_lists > 0 ? static_cast<int64_t>(ends.size()) / rows_of_lists - 1 : 1;
  const std::vector<c10::SymInt> shape = function.shape(call, batch_shape);
  const RowsOfLists rows(ends_in_one_row(call.function, ends, rows_of_lists, input.size(-1)),
                         input.device());
  if (rows.batches().empty()) return (input * 1).reshape_symint(shape);

  FunctionCall all = call;
  all.input = rows.of_items(input.reshape({-1}));
  if (call.has_targets()) all.targets = rows.of_items(call.targets->reshape({-1}));
  if (call.has_level()) {
    const bool several = function.result == Result::kLevels;
    all.level = rows.of_lists(several ? call.level->flatten(0, -2) : call.level->reshape({-1}));
  }
  const bool has_strengths = call.has_strength() && call.strength->dim() > 0;
  if (has_strengths) {
    Tensor strengths = *call.strength;
    while (strengths.dim() < input.dim()) strengths = strengths.unsqueeze(-1);
    all.strength = rows.of_lists(strengths.expand_symint(batch_shape).reshape({-1}));
  }
  std::optional<Tensor> counts;
  if (options.mask.has_value()) counts = rows.of_items(options.mask->reshape({-1}));

  std::vector<Tensor> results;
  for (const Batch& batch : rows.batches()) {
    const auto of_batch = [&](const Tensor& lists) {
      return lists.narrow(0, batch.first_row, batch.rows);
    };
    FunctionCall part = all;
    part.input = rows.rows(all.input, batch);
    if (call.has_targets()) part.targets = rows.rows(*all.targets, batch);
    if (call.has_level()) part.level = of_batch(*all.level);
    if (has_strengths) part.strength = of_batch(*all.strength);
    const std::optional<Tensor> mask = rows.mask(counts, batch);
    const Tensor result = value_of(part, {options.regularization_strength, options.method, mask});
    results.push_back(function.result == Result::kItems ? result.reshape({-1}) : result);
  }
  const Tensor together = results.size() == 1 ? results[0] : at::cat(results);
  return (function.result == Result::kItems ? rows.to_items(together) : rows.to_lists(together))
      .reshape_symint(shape);
}

// Elsewhere on the host.
TORCH_LIBRARY_IMPL(rank_relax, CPU, library) { register_ragged_on(library); }
TORCH_LIBRARY_IMPL(rank_relax, CUDA, library) { register_ragged_on(library); }

}  // namespace rank_relax
