#pragma once

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

// A schema has no structs. Our functions take what belongs together as one, `Options` above all,
// which stands for several arguments of the schema in a row. Such a struct has
//
//     using InSchema = SchemaTypes<...>;    those arguments, in order, as the members are
//     auto parts() const;                   the members, as a tuple

namespace rank_relax {

template <class... Types>
struct SchemaTypes {};

namespace schema_types {

template <class Argument, class = void>
struct Of {
  using Types = SchemaTypes<Argument>;
  static constexpr bool is_struct = false;
};

template <class Argument>
struct Of<Argument, std::void_t<typename std::decay_t<Argument>::InSchema>> {
  using Types = typename std::decay_t<Argument>::InSchema;
  static constexpr bool is_struct = true;
};

template <class... Types>
constexpr size_t count(SchemaTypes<Types...>) {
  return sizeof...(Types);
}

template <class Argument>
constexpr size_t kWidth = count(typename Of<Argument>::Types());

/// The place in the schema of the argument of that place in the function.
template <size_t place, class... Arguments>
constexpr size_t offset() {
  constexpr size_t widths[] = {kWidth<Arguments>..., 0};
  size_t sum = 0;
  for (size_t i = 0; i < place; ++i) sum += widths[i];
  return sum;
}

template <class Output, class Done, class... Lists>
struct Joined;

template <class Output, class... Done>
struct Joined<Output, SchemaTypes<Done...>> {
  using Function = Output(Done...);
};

template <class Output, class... Done, class... Next, class... Lists>
struct Joined<Output, SchemaTypes<Done...>, SchemaTypes<Next...>, Lists...>
    : Joined<Output, SchemaTypes<Done..., Next...>, Lists...> {};

template <class Function>
struct OfFunction;

template <class Output, class... Arguments>
struct OfFunction<Output(Arguments...)>
    : Joined<Output, SchemaTypes<>, typename Of<Arguments>::Types...> {};

template <class Type, size_t offset, class Parts, size_t... part>
Type made_of(const Parts& parts, std::index_sequence<part...>) {
  return Type{std::get<offset + part>(parts)...};
}

}  // namespace schema_types

/// The function with the schema's own arguments.
template <class Function>
using InSchema = typename schema_types::OfFunction<Function>::Function;

/// An argument of a function as those of the schema, in a tuple of references.
template <class Argument>
auto apart(const Argument& argument) {
  if constexpr (schema_types::Of<Argument>::is_struct) {
    return argument.parts();
  } else {
    return std::tie(argument);
  }
}

/// The function's argument that begins at `offset` among the schema's.
template <class Argument, size_t offset, class Parts>
decltype(auto) together(const Parts& parts) {
  if constexpr (schema_types::Of<Argument>::is_struct) {
    return schema_types::made_of<std::decay_t<Argument>, offset>(
        parts, std::make_index_sequence<schema_types::kWidth<Argument>>());
  } else {
    return std::get<offset>(parts);
  }
}

}  // namespace rank_relax
