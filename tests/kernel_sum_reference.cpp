#include "kernel_sum_reference.h"

#include <cstdio>
#include <cstdlib>

#include "core/cdf/capabilities.h"
#include "core/cdf/smooth_cdfs.h"
#include "plain_cdf.h"

PairSums sums_of_pairs(const char* cdf, const FiniteItems& row, int64_t item) {
  PairSums sums;
  const bool is_known = rank_relax::SmoothCdfs::visit(cdf, [&](auto which) {
    using Cdf = decltype(which);
    const PlainCdf<Cdf> plain_cdf;
    // Beyond, F is 0 or 1 and its derivatives 0, to the last bit of a double.
    const long double farthest = rank_relax::kFallsExponentially<Cdf> ? 50 : 1e1000L;
    for (int64_t p = 0; p < row.count; ++p) {
      const int64_t j = row.items[p];
      const long double scaled =
          (static_cast<long double>(row.values[item]) - row.values[j]) * row.strength;
      const PlainKernels plain = plain_cdf.at(std::clamp(scaled, -farthest, farthest));
      const long double v = static_cast<long double>(row.v[item]) - row.v[j];
      const long double w = static_cast<long double>(row.w[item]) - row.w[j];
      sums.count += 0.5L + plain.centered;  // few of a count round nothing, half of all would
      sums.first += v * plain.first;
      sums.second += v * w * plain.second;
      sums.mass += plain.first;
      sums.curvature += std::abs(plain.second);
    }
  });
  if (!is_known) {
    std::printf("FAILED: no CDF is called %s\n", cdf);
    std::exit(EXIT_FAILURE);
  }
  return sums;
}
