#pragma once

#include <string>
#include <string_view>

#include "core/cdf/smooth_cdfs.h"
#include "core/projection/permutahedron.h"

namespace rank_relax {

// Every method of a soft rank: a smooth CDF or a projection.

inline bool is_method(std::string_view name) {
  return SmoothCdfs::contains(name) || Projections::contains(name);
}

inline std::string method_names() { return SmoothCdfs::names() + ", " + Projections::names(); }

/// How many times a soft rank can be differentiated.
inline int max_order(std::string_view method) {
  int order = SmoothCdfs::kMaxOrder;
  Projections::visit(method, [&](auto projection) { order = decltype(projection)::kMaxOrder; });
  return order;
}

/// The scaled spread of a row below which its ranks are linear in its values, to rounding.
inline double linear_spread(std::string_view method) {
  double spread = 0;
  SmoothCdfs::visit(method, [&](auto cdf) { spread = decltype(cdf)::linear_spread; });
  Projections::visit(method,
                     [&](auto projection) { spread = decltype(projection)::kLinearSpread; });
  return spread;
}

}  // namespace rank_relax
