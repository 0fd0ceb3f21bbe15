#pragma once

#include <string>
#include <string_view>

#include "core/gaussian.h"
#include "core/sigmoid.h"

namespace rank_relax {

/// The smooth CDFs that a method name may stand for. A new one is a file beside sigmoid.h that
/// gives the same members, and its name here.
template <class... Cdfs>
struct SmoothCdfList {
  /// Calls visitor(Cdf{}) for the CDF of that name; false, and nothing is called, if there is none.
  template <class Visitor>
  static bool visit(std::string_view name, const Visitor& visitor) {
    return ((name == Cdfs::name && (visitor(Cdfs{}), true)) || ...);
  }

  static bool contains(std::string_view name) { return ((name == Cdfs::name) || ...); }

  /// "'first', 'second'", for messages.
  static std::string names() {
    std::string list;
    ((list += (list.empty() ? "'" : ", '") + std::string(Cdfs::name) + "'"), ...);
    return list;
  }

  static constexpr int kMaxOrder = [] {
    int order = 1 << 30;
    ((order = Cdfs::Derivative::kMaxOrder < order ? Cdfs::Derivative::kMaxOrder : order), ...);
    return order;
  }();
};

using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian>;

}  // namespace rank_relax
