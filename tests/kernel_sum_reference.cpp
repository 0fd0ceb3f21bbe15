#include "kernel_sum_reference.h"

#include "plain_cdf_by_name.h"

PairSums sums_of_pairs(const char* cdf, const FiniteItems& row, int64_t item) {
  PairSums sums;
  of_plain_cdf(cdf, [&](auto plain_cdf) {
    for (int64_t p = 0; p < row.count; ++p) {
      const int64_t j = row.items[p];
      // Beyond, F is 0 or 1 and its derivatives 0, to the last bit of a double.
      const long double scaled =
          (static_cast<long double>(row.values[item]) - row.values[j]) * row.strength;
      const PlainKernels plain = plain_cdf.at(std::clamp(scaled, -50.0L, 50.0L));
      const long double v = static_cast<long double>(row.v[item]) - row.v[j];
      const long double w = static_cast<long double>(row.w[item]) - row.w[j];
      sums.count += 0.5L + plain.centered;  // few of a count round nothing, half of all would
      sums.first += v * plain.first;
      sums.second += v * w * plain.second;
      sums.mass += plain.first;
      sums.curvature += std::abs(plain.second);
    }
    return 0;
  });
  return sums;
}
