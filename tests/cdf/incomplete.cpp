// Does not compile: a CDF without the member WITHOUT or WITHOUT_CLASS. With both it does.

#include "core/cdf/sigmoid.h"
#include "core/cdf/smooth_cdf_list.h"

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

}  // namespace rank_relax
