#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/library.h>

#include "torch/operators.h"
#include "torch/target_operators.h"

// Under autocast a rank is computed and returned in float32: neighbours that half precision can
// still tell apart have ranks that it cannot. float64 stays as it is.

namespace rank_relax {
namespace {

template <at::DeviceType device>
at::Tensor soft_rank(const at::Tensor& input, double regularization_strength,
                     std::string_view method, const std::optional<at::Tensor>& mask) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device)));
  return operators::soft_rank()(at::autocast::cached_cast(at::kFloat, input, device),
                                {regularization_strength, method, mask});
}

template <at::DeviceType device>
at::Tensor soft_sort(const at::Tensor& input, double regularization_strength,
                     std::string_view method, const std::optional<at::Tensor>& mask) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device)));
  return operators::soft_sort()(at::autocast::cached_cast(at::kFloat, input, device),
                                {regularization_strength, method, mask});
}

/// Of soft_quantile and soft_topk; `level` says which quantile, or how many items.
template <at::DeviceType device, const auto& (*op)()>
at::Tensor at_level(const at::Tensor& input, const at::Tensor& level,
                    double regularization_strength, std::string_view method,
                    const std::optional<at::Tensor>& mask) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device)));
  return op()(at::autocast::cached_cast(at::kFloat, input, device), level,
              {regularization_strength, method, mask});
}

template <at::DeviceType device>
at::Tensor spearman_loss(const at::Tensor& predictions, const at::Tensor& targets,
                         double regularization_strength, std::string_view method,
                         const std::optional<at::Tensor>& mask, std::string_view target_ranks) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device)));
  return operators::spearman_loss().call(at::autocast::cached_cast(at::kFloat, predictions, device),
                                         at::autocast::cached_cast(at::kFloat, targets, device),
                                         regularization_strength, method, mask, target_ranks);
}

/// Compares items as they are; only the ranks are in float32.
template <at::DeviceType device>
at::Tensor hard_rank(const at::Tensor& input, bool descending, bool normalize,
                     const std::optional<at::Tensor>& mask, std::optional<at::ScalarType> dtype) {
  const c10::impl::ExcludeDispatchKeyGuard no_autocast(
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device)));
  const bool half = input.scalar_type() == at::kHalf || input.scalar_type() == at::kBFloat16;
  if (half && !dtype.has_value()) dtype = at::kFloat;
  return operators::hard_rank().call(input, descending, normalize, mask, dtype);
}

}  // namespace

TORCH_LIBRARY_IMPL(rank_relax, AutocastCPU, library) {
  library.impl("soft_rank", soft_rank<at::kCPU>);
  library.impl("soft_sort", soft_sort<at::kCPU>);
  library.impl("soft_quantile", at_level<at::kCPU, operators::soft_quantile>);
  library.impl("soft_topk", at_level<at::kCPU, operators::soft_topk>);
  library.impl("spearman_loss", spearman_loss<at::kCPU>);
  library.impl("hard_rank", hard_rank<at::kCPU>);
}

TORCH_LIBRARY_IMPL(rank_relax, AutocastCUDA, library) {
  library.impl("soft_rank", soft_rank<at::kCUDA>);
  library.impl("soft_sort", soft_sort<at::kCUDA>);
  library.impl("soft_quantile", at_level<at::kCUDA, operators::soft_quantile>);
  library.impl("soft_topk", at_level<at::kCUDA, operators::soft_topk>);
  library.impl("spearman_loss", spearman_loss<at::kCUDA>);
  library.impl("hard_rank", hard_rank<at::kCUDA>);
}

}  // namespace rank_relax
