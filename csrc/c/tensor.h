#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "c/include/rank_relax.h"
#include "c/status.h"
#include "cpu/row/rows.h"
#include "cpu/sort/visit_order.h"

namespace rank_relax::c {

/// Of the items of a shape in memory, one behind the other.
std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape);

/// "[2, 3]".
std::string text_of(const std::vector<int64_t>& shape);

enum class Dtype {
  kFloat64,
  kFloat32,
  kBFloat16,
  kFloat16,
  kInt8,
  kInt16,
  kInt32,
  kInt64,
  kUint8,
  kUint16,
  kUint32,
  kUint64,
  kBool,
};

/// As Python writes it.
const char* name_of(Dtype dtype);
size_t bytes_of(Dtype dtype);
bool is_floating(Dtype dtype);
cpu::Format format_of(Dtype dtype);

/// A tensor of the caller's that has been found sound: its numbers of dimensions, sizes and
/// strides, its dtype, and that there is memory behind it.
class Tensor {
 public:
  /// Refuses one that is not; `name` is the argument's.
  Tensor(const char* name, const rank_relax_tensor* given);

  const char* name() const { return name_; }
  Dtype dtype() const { return dtype_; }
  bool is_on_cuda() const { return is_on_cuda_; }
  int32_t device_index() const { return device_index_; }  // of a CUDA device
  /// "cpu" or "cuda:0".
  std::string device() const;
  int64_t dims() const { return static_cast<int64_t>(shape_.size()); }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t numel() const { return numel_; }
  bool is_row_major() const;
  /// The stride of lists that all lie at one, in items; nothing if there is none.
  std::optional<int64_t> stride_of_lists() const;
  int64_t stride_of_items() const { return strides_.back(); }

  /// Of a tensor that has lists: the items in one, how many there are, and their batch shape.
  int64_t size() const { return shape_.back(); }
  int64_t lists() const;
  std::vector<int64_t> batch_shape() const { return {shape_.begin(), shape_.end() - 1}; }

  template <class T>
  T* data() const {
    return reinterpret_cast<T*>(data_);
  }

  /// Borrows from this.
  template <class T>
  cpu::Rows<T> rows() const {
    return {data<const T>(), shape_.data(), strides_.data(), dims()};
  }

  /// Refuses what a forward wrote row-major and is given back otherwise.
  void check_as_written() const;

  /// Whether any byte is one of both, so far as the ends of their memory tell.
  bool shares_memory_with(const Tensor& other) const;

 private:
  const char* name_;
  char* data_;
  Dtype dtype_;
  bool is_on_cuda_;
  int32_t device_index_;
  std::vector<int64_t> shape_, strides_;
  int64_t numel_;
  const char* begin_;  // of the memory that it reaches
  const char* end_;
};

}  // namespace rank_relax::c
