#include "torch/operators/soft_rank.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "core/methods.h"
#include "core/refusals.h"
#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

/// At most as many as the method has derivatives; the options too.
void check_directions(const char* op, at::TensorList directions, const Tensor& input,
                      const Options& options) {
  const int most = max_order(options.method);
  TORCH_CHECK_VALUE(directions.size() <= static_cast<size_t>(most), op, ": ",
                    refusal::too_many_directions(most, options.method, directions.size()));
  for (const Tensor& direction : directions) {
    check_matches(op, "directions", direction, "input", input);
  }
  check_options(op, "input", input, options);
}

}  // namespace

void SoftRank::check(const Tensor& input, const Options& options) {
  check_values(name, "input", input);
  check_options(name, "input", input, options);
}

void SoftRankBackward::check(const Tensor& grad_output, const Tensor& input,
                             const Options& options) {
  check_values(name, "input", input);
  check_matches(name, "grad_output", grad_output, "input", input);
  check_options(name, "input", input, options);
}

void SoftRankDerivative::check(at::TensorList directions, const Tensor& input,
                               const Options& options) {
  check_values(name, "input", input);
  check_directions(name, directions, input, options);
}

void PermutahedronRankForward::check(const Tensor& input, const Options& options) {
  check_projection(name, options.method);
  SoftRank::check(input, options);  // which calls it where a gradient is wanted
}

std::tuple<Tensor, Tensor> PermutahedronRankForward::outputs(const Tensor& input, const Options&) {
  return {like(input), like(input, at::kInt)};
}

void PermutahedronRankDerivative::check(at::TensorList directions, const Tensor& input,
                                        const Tensor& blocks, const Options& options) {
  check_values(name, "input", input);
  TORCH_CHECK_VALUE(!directions.empty(), name,
                    ": directions must be at least one tensor, got none");
  check_directions(name, directions, input, options);
  check_projection(name, options.method);
  check_items(name, "blocks", blocks, at::kInt, "input", input);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SoftRank, SoftRankBackward, SoftRankDerivative, PermutahedronRankForward,
          PermutahedronRankDerivative>(library);
}

}  // namespace rank_relax::operators
