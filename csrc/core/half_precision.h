#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "core/host_device.h"

namespace rank_relax {

// The half precisions as their bits. To a half: to nearest, ties to even.

RANK_RELAX_HOST_DEVICE inline float float_of_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

RANK_RELAX_HOST_DEVICE inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

RANK_RELAX_HOST_DEVICE inline float from_bfloat16(uint16_t half) {
  return float_of_bits(static_cast<uint32_t>(half) << 16);
}

RANK_RELAX_HOST_DEVICE inline uint16_t to_bfloat16(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;  // NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

RANK_RELAX_HOST_DEVICE inline float from_float16(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const uint32_t exponent = (half >> 10) & 31, fraction = half & 0x3ff;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000 | fraction << 13);
  if (exponent > 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float subnormal = static_cast<float>(fraction) * (1.0f / (1 << 24));
  return float_of_bits(sign | bits_of_float(subnormal));
}

RANK_RELAX_HOST_DEVICE inline uint16_t to_float16(float value) {
  const uint32_t all = bits_of_float(value), bits = all & 0x7fffffff;
  const uint16_t sign = static_cast<uint16_t>((all >> 16) & 0x8000);
  if (bits > 0x7f800000) return 0x7e00;                                 // NaN
  if (bits >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to infinity
  if (bits < 0x38800000) {                                              // below 2^-14
    const float units = std::rint(float_of_bits(bits) * (1 << 24));
    return static_cast<uint16_t>(sign | static_cast<uint16_t>(units));
  }
  const uint32_t rounded = bits + 0xfff + ((bits >> 13) & 1);
  return static_cast<uint16_t>(sign | ((rounded - 0x38000000) >> 13));
}

}  // namespace rank_relax
