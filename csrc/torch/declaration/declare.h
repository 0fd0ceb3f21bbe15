#pragma once

#include <torch/library.h>

#include <tuple>
#include <type_traits>

#include "torch/declaration/autocast.h"
#include "torch/declaration/kernel.h"
#include "torch/declaration/operator.h"
#include "torch/declaration/outputs.h"

namespace rank_relax {

/// A declaration but for the types of its arguments.
struct Facts {
  const char* name;
  const char* schema;
  size_t place_of_lists;
  int shared_dims;
  Elsewhere elsewhere;
};

/// The schema, and all kernels that are the same for every operator of its kind.
void declare_untyped(torch::Library& library, const Facts& facts);

/// What has been declared of it.
const Facts& facts_of(const c10::OperatorHandle& op);

template <class Declared, class = void>
constexpr bool kHasOutputs = false;

template <class Declared>
constexpr bool kHasOutputs<Declared, std::void_t<decltype(Declared::outputs)>> = true;

template <class Declared, class Function = typename Declared::Function>
struct LikeLists;

/// The outputs that most operators have.
template <class Declared, class... Arguments>
struct LikeLists<Declared, at::Tensor(Arguments...)> {
  static at::Tensor outputs(Arguments... arguments) {
    return like(std::get<place_of_lists<Declared>()>(std::tie(arguments...)));
  }
};

template <class Declared>
void declare_one(torch::Library& library) {
  declare_untyped(library, {Declared::name, Declared::schema, place_of_lists<Declared>(),
                            Declared::shared_dims, Declared::elsewhere});
  using Kernels = KernelsOf<Declared>;
  const auto add = [&](c10::DispatchKey key, auto kernel) {
    library.impl(Declared::name, torch::dispatch(key, kernel));
  };
  if constexpr (kHasOutputs<Declared>) {
    add(c10::DispatchKey::Meta, typename Kernels::template Checked<Declared::outputs>());
  } else if constexpr (Declared::elsewhere != Elsewhere::kDecomposed) {
    add(c10::DispatchKey::Meta, typename Kernels::template Checked<LikeLists<Declared>::outputs>());
  }
  if constexpr (Declared::autocast > 0) {
    add(c10::DispatchKey::AutocastCPU,
        typename Kernels::template Unchecked<Autocast<Declared, at::kCPU>::in_float32>());
    add(c10::DispatchKey::AutocastCUDA,
        typename Kernels::template Unchecked<Autocast<Declared, at::kCUDA>::in_float32>());
  }
}

/// What follows from the declarations, for a TORCH_LIBRARY_FRAGMENT in the operators' own file.
template <class... Declared>
void declare(torch::Library& library) {
  (declare_one<Declared>(library), ...);
}

}  // namespace rank_relax
