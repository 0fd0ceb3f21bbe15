#pragma once

#include <cstddef>

#include "core/host_device.h"

namespace rank_relax::cuda {

/// Parts of device memory begin at multiples of 256 bytes, as allocations do.
RANK_RELAX_HOST_DEVICE constexpr size_t aligned(size_t bytes) { return (bytes + 255) / 256 * 256; }

/// Gives out parts of one piece of device memory. From null on it finds how much they take.
class DeviceMemory {
 public:
  explicit DeviceMemory(void* begin) : begin_(static_cast<char*>(begin)) {}

  template <class T>
  T* take(size_t count) {
    char* const taken = begin_ + used_;
    used_ += aligned(count * sizeof(T));
    return reinterpret_cast<T*>(taken);
  }

  size_t used() const { return used_; }

 private:
  char* begin_;
  size_t used_ = 0;
};

}  // namespace rank_relax::cuda
