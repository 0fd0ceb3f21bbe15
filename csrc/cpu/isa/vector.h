#pragma once

#include <cmath>
#include <cstdint>

#include "cpu/isa/instruction_set.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

#if defined(__GNUC__)
/// 16 bytes that the compiler has operators for, and a register on every machine we know.
template <class Scalar>
struct SixteenBytes {
  typedef Scalar Type __attribute__((vector_size(16)));
};
#else
template <class Scalar>
struct SixteenBytes {
  static constexpr int kCount = 16 / sizeof(Scalar);
  struct Type {
    Scalar lane[kCount];

    Scalar& operator[](int i) { return lane[i]; }
    Scalar operator[](int i) const { return lane[i]; }
    template <class Function>
    static Type each(const Function& function) {
      Type result;
      for (int i = 0; i < kCount; ++i) result[i] = function(i);
      return result;
    }
    friend Type operator+(Type a, Type b) {
      return each([&](int i) { return a[i] + b[i]; });
    }
    friend Type operator-(Type a, Type b) {
      return each([&](int i) { return a[i] - b[i]; });
    }
    friend Type operator*(Type a, Type b) {
      return each([&](int i) { return a[i] * b[i]; });
    }
    friend Type operator/(Type a, Type b) {
      return each([&](int i) { return a[i] / b[i]; });
    }
  };
};
#endif

/// As many Scalars as fit a register of an instruction set, and what the kernels do with them. This
/// is the portable one, which compilers turn into what the machine has; the specialisations in
/// avx2.h and avx512.h have the same members.
template <class Scalar>
struct Vector {
  static constexpr int kLanes = 16 / sizeof(Scalar);
  static constexpr int kRegisters = 16;
  static constexpr bool kLooksUp = false;  // there is a look_up
  static constexpr bool kFuses = false;    // multiplies and adds with one rounding, and fast
  typename SixteenBytes<Scalar>::Type lane;

  template <class Function>
  static Vector each(const Function& function) {
    Vector result;
    for (int i = 0; i < kLanes; ++i) result.lane[i] = function(i);
    return result;
  }

  static Vector broadcast(Scalar value) {
    return each([=](int) { return value; });
  }
  static Vector load(const Scalar* from) {
    return each([=](int i) { return from[i]; });
  }
  /// The first `count` lanes, and zeros.
  static Vector load_first(const Scalar* from, int count) {
    return each([=](int i) { return i < count ? from[i] : Scalar(0); });
  }
  void store(Scalar* to) const {
    for (int i = 0; i < kLanes; ++i) to[i] = lane[i];
  }
  void store_first(Scalar* to, int count) const {
    for (int i = 0; i < kLanes && i < count; ++i) to[i] = lane[i];
  }

  Vector operator+(Vector b) const { return {lane + b.lane}; }
  Vector operator-(Vector b) const { return {lane - b.lane}; }
  Vector operator*(Vector b) const { return {lane * b.lane}; }
  Vector operator/(Vector b) const { return {lane / b.lane}; }
  /// a b + c, with one rounding where the machine has such an instruction.
  static Vector multiply_add(Vector a, Vector b, Vector c) { return a * b + c; }
  /// a b - c
  static Vector multiply_subtract(Vector a, Vector b, Vector c) { return a * b - c; }
  /// c - a b with one rounding, always.
  static Vector exact_remainder(Vector a, Vector b, Vector c) {
    return each([&](int i) { return std::fma(-a.lane[i], b.lane[i], c.lane[i]); });
  }
  /// Lane by lane; b where either is NaN.
  static Vector smaller(Vector a, Vector b) {
    return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Vector larger(Vector a, Vector b) {
    return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; });
  }
  static Vector absolute(Vector a) {
    return each([&](int i) { return std::abs(a.lane[i]); });
  }
  /// Lane by lane, one or the other by whether a > b.
  static Vector where_larger(Vector a, Vector b, Vector if_larger, Vector otherwise) {
    return each(
        [&](int i) { return a.lane[i] > b.lane[i] ? if_larger.lane[i] : otherwise.lane[i]; });
  }
  /// Whether a > b in any lane, and in all.
  static bool any_larger(Vector a, Vector b) {
    bool any = false;
    for (int i = 0; i < kLanes; ++i) any |= a.lane[i] > b.lane[i];
    return any;
  }
  static bool all_larger(Vector a, Vector b) {
    bool all = true;
    for (int i = 0; i < kLanes; ++i) all &= a.lane[i] > b.lane[i];
    return all;
  }
  /// To the nearest integer.
  static Vector round(Vector a) {
    return each([&](int i) { return std::nearbyint(a.lane[i]); });
  }
  void store_int32(int32_t* to) const {
    for (int i = 0; i < kLanes; ++i) to[i] = static_cast<int32_t>(lane[i]);
  }

  static Scalar lowest_lane(Vector a) {
    Scalar lowest = a.lane[0];
    for (int i = 1; i < kLanes; ++i) lowest = a.lane[i] < lowest ? a.lane[i] : lowest;
    return lowest;
  }
  static Scalar highest_lane(Vector a) {
    Scalar highest = a.lane[0];
    for (int i = 1; i < kLanes; ++i) highest = highest < a.lane[i] ? a.lane[i] : highest;
    return highest;
  }
  /// In double, in an order of its own.
  static double sum_of_lanes(Vector a) {
    double sum = 0;
    for (int i = 0; i < kLanes; ++i) sum += a.lane[i];
    return sum;
  }

  /// columns[k], lane i: rows[row_index[i] * row_size + k] for k < kColumns, a multiple of 4.
  template <int kColumns>
  [[gnu::always_inline]] static void load_columns(const Scalar* rows, int64_t row_size,
                                                  const int32_t* row_index, Vector* columns) {
    for (int i = 0; i < kLanes; ++i) {
      const Scalar* row = rows + row_index[i] * row_size;
      for (int k = 0; k < kColumns; ++k) columns[k].lane[i] = row[k];
    }
  }

  /// rows[row_of(i) * kColumns + k] = columns[k], lane i, for 4 or 8 columns: the rows lie in an
  /// order of the machine's own.
  template <int kColumns>
  [[gnu::always_inline]] static void store_rows(const Vector* columns, Scalar* rows) {
    for (int i = 0; i < kLanes; ++i) {
      for (int k = 0; k < kColumns; ++k) rows[i * kColumns + k] = columns[k].lane[i];
    }
  }
  static constexpr int row_of(int lane) { return lane; }

  /// sums[k] += row[k] for k < kColumns, 4 or 8.
  template <int kColumns>
  [[gnu::always_inline]] static void add_row(const Scalar* row, double* sums) {
    for (int k = 0; k < kColumns; ++k) sums[k] += row[k];
  }

  /// 1, t, t^2, ..., t^(kLanes - 1), from t, t^2 and t^4.
  static Vector first_powers(double t, double, double) {
    return each([=](int i) { return static_cast<Scalar>(i == 0 ? 1 : t); });
  }
};

// A vector's operations as free functions.
template <class Scalar>
Vector<Scalar> multiply_add(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c) {
  return Vector<Scalar>::multiply_add(a, b, c);
}
template <class Scalar>
Vector<Scalar> multiply_subtract(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c) {
  return Vector<Scalar>::multiply_subtract(a, b, c);
}
template <class Scalar>
Vector<Scalar> sum_of_products(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c,
                               Vector<Scalar> d) {
  return multiply_add(a, b, c * d);
}
template <class Scalar>
Vector<Scalar> exact_remainder(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c) {
  return Vector<Scalar>::exact_remainder(a, b, c);
}
template <class Scalar>
Vector<Scalar> smaller(Vector<Scalar> a, Vector<Scalar> b) {
  return Vector<Scalar>::smaller(a, b);
}
template <class Scalar>
Vector<Scalar> larger(Vector<Scalar> a, Vector<Scalar> b) {
  return Vector<Scalar>::larger(a, b);
}
template <class Scalar>
Vector<Scalar> absolute(Vector<Scalar> a) {
  return Vector<Scalar>::absolute(a);
}
template <class Scalar>
bool any_larger(Vector<Scalar> a, Vector<Scalar> b) {
  return Vector<Scalar>::any_larger(a, b);
}
template <class Scalar>
bool all_larger(Vector<Scalar> a, Vector<Scalar> b) {
  return Vector<Scalar>::all_larger(a, b);
}
template <class Scalar>
Vector<Scalar> round(Vector<Scalar> a) {
  return Vector<Scalar>::round(a);
}
template <class Scalar>
Scalar lowest_lane(Vector<Scalar> a) {
  return Vector<Scalar>::lowest_lane(a);
}
template <class Scalar>
Scalar highest_lane(Vector<Scalar> a) {
  return Vector<Scalar>::highest_lane(a);
}
template <class Scalar>
double sum_of_lanes(Vector<Scalar> a) {
  return Vector<Scalar>::sum_of_lanes(a);
}

/// Lane by lane the smaller item first, with what belongs to it; of equal ones what belongs to them
/// stays.
template <class Scalar>
void put_in_order(Vector<Scalar>& first, Vector<Scalar>& second, Vector<Scalar>& of_first,
                  Vector<Scalar>& of_second) {
  using V = Vector<Scalar>;
  const V of_lower = V::where_larger(first, second, of_second, of_first);
  of_second = V::where_larger(first, second, of_first, of_second);
  of_first = of_lower;
  const V lower = smaller(first, second);
  second = larger(first, second);
  first = lower;
}

/// sums[i] = sum_of_lanes(vectors[i])
template <int kCount, class Scalar>
void sums_of_lanes(const Vector<Scalar>* vectors, double* sums) {
  for (int i = 0; i < kCount; ++i) sums[i] = sum_of_lanes(vectors[i]);
}

/// The lanes of a vector of Scalars as doubles, in one vector or two (isa/widened.h).
template <class Scalar>
struct Widened;

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
