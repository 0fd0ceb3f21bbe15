#pragma once

#include <cmath>

#include "core/cdf/math.h"
#include "core/host_device.h"

namespace rank_relax {

namespace cuda {

/// A float whose exponential and division are those of the special function units of a GPU, within
/// 2 ulp or so: a kind of number that the formula of a CDF takes (core/cdf/math.h).
struct FastFloat {
  float value;

  RANK_RELAX_HOST_DEVICE FastFloat(float value) : value(value) {}
  RANK_RELAX_HOST_DEVICE FastFloat(double value) : value(static_cast<float>(value)) {}
  RANK_RELAX_HOST_DEVICE FastFloat(int value) : value(static_cast<float>(value)) {}

  RANK_RELAX_HOST_DEVICE FastFloat operator-() const { return -value; }
  RANK_RELAX_HOST_DEVICE friend FastFloat operator+(FastFloat a, FastFloat b) {
    return a.value + b.value;
  }
  RANK_RELAX_HOST_DEVICE friend FastFloat operator-(FastFloat a, FastFloat b) {
    return a.value - b.value;
  }
  RANK_RELAX_HOST_DEVICE friend FastFloat operator*(FastFloat a, FastFloat b) {
    return a.value * b.value;
  }
  RANK_RELAX_HOST_DEVICE friend FastFloat operator/(FastFloat a, FastFloat b) {
#ifdef __CUDA_ARCH__
    return __fdividef(a.value, b.value);
#else
    return a.value / b.value;
#endif
  }
  RANK_RELAX_HOST_DEVICE friend bool operator<(FastFloat a, FastFloat b) {
    return a.value < b.value;
  }
  RANK_RELAX_HOST_DEVICE friend bool operator>(FastFloat a, FastFloat b) { return b < a; }
  /// By a constant: a product.
  RANK_RELAX_HOST_DEVICE friend FastFloat operator/(FastFloat a, int b) {
    return a.value * (1.0f / static_cast<float>(b));
  }
};

/// 1/x of an x in the range of normal numbers, within 1 ulp.
RANK_RELAX_HOST_DEVICE inline float reciprocal(float x) {
#ifdef __CUDA_ARCH__
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(x));
  return result;
#else
  return 1 / x;
#endif
}

}  // namespace cuda

template <>
struct Math<cuda::FastFloat> {
  using Number = cuda::FastFloat;

  RANK_RELAX_HOST_DEVICE static Number select(bool condition, Number yes, Number no) {
    return condition ? yes : no;
  }
  RANK_RELAX_HOST_DEVICE static Number size(Number x) { return std::fabs(x.value); }
  RANK_RELAX_HOST_DEVICE static Number absolute(Number x) { return std::fabs(x.value); }
  RANK_RELAX_HOST_DEVICE static Number clamp(Number x, double lowest, double highest) {
    const auto least = static_cast<float>(lowest), most = static_cast<float>(highest);
    return x.value < least ? least : (x.value > most ? most : x.value);
  }
  RANK_RELAX_HOST_DEVICE static Number exp(Number x) {
#ifdef __CUDA_ARCH__
    return __expf(x.value);
#else
    return std::exp(x.value);
#endif
  }
  RANK_RELAX_HOST_DEVICE static Number expm1(Number x) { return ::expm1f(x.value); }
  RANK_RELAX_HOST_DEVICE static Number erf(Number x) { return ::erff(x.value); }
  RANK_RELAX_HOST_DEVICE static Number erfc(Number x) { return ::erfcf(x.value); }
  RANK_RELAX_HOST_DEVICE static Number atan(Number x) { return ::atanf(x.value); }
  RANK_RELAX_HOST_DEVICE static Number atan_of_inverse(Number x) { return ::atan2f(1, x.value); }
};

}  // namespace rank_relax
