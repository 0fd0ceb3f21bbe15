#include "cpu/soft_rank.h"

#include <algorithm>
#include <array>

#include "core/smooth_cdf.h"
#include "cpu/for_each_row.h"

namespace rank_relax::cpu {

template <class Scalar>
void soft_rank(const Batch<Scalar>& batch, double regularization_strength, std::string_view method,
               Scalar* output, const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    for_each_row(batch, parallel_for, [&](int64_t row, RowSum<Scalar>& row_sum) {
      Scalar* ranks = output + row * batch.size;
      const double half = row_sum.counted() > 1 ? 0.5 : 0;
      row_sum.template centered_ranks<decltype(cdf)>(
          regularization_strength, [=](int64_t i, Kind kind, double centered) {
            const double rank = std::clamp(centered + half, 0.0, 1.0);
            ranks[i] = static_cast<Scalar>(kind == Kind::kMasked ? 0 : rank);
          });
    });
  });
}

template <class Scalar>
void soft_rank_derivative(const Batch<Scalar>& batch, const Rows<Scalar>* directions, int order,
                          double regularization_strength, std::string_view method, Scalar* output,
                          const ParallelFor& parallel_for) {
  SmoothCdfs::visit(method, [&](auto cdf) {
    using Cdf = decltype(cdf);
    for_each_row(batch, parallel_for, [&](int64_t row, RowSum<Scalar>& row_sum) {
      const auto write = [derivative = output + row * batch.size](int64_t i, Kind, double value) {
        derivative[i] = static_cast<Scalar>(value);
      };
      if (order == 0) {
        row_sum.template centered_ranks<Cdf>(regularization_strength, write);
        return;
      }
      std::array<Row<Scalar>, SmoothCdfs::kMaxOrder> rows;
      for (int l = 0; l < order; ++l) rows[l] = directions[l].row(row);
      row_sum.template derivative<Cdf>(regularization_strength, rows.data(), order, write);
    });
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                       \
  template void soft_rank(const Batch<Scalar>&, double, std::string_view, Scalar*,           \
                          const ParallelFor&);                                               \
  template void soft_rank_derivative(const Batch<Scalar>&, const Rows<Scalar>*, int, double, \
                                     std::string_view, Scalar*, const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
