#pragma once

#include "core/host_device.h"

namespace rank_relax {

/// a b + c d. Where a sum and a product are rounded once, a b is the product that isn't rounded; a
/// kind of number that has an instruction for that has an overload.
template <class Number>
RANK_RELAX_HOST_DEVICE Number sum_of_products(const Number& a, const Number& b, const Number& c,
                                              const Number& d) {
  return a * b + c * d;
}

}  // namespace rank_relax
