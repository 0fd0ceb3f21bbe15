#pragma once

#include "core/gaussian.h"
#include "core/method_list.h"
#include "core/sigmoid.h"

namespace rank_relax {

/// The smooth CDFs that a method name may stand for. A new one is a file beside sigmoid.h that
/// gives the same members, and its name here.
template <class... Cdfs>
struct SmoothCdfList : MethodList<Cdfs...> {
  static constexpr int kMaxOrder = [] {
    int order = 1 << 30;
    ((order = Cdfs::Derivative::kMaxOrder < order ? Cdfs::Derivative::kMaxOrder : order), ...);
    return order;
  }();
};

using SmoothCdfs = SmoothCdfList<Sigmoid, Gaussian>;

}  // namespace rank_relax
