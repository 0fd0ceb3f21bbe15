#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/cdf/smooth_cdfs.h"
#include "plain_cdf.h"

/// What a function makes of the plain formulas of the CDF of that name.
template <class Function>
long double of_plain_cdf(const std::string& name, const Function& function) {
  long double result = 0;
  if (!rank_relax::SmoothCdfs::visit(
          name, [&](auto cdf) { result = function(PlainCdf<decltype(cdf)>()); })) {
    std::printf("FAILED: no CDF is called %s\n", name.c_str());
    std::exit(EXIT_FAILURE);
  }
  return result;
}
