#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace rank_relax {

/// The numbers of an int64 tensor that has memory, row by row.
std::vector<int64_t> values_of(const at::Tensor& offsets);

}  // namespace rank_relax
