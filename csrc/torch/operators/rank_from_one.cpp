#include "torch/operators/rank_from_one.h"

#include <c10/util/Exception.h>
#include <torch/library.h>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/operators/soft_rank.h"

namespace rank_relax::operators {

/// What soft_rank asks too, it asks itself.
void RankFromOne::check(const Tensor& input, double, std::string_view) {
  check_values(SoftRank::name, "input", input);
  TORCH_CHECK_TYPE(!at::isReducedFloatingType(input.scalar_type()), name,
                   ": input must be float64 or float32, got ", input.scalar_type(),
                   "; halves don't hold counts, so convert it with input.float()");
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) { declare<RankFromOne>(library); }

}  // namespace rank_relax::operators
