#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <string>
#include <string_view>
#include <tuple>

#include "torch/declaration/options.h"
#include "torch/declaration/schema_types.h"

// Every operator is one struct, in the file of torch/operators that is named after the public one
// which it belongs to:
//
//     struct SoftRank : Declaration {
//       static constexpr auto name = "soft_rank";
//       static constexpr auto schema = "(Tensor input, ...) -> Tensor";
//       static constexpr auto elsewhere = ...;                    where there is no kernel of ours
//       using Function = Tensor(const Tensor& input, const Options& options);
//       static Check<Function> check;                             throws; before every kernel
//       static Function outputs;                                  the Meta kernel, if they are not
//                                                                 one tensor like the lists
//     };
//     inline constexpr Operator<SoftRank> soft_rank{};            calls it through the dispatcher
//
// and `declare` (torch/declaration/declare.h) makes of it what the dispatcher, autocast, both kinds
// of vmap and Python know. Kernels come with `kernel` and `autograd_kernel` (kernel.h), each from a
// file of the operator's name in a folder of the dispatch key's.

namespace rank_relax {

/// How an operator is computed on devices that we have no kernel for.
enum class Elsewhere {
  kDecomposed,       // as other operators, on every device and for every transformation
  kTensorOperators,  // by torch/any_device, of operators that every backend and ONNX have
  kOnTheHost,        // by the CPU's kernel, with copies there and back
  kNowhere,          // not at all, CUDA included
};

/// What holds of most operators.
struct Declaration {
  /// The argument that is a batch of lists; all other tensors have its batch shape in front.
  static constexpr auto lists = "input";
  /// If the second argument may be one for all lists: its dimensions then.
  static constexpr int shared_dims = -1;
  /// So many of the first arguments are cast to float32 under autocast.
  static constexpr int autocast = 0;
};

/// The place of the lists among the arguments of schema and function, before which there are only
/// tensors.
template <class Declared>
constexpr size_t place_of_lists() {
  const std::string_view schema = Declared::schema, lists = Declared::lists;
  size_t place = 0, begin = 1;
  for (size_t end = schema.find_first_of(",)"); end != schema.npos;
       end = schema.find_first_of(",)", begin)) {
    const std::string_view argument = schema.substr(begin, end - begin);
    if (argument.substr(argument.rfind(' ') + 1) == lists) return place;
    begin = end + 1;
    ++place;
  }
  return place;  // of no argument
}

template <class Function>
struct CheckOf;

template <class Output, class... Arguments>
struct CheckOf<Output(Arguments...)> {
  using Type = void(Arguments...);
};

template <class Function>
using Check = typename CheckOf<Function>::Type;

template <class Declared, class Function = typename Declared::Function>
class Operator;

/// Calls the declared operator.
template <class Declared, class Output, class... Arguments>
class Operator<Declared, Output(Arguments...)> {
 public:
  Output operator()(Arguments... arguments) const {
    return std::apply([](const auto&... parts) { return handle().call(parts...); },
                      std::tuple_cat(apart(arguments)...));
  }

  Output redispatch(c10::DispatchKeySet keys, Arguments... arguments) const {
    return std::apply([&](const auto&... parts) { return handle().redispatch(keys, parts...); },
                      std::tuple_cat(apart(arguments)...));
  }

 private:
  static const auto& handle() {
    static const auto found =
        c10::Dispatcher::singleton()
            .findSchemaOrThrow((std::string("rank_relax::") + Declared::name).c_str(), "")
            .template typed<InSchema<Output(Arguments...)>>();
    return found;
  }
};

}  // namespace rank_relax
