// Does not compile: a CDF without the member WITHOUT or WITHOUT_CLASS, or with IN_TENSORS one that
// has no form as functions of a tensor. With neither it does.

#include "core/cdf/sigmoid.h"
#include "core/cdf/smooth_cdf_list.h"
#include "torch/cdf/of_tensor.h"

namespace rank_relax {

struct Incomplete : Sigmoid {
#ifdef WITHOUT
 private:
  void WITHOUT();  // hides the member
#endif
#ifdef WITHOUT_CLASS
 private:
  struct WITHOUT_CLASS {};
#endif
};

static_assert(SmoothCdfList<Incomplete>::kMaxOrder > 0);

#ifdef IN_TENSORS
OfTensor<Incomplete> of_tensor;
#endif

}  // namespace rank_relax
