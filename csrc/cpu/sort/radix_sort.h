#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// Memory for sorted items: order[i] is where values[i] stood.
template <class Scalar>
struct SortedItems {
  Scalar* values;
  uint32_t* order;
};

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
void sort_by_counting(const Scalar* values, int64_t count, const SortedItems<Scalar>& sorted) {
  using Count = typename Unsigned<Scalar>::Type;  // as wide as what is compared
  Count before[most] = {};
  for (int64_t j = 0; j < count; ++j) {
    const Scalar value = values[j];
    for (int64_t i = 0; i < j; ++i) before[i] += value < values[i] ? 1 : 0;
    for (int64_t i = j + 1; i < count; ++i) before[i] += value <= values[i] ? 1 : 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    sorted.values[before[i]] = values[i] + Scalar(0);
    sorted.order[before[i]] = static_cast<uint32_t>(i);
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
                   uint32_t* next, const SortedItems<Scalar>& to) {
  using Place = Digits<Scalar, digit_bits>;
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t at = next[Place::digit(Place::key(values[i]), place)]++;
    to.values[at] = values[i] + Scalar(0);
    to.order[at] = order == nullptr ? static_cast<uint32_t>(i) : order[i];
  }
}

/// Least significant digit first. Digits in which no two keys differ are left out.
template <int digit_bits, class Scalar>
void sort_by_digits(const Scalar* values, int64_t count, const SortedItems<Scalar>& sorted,
                    const SortedItems<Scalar>& spare) {
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

  // The passes take turns, so that the last one ends in `sorted`.
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
    const SortedItems<Scalar>& to = (passes - 1 - pass) % 2 == 0 ? sorted : spare;
    move_by_digit<digit_bits>(places[pass], from_values, from_order, count, next, to);
    from_values = to.values;
    from_order = to.order;
  }
}

}  // namespace radix

/// Sorts finite values ascending, equal ones (-0 = +0, written as +0) in their order. At most
/// 2^32 - 1 of them. `sorted` and `spare` hold `count` items each.
template <class Scalar>
void radix_argsort(const Scalar* values, int64_t count, const SortedItems<Scalar>& sorted,
                   const SortedItems<Scalar>& spare) {
  // Fewer passes against more places to write to at once; measured.
  constexpr int kFew = 64;
  constexpr int64_t kFillsLongDigits = 1 << 11;
  constexpr int64_t kCached = 1 << 18;
  if (count <= kFew) {
    radix::sort_by_counting<Scalar, kFew>(values, count, sorted);
  } else if (count < kFillsLongDigits || count > kCached) {
    radix::sort_by_digits<8>(values, count, sorted, spare);
  } else {
    radix::sort_by_digits<11>(values, count, sorted, spare);
  }
}

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
