#include "torch/operators/soft_quantile.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "core/refusals.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

void check_lists_and_levels(const char* op, const Tensor& input, const Tensor& levels,
                            const Options& options) {
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  check_rows(op, "levels", levels, at::kDouble, "input", input);
}

void check_lists_with_items(const char* op, const Tensor& input, const Options& options) {
  check_values(op, "input", input);
  check_smooth_cdf(op, options.method);
  check_options(op, "input", input, options);
  TORCH_CHECK_VALUE(input.sym_size(-1) != 0, op, ": ",
                    refusal::without_items("input", input.sym_sizes()));
}

void check_shares(const char* op, const Tensor& q) {
  TORCH_CHECK_TYPE(is_floating(q.scalar_type()), op, ": ",
                   refusal::not_floating("q", name_of(q.scalar_type())));
}

void check_points(const char* op, const Tensor& input, const Tensor& q, const Tensor& points,
                  const Tensor& densities, const Options& options) {
  check_lists_with_items(op, input, options);
  check_shares(op, q);
  check_rows(op, "q", q, q.scalar_type(), "input", input);
  check_items(op, "points", points, at::kLong, "q", q);
  check_items(op, "densities", densities, at::kLong, "q", q);
}

}  // namespace

void SoftQuantile::check(const Tensor& input, const Tensor& q, const Options& options) {
  check_lists_with_items(name, input, options);
  if (!q.defined()) return;  // a number
  check_shares(name, q);
  if (q.dim() == 1 && input.dim() > 1) {
    check_device(name, "q", q, "input", input);
  } else {
    check_rows(name, "q", q, q.scalar_type(), "input", input);
  }
}

void SoftQuantileForward::check(const Tensor& input, const Tensor& q, const Options& options) {
  check_lists_with_items(name, input, options);
  check_shares(name, q);
  check_rows(name, "q", q, q.scalar_type(), "input", input);
}

std::tuple<Tensor, Tensor, Tensor> SoftQuantileForward::outputs(const Tensor& input,
                                                                const Tensor& q, const Options&) {
  return {like(q, input.scalar_type()), float64_bits_like(q), float64_bits_like(q)};
}

void SoftQuantileBackward::check(const Tensor& grad_quantiles, const Tensor& input, const Tensor& q,
                                 const Tensor& points, const Tensor& densities,
                                 const Options& options) {
  check_points(name, input, q, points, densities, options);
  check_items(name, "grad_quantiles", grad_quantiles, input.scalar_type(), "q", q);
}

Tensor SoftQuantileBackward::outputs(const Tensor&, const Tensor& input, const Tensor&,
                                     const Tensor&, const Tensor&, const Options&) {
  return like(input);
}

void SoftQuantileTangent::check(const Tensor& direction, const Tensor& input, const Tensor& q,
                                const Tensor& points, const Tensor& densities,
                                const Options& options) {
  check_points(name, input, q, points, densities, options);
  check_matches(name, "direction", direction, "input", input);
}

Tensor SoftQuantileTangent::outputs(const Tensor&, const Tensor& input, const Tensor& q,
                                    const Tensor&, const Tensor&, const Options&) {
  return like(q, input.scalar_type());
}

void QuantileAtLevels::check(const Tensor& input, const Tensor& levels, const Options& options) {
  check_lists_and_levels(name, input, levels, options);
}

Tensor QuantileAtLevels::outputs(const Tensor&, const Tensor& levels, const Options&) {
  return like(levels);
}

void QuantileAtLevelsBackward::check(const Tensor& grad_points, const Tensor& input,
                                     const Tensor& levels, const Tensor& points,
                                     const Options& options) {
  check_lists_and_levels(name, input, levels, options);
  check_matches(name, "points", points, "levels", levels);
  check_matches(name, "grad_points", grad_points, "levels", levels);
}

void QuantileAtLevelsTangent::check(const Tensor& direction, const Tensor& input,
                                    const Tensor& levels, const Tensor& points,
                                    const Options& options) {
  check_lists_and_levels(name, input, levels, options);
  check_matches(name, "points", points, "levels", levels);
  check_matches(name, "direction", direction, "input", input);
}

Tensor QuantileAtLevelsTangent::outputs(const Tensor&, const Tensor&, const Tensor&,
                                        const Tensor& points, const Options&) {
  return like(points);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SoftQuantile, SoftQuantileForward, SoftQuantileBackward, SoftQuantileTangent,
          QuantileAtLevels, QuantileAtLevelsBackward, QuantileAtLevelsTangent>(library);
}

}  // namespace rank_relax::operators
