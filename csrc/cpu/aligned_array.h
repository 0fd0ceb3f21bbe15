#pragma once

#include <cstddef>
#include <cstdint>
#include <new>

namespace rank_relax::cpu {

/// Uninitialised memory for some Ts, from the start of a cache line on, so that vectors don't
/// straddle two. Grows as asked, and then forgets what it held.
template <class T>
class AlignedArray {
  static constexpr std::align_val_t kCacheLine{64};

 public:
  AlignedArray() = default;
  AlignedArray(const AlignedArray&) = delete;
  AlignedArray& operator=(const AlignedArray&) = delete;
  ~AlignedArray() { ::operator delete(items_, kCacheLine); }

  void make_room(int64_t count) {
    if (count <= room_) return;
    ::operator delete(items_, kCacheLine);
    items_ = nullptr;
    room_ = 0;
    items_ = static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), kCacheLine));
    room_ = count;
  }

  T* data() { return items_; }
  const T* data() const { return items_; }

 private:
  T* items_ = nullptr;
  int64_t room_ = 0;
};

}  // namespace rank_relax::cpu
