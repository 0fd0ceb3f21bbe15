#pragma once

#include <torch/library.h>

namespace rank_relax {

/// The kernel of every operator for the dispatch key through which
/// torch.autograd.grad(is_grads_batched=True) batches, and what is built on it; it is older than
/// torch.func's (rank_relax/_vmap.py). Operators keep the batch shape, so a batched dimension is
/// one more of it, in front.
torch::CppFunction for_batched_gradients();

}  // namespace rank_relax
