#pragma once

#include <string>
#include <string_view>

namespace rank_relax {

/// Methods that a name may stand for: types with a static member `name`.
template <class... Methods>
struct MethodList {
  /// Calls visitor(Method{}) for the one of that name; false, and nothing is called, if there is
  /// none.
  template <class Visitor>
  static bool visit(std::string_view name, const Visitor& visitor) {
    return ((name == Methods::name && (visitor(Methods{}), true)) || ...);
  }

  static bool contains(std::string_view name) { return ((name == Methods::name) || ...); }

  /// "'first', 'second'", for messages.
  static std::string names() {
    std::string list;
    ((list += (list.empty() ? "'" : ", '") + std::string(Methods::name) + "'"), ...);
    return list;
  }
};

}  // namespace rank_relax
