#pragma once

#include <cstdint>
#include <limits>
#include <type_traits>

#include "cpu/isa/instruction_set.h"
#include "cpu/sort/radix_sort.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

// How the items of each dtype are ordered: as unsigned numbers, exactly, found from their bits.
// `Bits` is how an item is stored. key(a) < key(b) if and only if a < b; NaN has no key.

/// An IEEE format, given by the bits of its infinity. -0 = +0.
template <class BitsOfFloat, BitsOfFloat infinity>
struct FloatOrder {
  using Bits = BitsOfFloat;
  static constexpr Bits kSign = Bits(Bits(1) << (8 * sizeof(Bits) - 1));

  static bool is_nan(Bits bits) { return Bits(bits & ~kSign) > infinity; }

  /// Negative ones have all their bits turned, the others the sign.
  static Bits key(Bits bits) {
    if (bits == kSign) bits = 0;
    return bits & kSign ? Bits(~bits) : Bits(bits | kSign);
  }
};

using Float64Order = FloatOrder<uint64_t, 0x7ff0000000000000>;
using Float32Order = FloatOrder<uint32_t, 0x7f800000>;
using Float16Order = FloatOrder<uint16_t, 0x7c00>;
using BFloat16Order = FloatOrder<uint16_t, 0x7f80>;

template <class Integer>
struct IntegerOrder {
  using Bits = std::make_unsigned_t<Integer>;

  static bool is_nan(Bits) { return false; }

  static Bits key(Bits bits) {
    return Bits(bits - static_cast<Bits>(std::numeric_limits<Integer>::min()));
  }
};

/// As bytes: a bool tensor that is a view of bytes may hold more than 0 and 1.
struct BoolOrder {
  using Bits = uint8_t;

  static bool is_nan(Bits) { return false; }
  static Bits key(Bits bits) { return bits != 0 ? 1 : 0; }
};

// A key is sorted by its own digits.
namespace radix {

template <>
struct Unsigned<uint32_t> {
  using Type = uint32_t;
};
template <>
struct Unsigned<uint64_t> {
  using Type = uint64_t;
};

template <class KeyOfItem, int digit_bits>
struct DigitsOfKey {
  using Key = KeyOfItem;
  static constexpr int kKeyBits = 8 * sizeof(Key);
  static constexpr int kCount = (kKeyBits + digit_bits - 1) / digit_bits;
  static constexpr int kSize = 1 << digit_bits;

  static Key key(Key key) { return key; }

  static uint32_t digit(Key key, int place) {
    return static_cast<uint32_t>(key >> (place * digit_bits)) & (kSize - 1);
  }
};

template <int digit_bits>
struct Digits<uint32_t, digit_bits> : DigitsOfKey<uint32_t, digit_bits> {};
template <int digit_bits>
struct Digits<uint64_t, digit_bits> : DigitsOfKey<uint64_t, digit_bits> {};

}  // namespace radix
}  // namespace rank_relax::cpu::RANK_RELAX_ISA
