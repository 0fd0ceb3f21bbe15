#include "cpu/soft_count.h"

#include <optional>
#include <vector>

#include "c/call.h"
#include "core/cdf/capabilities.h"
#include "core/methods.h"
#include "core/refusals.h"
#include "core/series/series_spread.h"
#include "cpu/sort/visit_order.h"

using namespace rank_relax;

namespace {

void check_order(const c::Call& call, int64_t order) {
  const int most = max_order(call.method());
  if (order < kLowestOrder || order > most) {
    c::refuse(refusal::not_an_order(kLowestOrder, most, order));
  }
  SmoothCdfs::visit(call.method(), [&](auto cdf) {
    if (order < 0 && !kHasIntegral<decltype(cdf)>) {
      c::refuse(refusal::without_integral(call.method()));
    }
  });
}

/// Values and their weights, which are ones if none are given. Under a mask they are copies, in
/// which a value that does not count is 0 and weighs 0.
template <class Scalar>
class CountedValues {
 public:
  CountedValues(const c::Tensor& values, const std::optional<c::Tensor>& weights, int64_t sets,
                const cpu::Rows<uint8_t>& mask)
      : shape_(values.shape()), given_(values), is_masked_(mask.data != nullptr) {
    shape_of_weights_ = shape_;
    shape_of_weights_.insert(shape_of_weights_.end() - 1, sets);
    strides_of_ones_.assign(shape_of_weights_.size(), 0);
    if (weights.has_value()) weights_.emplace(*weights);
    if (is_masked_) copy(values, sets, mask);
  }

  cpu::Rows<Scalar> values() const {
    if (!is_masked_) return given_.rows();
    return {counted_.data(), shape_.data(), strides_.data(), static_cast<int64_t>(shape_.size())};
  }
  cpu::Rows<Scalar> weights() const {
    if (!is_masked_) return all_weights();
    return {counted_weights_.data(), shape_of_weights_.data(), strides_of_weights_.data(),
            static_cast<int64_t>(shape_of_weights_.size())};
  }

 private:
  cpu::Rows<Scalar> all_weights() const {
    if (weights_.has_value()) return weights_->rows();
    return {&kOne, shape_of_weights_.data(), strides_of_ones_.data(),
            static_cast<int64_t>(shape_of_weights_.size())};
  }

  void copy(const c::Tensor& values, int64_t sets, const cpu::Rows<uint8_t>& mask) {
    strides_ = c::row_major_strides(shape_);
    strides_of_weights_ = c::row_major_strides(shape_of_weights_);
    const int64_t lists = values.lists(), size = values.size();
    counted_.resize(static_cast<size_t>(values.numel()));
    counted_weights_.resize(counted_.size() * static_cast<size_t>(sets));
    for (int64_t list = 0; list < lists; ++list) {
      const cpu::MaskedRow<Scalar> row{given_.rows().row(list), mask.row(list), size};
      const auto take_in = [&](const cpu::Row<Scalar>& from, Scalar* to) {
        for (int64_t i = 0; i < size; ++i) to[i] = row.counts(i) ? from[i] : Scalar(0);
      };
      take_in(row.items, counted_.data() + list * size);
      for (int64_t set = list * sets; set < (list + 1) * sets; ++set) {
        take_in(all_weights().row(set), counted_weights_.data() + set * size);
      }
    }
  }

  static constexpr Scalar kOne = 1;

  std::vector<int64_t> shape_, shape_of_weights_, strides_, strides_of_weights_, strides_of_ones_;
  c::Input<Scalar> given_;
  std::optional<c::Input<Scalar>> weights_;
  bool is_masked_;
  std::vector<Scalar> counted_, counted_weights_;
};

/// int64 keys as numbers that order as they do, row-major.
std::vector<uint64_t> in_order(const c::Tensor& keys) {
  std::vector<uint64_t> numbers(static_cast<size_t>(keys.numel()));
  const int64_t lists = keys.numel() > 0 ? keys.lists() : 0;
  for (int64_t list = 0; list < lists; ++list) {
    cpu::put_in_order<cpu::IntegerOrder<int64_t>>(keys.rows<uint64_t>().row(list), keys.size(),
                                                  /*of_nan=*/0,
                                                  numbers.data() + list * keys.size());
  }
  return numbers;
}

}  // namespace

rank_relax_status rank_relax_soft_count(const rank_relax_points* points,
                                        const rank_relax_options* options,
                                        const rank_relax_tensor* output) {
  return c::status_of("soft_count", [&] {
    if (points == nullptr) c::refuse("points must be a rank_relax_points, got NULL");
    const rank_relax_points& of = *points;
    if (of.struct_size != sizeof(rank_relax_points)) {
      c::refuse(refusal::sentence("struct_size of the points must be sizeof(rank_relax_points), ",
                                  sizeof(rank_relax_points), ", got ", of.struct_size));
    }
    c::Call call(options);
    call.check_smooth_cdf();
    check_order(call, of.order);
    const c::Tensor x = call.values("values", of.values);
    const c::Tensor t = call.values("points", of.points);
    if (t.dtype() != x.dtype()) {
      c::refuse(refusal::not_of_dtype("points", c::name_of(x.dtype()), c::name_of(t.dtype())));
    }
    if (t.dims() != x.dims() || t.batch_shape() != x.batch_shape()) {
      c::refuse(refusal::not_in_rows("points", "values", c::text_of(x.batch_shape()),
                                     c::text_of(t.shape())));
    }
    call.check_on_cpu();
    call.set_lists(x);
    std::optional<c::Tensor> weights;
    int64_t sets = 1;
    std::vector<int64_t> shape = t.shape();
    if (of.weights != nullptr) {
      const c::Tensor given("weights", of.weights);
      if (given.dims() != x.dims() + 1) {
        c::refuse(refusal::without_sets(c::text_of(given.shape())));
      }
      sets = given.shape()[static_cast<size_t>(x.dims()) - 1];
      std::vector<int64_t> expected = x.shape();
      expected.insert(expected.end() - 1, sets);
      weights = call.items("weights", of.weights, x.dtype(), expected, "values");
      shape.insert(shape.end() - 1, sets);
    }
    std::optional<c::Tensor> ends, point_ends;
    const rank_relax_tensor* const offsets = call.options().offsets;
    if (of.point_offsets != nullptr && offsets == nullptr) {
      c::refuse("point_offsets cut points into lists, so values need offsets too");
    }
    if (offsets != nullptr) {
      ends.emplace("offsets", offsets);
      const bool own = of.point_offsets != nullptr;
      const c::Tensor given("point_offsets", own ? of.point_offsets : offsets);
      if (!own && t.size() != x.size()) {
        c::refuse(
            refusal::sentence("without point_offsets the lists of points end where those of "
                              "values do, so there must be ",
                              x.size(), " points, got ", t.size()));
      }
      if (given.dims() != 1 || given.size() != ends->size()) {
        c::refuse(refusal::not_as_many_lists(ends->size() - 1, given.numel() - 1));
      }
      point_ends = call.items("point_offsets", own ? of.point_offsets : offsets, c::Dtype::kInt64,
                              ends->shape(), "offsets");
      const auto refused = refusal::of_ends("point_offsets", point_ends->rows<int64_t>().row(0),
                                            point_ends->size(), t.size());
      if (refused.has_value()) c::refuse(*refused);
    }
    std::vector<uint64_t> value_keys, point_keys;
    if ((of.value_keys == nullptr) != (of.point_keys == nullptr)) {
      c::refuse("value_keys and point_keys must be given both or neither");
    }
    if (of.value_keys != nullptr) {
      value_keys =
          in_order(call.items("value_keys", of.value_keys, c::Dtype::kInt64, x.shape(), "values"));
      point_keys =
          in_order(call.items("point_keys", of.point_keys, c::Dtype::kInt64, t.shape(), "points"));
    }
    const c::Tensor result = call.output("output", output, x.dtype(), shape, "points and sets");
    if (result.numel() == 0) return;
    if (t.size() > refusal::kLongestList) c::refuse(refusal::too_long(t.size()));
    c::visit_scalar(x.dtype(), [&](auto scalar) {
      using Scalar = decltype(scalar);
      const c::Input<Scalar> at(t);
      const CountedValues<Scalar> counted(x, weights, sets, call.mask({0, 0, x.lists(), x.size()}));
      c::Output<Scalar> sums(result);
      cpu::PointBatch<Scalar> batch;
      batch.count = x.lists();
      batch.lists = ends.has_value() ? ends->size() - 1 : 1;
      batch.points = {at.rows(), t.size(), {}};
      batch.values = {counted.values(), x.size(), {}};
      if (ends.has_value()) {
        batch.points.offsets = point_ends->rows<int64_t>();
        batch.values.offsets = ends->rows<int64_t>();
      }
      const std::vector<int64_t> key_strides_of_values{x.size(), 1};
      const std::vector<int64_t> key_strides_of_points{t.size(), 1};
      const std::vector<int64_t> sizes_of_values{x.lists(), x.size()};
      const std::vector<int64_t> sizes_of_points{x.lists(), t.size()};
      if (of.value_keys != nullptr) {
        batch.value_keys = {value_keys.data(), sizes_of_values.data(), key_strides_of_values.data(),
                            2};
        const bool shared = of.point_keys == of.value_keys;
        batch.point_keys = {shared ? value_keys.data() : point_keys.data(), sizes_of_points.data(),
                            key_strides_of_points.data(), 2};
      }
      batch.weights = counted.weights();
      batch.sets = sets;
      batch.order = static_cast<int>(of.order);
      batch.regularization_strength = call.strength();
      batch.method = call.method();
      cpu::soft_count(batch, sums.data(), call.parallel_for());
      sums.finish();
    });
  });
}
