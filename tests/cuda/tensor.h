#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "cuda/items.h"

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

/// Values in one of the dtypes, as a kernel sees them.
struct Tensor {
  Storage storage;
  std::vector<uint64_t> words;
  int64_t size;

  Tensor(Storage storage, const Row& values)
      : storage(storage), words(values.size() + 1), size(static_cast<int64_t>(values.size())) {
    for (size_t i = 0; i < values.size(); ++i) {
      if (storage == Storage::kByte) {
        reinterpret_cast<uint8_t*>(words.data())[i] = values[i] != 0 ? 2 : 0;
      } else {
        rank_relax::cuda::store({words.data(), storage}, static_cast<int64_t>(i), values[i]);
      }
    }
  }

  void* data() { return words.data(); }
  Items items(int64_t row_size) { return {words.data(), storage, row_size, 1}; }

  Row values() {
    Row result(size);
    for (int64_t i = 0; i < size; ++i) {
      result[i] = storage == Storage::kFloat64 ? rank_relax::cuda::load<double>(items(0), 0, i)
                                               : rank_relax::cuda::load<float>(items(0), 0, i);
    }
    return result;
  }
};
