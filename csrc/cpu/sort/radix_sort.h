#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

namespace radix {

template <class Scalar>
struct Unsigned;
template <>
struct Unsigned<float> {
  using Type = uint32_t;
};
template <>
struct Unsigned<double> {
  using Type = uint64_t;
};

/// Counts for every item those that come before it: count² comparisons, in vectors.
template <class Scalar, int most>
void sort_by_counting(const Scalar* values, int64_t count, Scalar* sorted, uint32_t* order) {
  using Count = typename Unsigned<Scalar>::Type;  // as wide as what is compared
  Count before[most] = {};
  for (int64_t j = 0; j < count; ++j) {
    const Scalar value = values[j];
    for (int64_t i = 0; i < j; ++i) before[i] += value < values[i] ? 1 : 0;
    for (int64_t i = j + 1; i < count; ++i) before[i] += value <= values[i] ? 1 : 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    sorted[before[i]] = values[i] + Scalar(0);
    order[before[i]] = static_cast<uint32_t>(i);
  }
}

/// A value's digits, the lowest first. The key that they spell orders as the values do: negative
/// ones have all their bits turned, the others the sign.
template <class Scalar, int digit_bits>
struct Digits {
  using Key = typename Unsigned<Scalar>::Type;
  static constexpr int kKeyBits = 8 * sizeof(Key);
  static constexpr int kCount = (kKeyBits + digit_bits - 1) / digit_bits;
  static constexpr int kSize = 1 << digit_bits;

  static Key key(Scalar value) {
    const Scalar with_one_zero = value + Scalar(0);  // -0 + 0 = +0
    Key bits;
    std::memcpy(&bits, &with_one_zero, sizeof bits);
    constexpr Key kSign = Key(1) << (kKeyBits - 1);
    return bits ^ ((Key(0) - (bits >> (kKeyBits - 1))) | kSign);
  }

  static uint32_t digit(Key key, int place) {
    return static_cast<uint32_t>(key >> (place * digit_bits)) & (kSize - 1);
  }
};

/// Moves every item to the next free place of its digit. `order` null: the items are in their first
/// order.
template <int digit_bits, class Scalar>
void move_by_digit(int place, const Scalar* values, const uint32_t* order, int64_t count,
                   uint32_t* next, Scalar* to_values, uint32_t* to_order) {
  using Place = Digits<Scalar, digit_bits>;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t to = next[Place::digit(Place::key(values[i]), place)]++;
    to_values[to] = values[i] + Scalar(0);
    to_order[to] = order == nullptr ? static_cast<uint32_t>(i) : order[i];
  }
}

/// Least significant digit first. Digits in which no two keys differ are left out.
template <int digit_bits, class Scalar>
void sort_by_digits(const Scalar* values, int64_t count, Scalar* sorted, uint32_t* order,
                    Scalar* spare_sorted, uint32_t* spare_order) {
  using Place = Digits<Scalar, digit_bits>;
  uint32_t sizes[Place::kCount][Place::kSize] = {};
  for (int64_t i = 0; i < count; ++i) {
    const auto key = Place::key(values[i]);
    for (int place = 0; place < Place::kCount; ++place) ++sizes[place][Place::digit(key, place)];
  }
  int places[Place::kCount];
  int passes = 0;
  for (int place = 0; place < Place::kCount; ++place) {
    if (sizes[place][Place::digit(Place::key(values[0]), place)] != count) places[passes++] = place;
  }
  if (passes == 0) places[passes++] = 0;

  // The passes take turns with two pairs of arrays, so that the last one ends in the first pair.
  Scalar* const value_arrays[2] = {sorted, spare_sorted};
  uint32_t* const order_arrays[2] = {order, spare_order};
  const Scalar* from_values = values;
  const uint32_t* from_order = nullptr;
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t* next = sizes[places[pass]];
    uint32_t smaller = 0;
    for (int digit = 0; digit < Place::kSize; ++digit) {
      const uint32_t size = next[digit];
      next[digit] = smaller;
      smaller += size;
    }
    const int to = (passes - 1 - pass) % 2;
    move_by_digit<digit_bits>(places[pass], from_values, from_order, count, next, value_arrays[to],
                              order_arrays[to]);
    from_values = value_arrays[to];
    from_order = order_arrays[to];
  }
}

}  // namespace radix

/// Sorts finite values ascending, equal ones (-0 = +0, written as +0) in their order; order[i] is
/// where sorted[i] stood. At most 2^32 - 1 of them. The spare arrays hold `count` items too.
template <class Scalar>
void radix_argsort(const Scalar* values, int64_t count, Scalar* sorted, uint32_t* order,
                   Scalar* spare_sorted, uint32_t* spare_order) {
  // Fewer passes against more places to write to at once; measured.
  constexpr int kFew = 64;
  constexpr int64_t kFillsLongDigits = 1 << 11;
  constexpr int64_t kCached = 1 << 18;
  if (count <= kFew) {
    radix::sort_by_counting<Scalar, kFew>(values, count, sorted, order);
  } else if (count < kFillsLongDigits || count > kCached) {
    radix::sort_by_digits<8>(values, count, sorted, order, spare_sorted, spare_order);
  } else {
    radix::sort_by_digits<11>(values, count, sorted, order, spare_sorted, spare_order);
  }
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
