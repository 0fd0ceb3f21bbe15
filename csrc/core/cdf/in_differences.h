#pragma once

#include "core/cdf/upper_tail.h"
#include "core/host_device.h"

namespace rank_relax {

/// What CDFs share whose coordinate is the difference d itself.
template <class Cdf>
struct InDifferences {
  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number coordinate(const Number& d) {
    return d;
  }
  static constexpr double factored_spread = 0;

  template <class Number>
  RANK_RELAX_HOST_DEVICE static Number density(const Number& d) {
    return Cdf::first_derivative(d);
  }
  template <class Number>
  RANK_RELAX_HOST_DEVICE static UpperTail<Number> tail(const Number& d) {
    return {Cdf::upper_tail(d), Cdf::first_derivative(d)};
  }
};

}  // namespace rank_relax
