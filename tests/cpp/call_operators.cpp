// call_operators METHOD INPUTS OUTPUTS: calls every function of rank_relax.h on the tensors x, t,
// q, k and mask of one file, with the defaults and with all arguments, and writes what they return
// to another.

#include <rank_relax/rank_relax.h>

#include <cstdio>
#include <optional>
#include <string>

#include "tensors_in_files.h"

namespace {

/// In the order of test_cpp.py; of two functions, what other arguments they have.
template <class... Options>
std::vector<at::Tensor> call_all(const std::vector<at::Tensor>& inputs, const Options&... options) {
  const at::Tensor &x = inputs[0], &t = inputs[1], &q = inputs[2], &k = inputs[3];
  return {
      rank_relax::soft_rank(x, options...),
      rank_relax::soft_rank_backward(t, x, options...),
      rank_relax::spearman_loss(x, t, options...),
      rank_relax::soft_sort(x, options...),
      rank_relax::soft_quantile(x, q, options...),
      rank_relax::soft_topk(x, k, options...),
      rank_relax::hard_rank(x, /*descending=*/true, /*normalize=*/false, inputs[4], at::kDouble),
      rank_relax::spearman_loss(x, t, 2.5, "sigmoid", inputs[4], /*target_ranks=*/"hard"),
  };
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 4) {
    std::fprintf(stderr, "usage: call_operators METHOD INPUTS OUTPUTS\n");
    return 2;
  }
  const std::vector<at::Tensor> inputs = read_tensors(arguments[2]);
  std::vector<at::Tensor> outputs = call_all(inputs);
  const std::optional<at::Tensor> mask = inputs[4];
  for (const at::Tensor& output : call_all(inputs, 2.5, std::string(arguments[1]), mask)) {
    outputs.push_back(output);
  }
  write_tensors(arguments[3], outputs);
}
