#include "c/on_cuda.h"

// No tensor on a CUDA device passes the checks here, so that nothing else is called.

namespace rank_relax::c::on_cuda {
namespace {

[[noreturn]] void not_built() { unsupported("this library was built without CUDA"); }

}  // namespace

bool is_built() { return false; }

size_t ranks_workspace(const Call&, const Ranks&) { not_built(); }
void ranks(const Call&, const Ranks&, const std::vector<Tensor>&, const Tensor&) { not_built(); }
size_t spearman_workspace(const Call&, const Spearman&) { not_built(); }
void spearman(const Call&, const Spearman&, const Tensor&, const Tensor&, const Tensor&) {
  not_built();
}
void spearman_backward(const Call&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  not_built();
}
size_t sort_workspace(const Call&, const Tensor&) { not_built(); }
void sort_by_cdf(const Call&, const Tensor&, const Tensor&, const std::optional<Tensor>&,
                 const std::optional<Tensor>&) {
  not_built();
}
void sort_by_projection(const Call&, const Tensor&, const Tensor&, const Tensor&, const Tensor&) {
  not_built();
}
size_t sort_product_workspace(const Call&, const Tensor&) { not_built(); }
void sort_product(const Call&, const SortProduct&, const Tensor&) { not_built(); }

}  // namespace rank_relax::c::on_cuda
