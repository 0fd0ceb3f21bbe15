#pragma once

#include <cstddef>
#include <cstdint>

#include "cpu/row/rows.h"
#include "cpu/sort/sort_key.h"

namespace rank_relax::cpu {

/// How the items of a dtype are stored, beside their size: what every door's dtypes come down to.
enum class Format { kFloat, kBFloat, kSigned, kUnsigned, kBool };

/// visit(order) with that of sort_key.h for integers and bools of so many bytes; false, and nothing
/// is visited, if there is none.
template <class Visit>
bool visit_order_of_integers(Format format, size_t bytes, const Visit& visit) {
  const auto with = [&](auto order) { return visit(order), true; };
  const bool is_signed = format == Format::kSigned;
  if (format == Format::kBool) return with(BoolOrder{});
  if (!is_signed && format != Format::kUnsigned) return false;
  switch (bytes) {
    case 1:
      return is_signed ? with(IntegerOrder<int8_t>{}) : with(IntegerOrder<uint8_t>{});
    case 2:
      return is_signed ? with(IntegerOrder<int16_t>{}) : with(IntegerOrder<uint16_t>{});
    case 4:
      return is_signed ? with(IntegerOrder<int32_t>{}) : with(IntegerOrder<uint32_t>{});
    case 8:
      return is_signed ? with(IntegerOrder<int64_t>{}) : with(IntegerOrder<uint64_t>{});
    default:
      return false;
  }
}

/// And of floating numbers.
template <class Visit>
bool visit_order(Format format, size_t bytes, const Visit& visit) {
  const auto with = [&](auto order) { return visit(order), true; };
  if (format == Format::kBFloat) return with(BFloat16Order{});
  if (format != Format::kFloat) return visit_order_of_integers(format, bytes, visit);
  switch (bytes) {
    case 2:
      return with(Float16Order{});
    case 4:
      return with(Float32Order{});
    case 8:
      return with(Float64Order{});
    default:
      return false;
  }
}

/// Items as numbers that order as they do, NaN as `of_nan`. Whether there is any.
template <class Order>
bool put_in_order(const Row<typename Order::Bits>& items, int64_t size, uint64_t of_nan,
                  uint64_t* numbers) {
  bool has_nan = false;
  for (int64_t i = 0; i < size; ++i) {
    const bool is_nan = Order::is_nan(items[i]);
    numbers[i] = is_nan ? of_nan : uint64_t{Order::key(items[i])};
    has_nan |= is_nan;
  }
  return has_nan;
}

}  // namespace rank_relax::cpu
