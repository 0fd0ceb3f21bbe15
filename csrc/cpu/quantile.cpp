#include "cpu/quantile.h"

#include "cpu/quantile_kernels.h"

// Each kernel in the instruction set of this machine.
namespace rank_relax::cpu {

template <class Scalar>
void quantile_sort(const Batch<Scalar>& batch, double regularization_strength,
                   std::string_view method, Scalar* values, double* points, double* densities,
                   const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::sort(batch, regularization_strength, method, values,
                                                 points, densities, parallel_for);
  });
}

template <class Scalar>
void quantile_sort_product(const Batch<Scalar>& batch, const double* points,
                           const double* densities, const Rows<Scalar>& vector, bool transposed,
                           double regularization_strength, std::string_view method, Scalar* output,
                           const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::sort_product(batch, points, densities, vector,
                                                         transposed, regularization_strength,
                                                         method, output, parallel_for);
  });
}

template <class Scalar>
void quantile_at_levels(const Batch<Scalar>& batch, const Rows<double>& levels, int64_t level_count,
                        double regularization_strength, std::string_view method, double* points,
                        const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::at_levels(
        batch, levels, level_count, regularization_strength, method, points, parallel_for);
  });
}

template <class Scalar>
void topk(const Batch<Scalar>& batch, const Rows<double>& k, double regularization_strength,
          std::string_view method, Scalar* chosen, double* densities,
          const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::topk(batch, k, regularization_strength, method, chosen,
                                                 densities, parallel_for);
  });
}

template <class Scalar>
void topk_product(const Batch<Scalar>& batch, const Rows<double>& densities,
                  double regularization_strength, Scalar* output, const ParallelFor& parallel_for) {
  visit_instruction_set([&](auto isa) {
    QuantileKernels<decltype(isa), Scalar>::topk_product(batch, densities, regularization_strength,
                                                         output, parallel_for);
  });
}

#define RANK_RELAX_INSTANTIATE(Scalar)                                                             \
  template void quantile_sort(const Batch<Scalar>&, double, std::string_view, Scalar*, double*,    \
                              double*, const ParallelFor&);                                        \
  template void quantile_sort_product(const Batch<Scalar>&, const double*, const double*,          \
                                      const Rows<Scalar>&, bool, double, std::string_view,         \
                                      Scalar*, const ParallelFor&);                                \
  template void quantile_at_levels(const Batch<Scalar>&, const Rows<double>&, int64_t, double,     \
                                   std::string_view, double*, const ParallelFor&);                 \
  template void topk(const Batch<Scalar>&, const Rows<double>&, double, std::string_view, Scalar*, \
                     double*, const ParallelFor&);                                                 \
  template void topk_product(const Batch<Scalar>&, const Rows<double>&, double, Scalar*,           \
                             const ParallelFor&);
RANK_RELAX_INSTANTIATE(float)
RANK_RELAX_INSTANTIATE(double)
#undef RANK_RELAX_INSTANTIATE

}  // namespace rank_relax::cpu
