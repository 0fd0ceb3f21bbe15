#include "torch/operators/integer_scores.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {

void IntegerScores::check(const Tensor& input, const Tensor& strengths, std::string_view method,
                          const std::optional<Tensor>& mask) {
  check_integers(name, "input", input);
  check_method(name, method);
  check_mask(name, mask, "input", input);
  check_one_number_a_row(name, "strengths", strengths, at::kDouble, "input", input);
}

Tensor IntegerScores::outputs(const Tensor& input, const Tensor&, std::string_view,
                              const std::optional<Tensor>&) {
  return like(input, at::kDouble);
}

void CenteredIntegerRank::check(const Tensor& input, const Options& options, at::ScalarType dtype) {
  check_integers(name, "input", input);
  check_options(name, "input", input, options);
  TORCH_CHECK_TYPE(dtype == at::kDouble || dtype == at::kFloat, name,
                   ": dtype must be float64 or float32, got ", name_of(dtype));
}

Tensor CenteredIntegerRank::outputs(const Tensor& input, const Options&, at::ScalarType dtype) {
  return like(input, dtype);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<IntegerScores, CenteredIntegerRank>(library);
}

}  // namespace rank_relax::operators
