#pragma once

#include "core/cdf/smooth_cdfs.h"

/// visit(cdf) with an object of every smooth CDF: for_each_cdf(SmoothCdfs(), ...).
template <class... Cdfs, class Visit>
void for_each_cdf(rank_relax::SmoothCdfList<Cdfs...>, const Visit& visit) {
  (visit(Cdfs()), ...);
}
