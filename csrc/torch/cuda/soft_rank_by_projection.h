#pragma once

#include <string_view>

#include "cuda/soft_rank.h"

namespace rank_relax {

/// What `problem` asks for with a method of core/projection/permutahedron.h in a kernel sum's
/// place. Enqueues on the current stream, with working memory of the caching allocator.
void run_rank_by_projection(const cuda::KernelSum& problem, std::string_view method);

}  // namespace rank_relax
