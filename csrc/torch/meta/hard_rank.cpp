#include <ATen/ops/empty.h>
#include <torch/library.h>

#include "torch/checks.h"
#include "torch/target_checks.h"

namespace rank_relax {
namespace {

at::Tensor hard_rank_meta(const at::Tensor& input, bool, bool,
                          const std::optional<at::Tensor>& mask,
                          std::optional<at::ScalarType> dtype) {
  const at::ScalarType result = rank_dtype(input, dtype);
  check_hard_rank("hard_rank", input, mask, result);
  return at::empty_symint(input.sym_sizes(), input.options().dtype(result));
}

at::Tensor centered_hard_rank_meta(const at::Tensor& input, const std::optional<at::Tensor>& mask,
                                   at::ScalarType dtype) {
  check_hard_rank("_centered_hard_rank", input, mask, dtype);
  return at::empty_symint(input.sym_sizes(), input.options().dtype(dtype));
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, Meta, library) {
  library.impl("hard_rank", hard_rank_meta);
  library.impl("_centered_hard_rank", centered_hard_rank_meta);
}

}  // namespace rank_relax
