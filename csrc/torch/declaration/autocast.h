#pragma once

#include <ATen/autocast_mode.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <tuple>
#include <utility>

#include "torch/declaration/operator.h"

// Under autocast a rank is computed and returned in float32: neighbours that half precision can
// still tell apart have ranks that it cannot. float64 stays as it is.

namespace rank_relax {

template <at::DeviceType device>
struct WithoutAutocast {
  c10::impl::ExcludeDispatchKeyGuard guard{
      c10::DispatchKeySet(at::autocast::get_autocast_dispatch_key_from_device_type(device))};
};

template <class Declared, at::DeviceType device, class Function = typename Declared::Function>
struct Autocast;

/// Calls the operator with its first arguments in float32, as many as it declares.
template <class Declared, at::DeviceType device, class Output, class... Arguments>
struct Autocast<Declared, device, Output(Arguments...)> {
  static Output in_float32(Arguments... arguments) {
    const WithoutAutocast<device> guard;
    return call(std::tie(arguments...), std::index_sequence_for<Arguments...>());
  }

 private:
  template <class Tuple, size_t... place>
  static Output call(const Tuple& arguments, std::index_sequence<place...>) {
    return Operator<Declared>()(cast<place>(std::get<place>(arguments))...);
  }

  template <int place, class Argument>
  static decltype(auto) cast(const Argument& argument) {
    if constexpr (place < Declared::autocast) {
      return at::autocast::cached_cast(at::kFloat, argument, device);
    } else {
      return (argument);
    }
  }
};

}  // namespace rank_relax
