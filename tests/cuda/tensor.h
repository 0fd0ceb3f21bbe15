#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "cuda/launch/items.h"

using rank_relax::cuda::Items;
using rank_relax::cuda::Storage;
using Row = std::vector<double>;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

inline size_t bytes_of(Storage storage) {
  if (storage == Storage::kFloat64) return 8;
  if (storage == Storage::kByte) return 1;
  return storage == Storage::kFloat32 ? 4 : 2;
}

/// Values in one of the dtypes, at a stride, as a kernel sees them.
struct Tensor {
  Storage storage;
  int64_t size, stride;
  std::vector<uint64_t> words;

  Tensor(Storage storage, const Row& values, int64_t stride = 1)
      : storage(storage),
        size(static_cast<int64_t>(values.size())),
        stride(stride),
        words(values.size() * stride + 1) {
    for (int64_t i = 0; i < size; ++i) {
      if (storage == Storage::kByte) {
        reinterpret_cast<uint8_t*>(words.data())[i * stride] = values[i] != 0 ? 2 : 0;
      } else {
        rank_relax::cuda::store({words.data(), storage}, i * stride, values[i]);
      }
    }
  }

  void* data() { return words.data(); }
  rank_relax::cuda::Results results() { return {words.data(), storage}; }
  Items items(int64_t row_size) const { return {words.data(), storage, row_size * stride, stride}; }

  Row values() const {
    Row result(size);
    for (int64_t i = 0; i < size; ++i) {
      result[i] = storage == Storage::kFloat64 ? rank_relax::cuda::load<double>(items(0), 0, i)
                                               : rank_relax::cuda::load<float>(items(0), 0, i);
    }
    return result;
  }
};
