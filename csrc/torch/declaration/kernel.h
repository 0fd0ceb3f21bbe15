#pragma once

#include <torch/library.h>

#include <tuple>
#include <utility>

#include "torch/declaration/operator.h"

namespace rank_relax {

template <class Declared, class Function = typename Declared::Function,
          class Schema = InSchema<typename Declared::Function>>
struct KernelsOf;

/// Functions of the operator's own arguments as functions of the schema's.
template <class Declared, class Output, class... Arguments, class... Parts>
struct KernelsOf<Declared, Output(Arguments...), Output(Parts...)> {
  /// Checks the arguments, then calls the function.
  template <auto function>
  static Output checked(Parts... parts) {
    return call(
        [](Arguments... arguments) {
          Declared::check(arguments...);
          return function(arguments...);
        },
        std::tie(parts...), std::index_sequence_for<Arguments...>());
  }

  template <auto function>
  static Output unchecked(Parts... parts) {
    return call([](Arguments... arguments) { return function(arguments...); }, std::tie(parts...),
                std::index_sequence_for<Arguments...>());
  }

  template <auto function>
  static Output with_keys(c10::DispatchKeySet keys, Parts... parts) {
    return call([keys](Arguments... arguments) { return function(keys, arguments...); },
                std::tie(parts...), std::index_sequence_for<Arguments...>());
  }

  template <auto function>
  using Checked = c10::CompileTimeFunctionPointer<Output(Parts...), checked<function>>;

  template <auto function>
  using Unchecked = c10::CompileTimeFunctionPointer<Output(Parts...), unchecked<function>>;

  template <auto function>
  using WithKeys =
      c10::CompileTimeFunctionPointer<Output(c10::DispatchKeySet, Parts...), with_keys<function>>;

 private:
  template <class Function, class Tuple, size_t... place>
  static Output call(const Function& function, const Tuple& parts, std::index_sequence<place...>) {
    return function(together<Arguments, schema_types::offset<place, Arguments...>()>(parts)...);
  }
};

/// Makes the function, of the declared arguments, the operator's kernel for the library's dispatch
/// key; it is called with arguments that have passed the check.
template <class Declared, auto function>
void kernel(torch::Library& library) {
  library.impl(Declared::name, typename KernelsOf<Declared>::template Checked<function>());
}

/// A function of the dispatch keys and of the declared arguments, which nobody has checked yet:
/// that is the kernel's task, to which it redispatches.
template <class Declared, auto function>
void autograd_kernel(torch::Library& library) {
  library.impl(Declared::name, typename KernelsOf<Declared>::template WithKeys<function>());
}

}  // namespace rank_relax
