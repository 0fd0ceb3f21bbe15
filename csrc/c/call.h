#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "c/include/rank_relax.h"
#include "c/tensor.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/half_precision.h"
#include "cpu/batch/rows_over_threads.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"

namespace rank_relax::c {

/// Either all lists of a call, as rows of one batch, or one of those that lie one behind the other.
struct Part {
  int64_t first_item;
  int64_t first_list;
  int64_t lists;
  int64_t size;  // of each of them

  template <class T>
  cpu::Rows<T> of(cpu::Rows<T> rows) const {
    if (first_item > 0) rows.data += first_item * rows.strides[rows.dims - 1];
    return rows;
  }
};

/// The rows of a part, of what there is one row of for each list.
template <class T>
class RowsOfPart {
 public:
  RowsOfPart(const Part& part, const cpu::Rows<T>& rows) : rows_(rows) {
    if (part.first_list == 0) return;
    const cpu::Row<T> row = rows.row(part.first_list);
    strides_[1] = row.stride;
    rows_ = {row.data, sizes_, strides_, 2};
  }
  RowsOfPart(const RowsOfPart&) = delete;
  RowsOfPart& operator=(const RowsOfPart&) = delete;

  /// Borrows this.
  const cpu::Rows<T>& rows() const { return rows_; }

 private:
  const int64_t sizes_[2] = {1, 1};
  int64_t strides_[2] = {0, 1};
  cpu::Rows<T> rows_;
};

/// Numbers of lists, [...], or one for all of them, as rows of one item: so that both count lists
/// alike.
template <class T>
class Columns {
 public:
  Columns(const cpu::Rows<T>& numbers, std::vector<int64_t> shape_of_columns)
      : data_(numbers.data), sizes_(std::move(shape_of_columns)), strides_(sizes_.size(), 0) {
    std::copy_n(numbers.strides, numbers.dims, strides_.begin());
  }

  /// Borrows this.
  cpu::Rows<T> rows() const {
    return {data_, sizes_.data(), strides_.data(), static_cast<int64_t>(sizes_.size())};
  }

 private:
  const T* data_;
  std::vector<int64_t> sizes_, strides_;
};

/// What the functions have in common: the options, checked, and the lists that they speak of.
class Call {
 public:
  explicit Call(const rank_relax_options* options);

  double strength() const { return options_.regularization_strength; }
  std::string_view method() const { return options_.method; }
  const cpu::ParallelFor& parallel_for() const { return parallel_for_; }

  const rank_relax_options& options() const { return options_; }
  bool is_on_cuda() const { return given_.front().is_on_cuda(); }
  const std::optional<Tensor>& mask() const { return mask_; }

  /// Refuses tensors on a CUDA device, for which a function has no kernels behind this header.
  void check_on_cpu() const;
  /// Refuses a method that is not a smooth CDF.
  void check_smooth_cdf() const;

  /// A tensor of the caller's with one list or more, of a floating dtype.
  Tensor values(const char* name, const rank_relax_tensor* given);
  /// Of any real dtype.
  Tensor real(const char* name, const rank_relax_tensor* given);
  /// Of float64, and any shape.
  Tensor doubles(const char* name, const rank_relax_tensor* given);
  /// Of that dtype and shape. `of` is whose shape it is, for the sentence.
  Tensor items(const char* name, const rank_relax_tensor* given, Dtype dtype,
               const std::vector<int64_t>& shape, const char* of);
  Tensor like(const char* name, const rank_relax_tensor* given, const Tensor& values) {
    return items(name, given, values.dtype(), values.shape(), values.name());
  }
  /// One that is written: row-major, in memory that no argument before it has a part in.
  Tensor output(const char* name, const rank_relax_tensor* given, Dtype dtype,
                const std::vector<int64_t>& shape, const char* of);
  Tensor output_like(const char* name, const rank_relax_tensor* given, const Tensor& values) {
    return output(name, given, values.dtype(), values.shape(), values.name());
  }

  /// Takes in the mask and the offsets, which are those of the lists of `values`.
  void set_lists(const Tensor& values);

  /// [...], or [L] with offsets: the shape of what there is one of for each list.
  const std::vector<int64_t>& shape_of_lists() const { return shape_of_lists_; }
  bool is_ragged() const { return !ends_.empty(); }
  /// The same and a last dimension.
  std::vector<int64_t> shape_of_lists(int64_t size) const;

  /// body(part, parallel_for) for all lists, or for each that lies one behind the other: these side
  /// by side, but a long one has all threads to itself if `splits`. Lists without items are left
  /// out, unless `empty_too`.
  template <class Body>
  void for_each_part(bool empty_too, bool splits, const Body& body) const;
  /// For kernels that split lists by a smooth CDF, and by a projection go from list to list.
  template <class Body>
  void for_each_part(bool empty_too, const Body& body) const {
    for_each_part(empty_too, SmoothCdfs::contains(method()), body);
  }

  cpu::Rows<uint8_t> mask(const Part& part) const {
    return mask_.has_value() ? part.of(mask_->rows<uint8_t>()) : cpu::Rows<uint8_t>{};
  }

  template <class Scalar>
  cpu::SoftBatch<Scalar> batch(const Part& part, const cpu::Rows<Scalar>& input) const {
    return {{part.lists, part.size, part.of(input), mask(part)}, strength(), method()};
  }

 private:
  /// Refuses one that is not where the first one is.
  const Tensor& remembered(Tensor tensor);

  rank_relax_options options_;
  cpu::ParallelFor parallel_for_;
  std::vector<Tensor> given_;  // inputs and outputs so far
  std::optional<Tensor> mask_;
  std::vector<int64_t> ends_;  // of the lists of one row; empty: each row is one
  std::vector<int64_t> shape_, shape_of_lists_;
};

/// What a *_workspace answers.
inline void set_bytes(size_t* bytes, size_t needed) {
  if (bytes == nullptr) refuse("bytes must be where the answer goes, got NULL");
  *bytes = needed;
}

/// body(Scalar{}) with what values of that dtype are computed in.
template <class Body>
void visit_scalar(Dtype dtype, const Body& body) {
  if (dtype == Dtype::kFloat64) return body(double{});
  body(float{});
}

/// What passes between forward and backward.
inline Dtype statistics_dtype(const Tensor& values) {
  return values.dtype() == Dtype::kFloat64 ? Dtype::kFloat64 : Dtype::kFloat32;
}

/// Values in the type that they are computed in: the caller's memory, or a copy of halves.
template <class Scalar>
class Input {
 public:
  explicit Input(const Tensor& tensor) : tensor_(tensor) {
    if (tensor.dtype() == Dtype::kBFloat16) copy(from_bfloat16);
    if (tensor.dtype() == Dtype::kFloat16) copy(from_float16);
  }
  Input(const Input&) = delete;
  Input& operator=(const Input&) = delete;

  cpu::Rows<Scalar> rows() const {
    cpu::Rows<Scalar> rows = tensor_.rows<Scalar>();
    if (is_copy_) rows.data = copy_.data(), rows.strides = strides_.data();
    return rows;
  }

 private:
  void copy(float (*to_float)(uint16_t)) {
    is_copy_ = true;
    copy_.resize(static_cast<size_t>(tensor_.numel()));
    strides_ = row_major_strides(tensor_.shape());
    if (copy_.empty()) return;
    if (tensor_.dims() == 0) {
      copy_[0] = to_float(*tensor_.data<uint16_t>());
      return;
    }
    const cpu::Rows<uint16_t> halves = tensor_.rows<uint16_t>();
    Scalar* to = copy_.data();
    for (int64_t list = 0; list < tensor_.lists(); ++list) {
      const cpu::Row<uint16_t> row = halves.row(list);
      for (int64_t i = 0; i < tensor_.size(); ++i) *to++ = to_float(row[i]);
    }
  }

  const Tensor& tensor_;
  bool is_copy_ = false;
  std::vector<Scalar> copy_;
  std::vector<int64_t> strides_;
};

/// Where results are computed: the caller's memory, or what `finish` rounds to halves there.
template <class Scalar>
class Output {
 public:
  explicit Output(const Tensor& tensor) : tensor_(tensor) {
    if (bytes_of(tensor.dtype()) < sizeof(Scalar)) {
      copy_.resize(static_cast<size_t>(tensor.numel()));
    }
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Scalar* data() { return copy_.empty() ? tensor_.data<Scalar>() : copy_.data(); }

  void finish() {
    const bool brain = tensor_.dtype() == Dtype::kBFloat16;
    auto* const to = tensor_.data<uint16_t>();
    for (size_t i = 0; i < copy_.size(); ++i) {
      const auto value = static_cast<float>(copy_[i]);
      to[i] = brain ? to_bfloat16(value) : to_float16(value);
    }
  }

 private:
  const Tensor& tensor_;
  std::vector<Scalar> copy_;
};

template <class Body>
void Call::for_each_part(bool empty_too, bool splits, const Body& body) const {
  if (ends_.empty()) {
    const int64_t size = shape_.back();
    int64_t lists = 1;
    for (size_t dim = 0; dim + 1 < shape_.size(); ++dim) lists *= shape_[dim];
    if (lists > 0 && (size > 0 || empty_too)) body(Part{0, 0, lists, size}, parallel_for_);
    return;
  }
  const auto lists = static_cast<int64_t>(ends_.size()) - 1;
  const auto size = [&](int64_t list) { return ends_[list + 1] - ends_[list]; };
  cpu::RowsOverThreads{1 << 12, splits}.visit_ranges_of_any_size(
      lists, ends_.back() / std::max<int64_t>(lists, 1), size, parallel_for_,
      [&](int64_t begin, int64_t end, const cpu::ParallelFor& in_list) {
        for (int64_t list = begin; list < end; ++list) {
          if (size(list) > 0 || empty_too) body(Part{ends_[list], list, 1, size(list)}, in_list);
        }
      });
}

}  // namespace rank_relax::c
