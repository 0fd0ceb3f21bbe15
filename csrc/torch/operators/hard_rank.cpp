#include "torch/operators/hard_rank.h"

#include <c10/core/DefaultDtype.h>
#include <c10/core/ScalarType.h>
#include <c10/util/Exception.h>
#include <torch/library.h>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/autocast.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

void check_ranked(const char* op, const Tensor& input, const std::optional<Tensor>& mask,
                  at::ScalarType dtype) {
  check_real(op, "input", input);
  check_mask(op, mask, "input", input);
  TORCH_CHECK_TYPE(is_floating(dtype), op,
                   ": dtype must be float64, float32, bfloat16 or float16, got ", name_of(dtype));
}

/// Compares items as they are; only the ranks are in float32.
template <at::DeviceType device>
Tensor hard_rank_under_autocast(const Tensor& input, bool descending, bool normalize,
                                const std::optional<Tensor>& mask,
                                std::optional<at::ScalarType> dtype) {
  const WithoutAutocast<device> guard;
  const bool half = input.scalar_type() == at::kHalf || input.scalar_type() == at::kBFloat16;
  if (half && !dtype.has_value()) dtype = at::kFloat;
  return hard_rank(input, descending, normalize, mask, dtype);
}

}  // namespace

at::ScalarType HardRank::result_dtype(const Tensor& input, std::optional<at::ScalarType> dtype) {
  if (dtype.has_value()) return *dtype;
  return is_integer(input.scalar_type()) ? c10::get_default_dtype_as_scalartype()
                                         : input.scalar_type();
}

void HardRank::check(const Tensor& input, bool, bool, const std::optional<Tensor>& mask,
                     std::optional<at::ScalarType> dtype) {
  check_ranked(name, input, mask, result_dtype(input, dtype));
}

Tensor HardRank::outputs(const Tensor& input, bool, bool, const std::optional<Tensor>&,
                         std::optional<at::ScalarType> dtype) {
  return like(input, result_dtype(input, dtype));
}

void CenteredHardRank::check(const Tensor& input, const std::optional<Tensor>& mask,
                             at::ScalarType dtype) {
  check_ranked(name, input, mask, dtype);
}

Tensor CenteredHardRank::outputs(const Tensor& input, const std::optional<Tensor>&,
                                 at::ScalarType dtype) {
  return like(input, dtype);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<HardRank, CenteredHardRank>(library);
  library.impl(HardRank::name, torch::dispatch(c10::DispatchKey::AutocastCPU,
                                               TORCH_FN(hard_rank_under_autocast<at::kCPU>)));
  library.impl(HardRank::name, torch::dispatch(c10::DispatchKey::AutocastCUDA,
                                               TORCH_FN(hard_rank_under_autocast<at::kCUDA>)));
}

}  // namespace rank_relax::operators
