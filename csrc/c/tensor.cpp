#include "c/tensor.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <limits>
#include <optional>

#include "c/on_cuda.h"
#include "core/refusals.h"

namespace rank_relax::c {
namespace {

using refusal::sentence;

// Types of devices, of DLPack.
constexpr int32_t kCpu = 1, kCuda = 2, kPinned = 3, kManaged = 13;
constexpr int32_t kMostDims = 64;

/// A dtype as DLPack has it, and how its items are stored.
struct Description {
  Dtype dtype;
  uint8_t code, bits;
  cpu::Format format;
  const char* name;
};

constexpr uint8_t kSigned = 0, kUnsigned = 1, kFloating = 2, kBfloat = 4, kBoolean = 6;  // DLPack's

// In the order of Dtype.
constexpr Description kDescriptions[] = {
    {Dtype::kFloat64, kFloating, 64, cpu::Format::kFloat, "float64"},
    {Dtype::kFloat32, kFloating, 32, cpu::Format::kFloat, "float32"},
    {Dtype::kBFloat16, kBfloat, 16, cpu::Format::kBFloat, "bfloat16"},
    {Dtype::kFloat16, kFloating, 16, cpu::Format::kFloat, "float16"},
    {Dtype::kInt8, kSigned, 8, cpu::Format::kSigned, "int8"},
    {Dtype::kInt16, kSigned, 16, cpu::Format::kSigned, "int16"},
    {Dtype::kInt32, kSigned, 32, cpu::Format::kSigned, "int32"},
    {Dtype::kInt64, kSigned, 64, cpu::Format::kSigned, "int64"},
    {Dtype::kUint8, kUnsigned, 8, cpu::Format::kUnsigned, "uint8"},
    {Dtype::kUint16, kUnsigned, 16, cpu::Format::kUnsigned, "uint16"},
    {Dtype::kUint32, kUnsigned, 32, cpu::Format::kUnsigned, "uint32"},
    {Dtype::kUint64, kUnsigned, 64, cpu::Format::kUnsigned, "uint64"},
    {Dtype::kBool, kBoolean, 8, cpu::Format::kBool, "bool"},
};

const Description& description_of(Dtype dtype) { return kDescriptions[static_cast<size_t>(dtype)]; }

Dtype dtype_of(const char* name, const rank_relax_tensor& given) {
  for (const Description& known : kDescriptions) {
    if (given.dtype.code == known.code && given.dtype.bits == known.bits &&
        given.dtype.lanes == 1) {
      return known.dtype;
    }
  }
  refuse(sentence(name, " has no dtype that is known here: code ", int{given.dtype.code}, ", ",
                  int{given.dtype.bits}, " bits, ", given.dtype.lanes, " lanes"));
}

std::optional<int64_t> product(int64_t a, int64_t b) {
  int64_t result = 0;
  if (__builtin_mul_overflow(a, b, &result)) return std::nullopt;
  return result;
}

}  // namespace

std::vector<int64_t> row_major_strides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size(), 1);
  for (size_t dim = shape.size(); dim-- > 1;) strides[dim - 1] = strides[dim] * shape[dim];
  return strides;
}

std::string text_of(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t dim = 0; dim < shape.size(); ++dim) {
    text += (dim > 0 ? ", " : "") + std::to_string(shape[dim]);
  }
  return text + "]";
}

const char* name_of(Dtype dtype) { return description_of(dtype).name; }

size_t bytes_of(Dtype dtype) { return description_of(dtype).bits / 8; }

cpu::Format format_of(Dtype dtype) { return description_of(dtype).format; }

bool is_floating(Dtype dtype) { return dtype <= Dtype::kFloat16; }

Tensor::Tensor(const char* name, const rank_relax_tensor* given) : name_(name) {
  if (given == nullptr) refuse(sentence(name, " must be a tensor, got NULL"));
  if (given->ndim < 0 || given->ndim > kMostDims) {
    refuse(sentence(name, " must have 0 to ", kMostDims, " dimensions, got ndim ", given->ndim));
  }
  if (given->ndim > 0 && given->shape == nullptr) {
    refuse(sentence(name, " has dimensions, but its shape is NULL"));
  }
  const int32_t device = given->device.type;
  is_on_cuda_ = device == kCuda || device == kManaged;
  device_index_ = given->device.id;
  if (is_on_cuda_ && !on_cuda::is_built()) {
    unsupported(sentence(name,
                         " is on a CUDA device, and this library was built without CUDA; build it "
                         "with -DRANK_RELAX_CUDA=ON"));
  }
  if (!is_on_cuda_ && device != kCpu && device != kPinned) {
    unsupported(sentence(name, " is on a device of type ", device,
                         ", not on a CPU (1) or a CUDA device (2)"));
  }
  dtype_ = dtype_of(name, *given);
  shape_.assign(given->shape, given->shape + given->ndim);
  strides_.resize(shape_.size());
  const auto item = static_cast<int64_t>(bytes_of(dtype_));
  int64_t row_major = 1;   // the stride of the next dimension outwards
  int64_t most_items = 1;  // as if no size were 0: products of some sizes alone fit too
  bool fits = true;
  for (size_t dim = shape_.size(); dim-- > 0;) {
    if (shape_[dim] < 0) {
      refuse(sentence(name, " must have no negative size, got shape ", text_of(shape_)));
    }
    strides_[dim] = given->strides == nullptr ? row_major : given->strides[dim];
    const auto larger = product(most_items, std::max<int64_t>(shape_[dim], 1));
    fits = fits && larger.has_value();
    most_items = larger.value_or(1);
    row_major = fits ? row_major * shape_[dim] : 0;
  }
  numel_ = row_major;
  if (numel_ == 0) std::fill(strides_.begin(), strides_.end(), 0);  // whatever they were
  // The furthest items on both sides, in bytes from the first.
  int64_t least = 0, most = 0;
  for (size_t dim = 0; dim < shape_.size() && numel_ > 0; ++dim) {
    const auto items = product(shape_[dim] - 1, strides_[dim]);
    const auto reach = items.has_value() ? product(*items, item) : std::nullopt;
    int64_t& side = reach.value_or(0) < 0 ? least : most;
    fits = fits && reach.has_value() && !__builtin_add_overflow(side, reach.value_or(0), &side);
  }
  fits = fits && product(numel_, item).has_value() &&
         most <= std::numeric_limits<int64_t>::max() - item;
  if (!fits) refuse(sentence(name, " is larger than memory can be, shape ", text_of(shape_)));
  if (numel_ > 0 && given->data == nullptr) {
    refuse(sentence(name, " must have data, got NULL for shape ", text_of(shape_)));
  }
  data_ = given->data == nullptr ? nullptr : static_cast<char*>(given->data) + given->byte_offset;
  if (reinterpret_cast<uintptr_t>(data_) % bytes_of(dtype_) != 0) {
    refuse(sentence(name, " must lie at a multiple of ", item, " bytes"));
  }
  begin_ = numel_ > 0 ? data_ + least : nullptr;
  end_ = numel_ > 0 ? data_ + most + item : nullptr;
}

bool Tensor::is_row_major() const {
  int64_t next = 1;
  for (size_t dim = shape_.size(); dim-- > 0;) {
    if (shape_[dim] != 1 && strides_[dim] != next) return numel_ == 0;
    next *= shape_[dim];
  }
  return true;
}

void Tensor::check_as_written() const {
  if (!is_row_major()) refuse(sentence(name_, " must be row-major, as the forward wrote it"));
}

std::optional<int64_t> Tensor::stride_of_lists() const {
  std::optional<int64_t> innermost;
  int64_t next = 0;  // the stride that a dimension further out must have
  for (size_t dim = shape_.size() - 1; dim-- > 0;) {
    if (shape_[dim] == 1) continue;
    if (innermost.has_value() && strides_[dim] != next) return std::nullopt;
    if (!innermost.has_value()) innermost = strides_[dim];
    next = strides_[dim] * shape_[dim];
  }
  return innermost.value_or(0);
}

std::string Tensor::device() const {
  return is_on_cuda_ ? "cuda:" + std::to_string(device_index_) : "cpu";
}

int64_t Tensor::lists() const {
  int64_t count = 1;
  for (size_t dim = 0; dim + 1 < shape_.size(); ++dim) count *= shape_[dim];
  return count;
}

bool Tensor::shares_memory_with(const Tensor& other) const {
  const std::less<> before;
  return before(begin_, other.end_) && before(other.begin_, end_);
}

}  // namespace rank_relax::c
