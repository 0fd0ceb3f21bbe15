#pragma once

#include <cstdint>
#include <type_traits>

#include "core/half_precision.h"
#include "core/host_device.h"

namespace rank_relax::cuda {

/// How the items of a tensor are stored.
enum class Storage { kFloat64, kFloat32, kBFloat16, kFloat16, kByte };

/// A batch of rows in device memory at any strides, in elements.
struct Items {
  const void* data = nullptr;  // null: absent
  Storage storage = Storage::kFloat32;
  int64_t row_stride = 0;
  int64_t item_stride = 0;
};

/// The item as a Scalar: double for float64, float for the others.
template <class Scalar>
RANK_RELAX_HOST_DEVICE inline Scalar load(const Items& items, int64_t row, int64_t i) {
  const int64_t at = row * items.row_stride + i * items.item_stride;
  if constexpr (std::is_same_v<Scalar, double>) {
    return static_cast<const double*>(items.data)[at];
  } else {
    if (items.storage == Storage::kFloat32) return static_cast<const float*>(items.data)[at];
    const uint16_t half = static_cast<const uint16_t*>(items.data)[at];
    return items.storage == Storage::kBFloat16 ? from_bfloat16(half) : from_float16(half);
  }
}

/// As bytes: a bool tensor that is a view of bytes may hold more than 0 and 1.
RANK_RELAX_HOST_DEVICE inline bool is_masked(const Items& mask, int64_t row, int64_t i) {
  if (mask.data == nullptr) return false;
  const int64_t at = row * mask.row_stride + i * mask.item_stride;
  return static_cast<const uint8_t*>(mask.data)[at] == 0;
}

/// Where results go, contiguous.
struct Results {
  void* data = nullptr;
  Storage storage = Storage::kFloat32;
};

RANK_RELAX_HOST_DEVICE inline void store(const Results& results, int64_t at, double value) {
  switch (results.storage) {
    case Storage::kFloat64:
      static_cast<double*>(results.data)[at] = value;
      break;
    case Storage::kBFloat16:
      static_cast<uint16_t*>(results.data)[at] = to_bfloat16(static_cast<float>(value));
      break;
    case Storage::kFloat16:
      static_cast<uint16_t*>(results.data)[at] = to_float16(static_cast<float>(value));
      break;
    default:
      static_cast<float*>(results.data)[at] = static_cast<float>(value);
  }
}

}  // namespace rank_relax::cuda
