#pragma once

#include <immintrin.h>

#include <utility>

#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

template <>
struct Vector<float> {
  static constexpr int kLanes = 16;
  static constexpr int kRegisters = 32;
  static constexpr bool kLooksUp = true;
  static constexpr bool kFuses = true;
  __m512 lanes;

  static __mmask16 first(int count) {
    return static_cast<__mmask16>(count >= kLanes ? 0xffff : (1 << count) - 1);
  }
  static Vector broadcast(float value) { return {_mm512_set1_ps(value)}; }
  static Vector load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static Vector load_first(const float* from, int count) {
    return {_mm512_maskz_loadu_ps(first(count), from)};
  }
  void store(float* to) const { _mm512_storeu_ps(to, lanes); }
  void store_first(float* to, int count) const { _mm512_mask_storeu_ps(to, first(count), lanes); }

  Vector operator+(Vector b) const { return {_mm512_add_ps(lanes, b.lanes)}; }
  Vector operator-(Vector b) const { return {_mm512_sub_ps(lanes, b.lanes)}; }
  Vector operator*(Vector b) const { return {_mm512_mul_ps(lanes, b.lanes)}; }
  Vector operator/(Vector b) const { return {_mm512_div_ps(lanes, b.lanes)}; }
  static Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm512_fmadd_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm512_fmsub_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector exact_remainder(Vector a, Vector b, Vector c) {
    return {_mm512_fnmadd_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector smaller(Vector a, Vector b) { return {_mm512_min_ps(a.lanes, b.lanes)}; }
  static Vector larger(Vector a, Vector b) { return {_mm512_max_ps(a.lanes, b.lanes)}; }
  static Vector absolute(Vector a) { return {_mm512_abs_ps(a.lanes)}; }
  static float lowest_lane(Vector a) { return _mm512_reduce_min_ps(a.lanes); }
  static float highest_lane(Vector a) { return _mm512_reduce_max_ps(a.lanes); }
  static double sum_of_lanes(Vector a) {
    const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a.lanes));
    const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a.lanes, 1));
    return _mm512_reduce_add_pd(_mm512_add_pd(low, high));
  }

  /// table[index] lane by lane, for whole numbers from 0 to 15.
  static Vector look_up(Vector table, Vector index) {
    return {_mm512_permutexvar_ps(_mm512_cvtps_epi32(index.lanes), table.lanes)};
  }
  static Vector where_larger(Vector a, Vector b, Vector if_larger, Vector otherwise) {
    return {_mm512_mask_mov_ps(otherwise.lanes, _mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_GT_OQ),
                               if_larger.lanes)};
  }
  static bool any_larger(Vector a, Vector b) {
    return _mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_GT_OQ) != 0;
  }
  static bool all_larger(Vector a, Vector b) {
    return _mm512_cmp_ps_mask(a.lanes, b.lanes, _CMP_GT_OQ) == 0xffff;
  }
  static Vector round(Vector a) {
    return {_mm512_roundscale_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  void store_int32(int32_t* to) const { _mm512_storeu_si512(to, _mm512_cvtps_epi32(lanes)); }

  template <int kColumns>
  [[gnu::always_inline]] static void load_columns(const float* rows, int64_t row_size,
                                                  const int32_t* row_index, Vector* columns) {
    if constexpr (kColumns == 4) {
      load_four_columns(rows, row_size, row_index, columns);
    } else {
      load_parts(rows, row_size, row_index, columns,
                 std::make_integer_sequence<int, kColumns / 8>{});
    }
  }

  template <int kColumns>
  [[gnu::always_inline]] static void store_rows(const Vector* columns, float* rows) {
    __m512 quads[kColumns / 4][4];  // 128-bit lane q of quads[half][r]: four columns of row 4 q + r
    for (int half = 0; half < kColumns / 4; ++half)
      transpose_quads(columns + 4 * half, quads[half]);
    for (int r = 0; r < 4; ++r) {
      if constexpr (kColumns == 4) {
        _mm512_storeu_ps(rows + 16 * r, quads[0][r]);
      } else {
        const __m512i low =
            _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
        const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
        _mm512_storeu_ps(rows + 32 * r, _mm512_permutex2var_ps(quads[0][r], low, quads[1][r]));
        _mm512_storeu_ps(rows + 32 * r + 16,
                         _mm512_permutex2var_ps(quads[0][r], high, quads[1][r]));
      }
    }
  }
  static constexpr int row_of(int lane) { return lane % 4 * 4 + lane / 4; }

  template <int kColumns>
  [[gnu::always_inline]] static void add_row(const float* row, double* sums) {
    if constexpr (kColumns == 4) {
      _mm256_storeu_pd(sums,
                       _mm256_add_pd(_mm256_loadu_pd(sums), _mm256_cvtps_pd(_mm_loadu_ps(row))));
    } else {
      _mm512_storeu_pd(sums,
                       _mm512_add_pd(_mm512_loadu_pd(sums), _mm512_cvtps_pd(_mm256_loadu_ps(row))));
    }
  }

 private:
  /// In each 128-bit lane, a matrix of 4 by 4 transposed.
  [[gnu::always_inline]] static void transpose_quads(const Vector* from, __m512* to) {
    const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(from[0].lanes, from[1].lanes));
    const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(from[2].lanes, from[3].lanes));
    const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(from[0].lanes, from[1].lanes));
    const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(from[2].lanes, from[3].lanes));
    to[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
    to[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
    to[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
    to[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
  }

  [[gnu::always_inline]] static void load_four_columns(const float* rows, int64_t row_size,
                                                       const int32_t* row_index, Vector* columns) {
    Vector quads[4];  // 128-bit lane q of quads[r]: four columns of row 4 q + r
    for (int r = 0; r < 4; ++r) {
      const auto row = [&](int q) { return _mm_loadu_ps(rows + row_index[4 * q + r] * row_size); };
      quads[r].lanes = _mm512_castps128_ps512(row(0));
      quads[r].lanes = _mm512_insertf32x4(quads[r].lanes, row(1), 1);
      quads[r].lanes = _mm512_insertf32x4(quads[r].lanes, row(2), 2);
      quads[r].lanes = _mm512_insertf32x4(quads[r].lanes, row(3), 3);
    }
    __m512 transposed[4];
    transpose_quads(quads, transposed);
    for (int k = 0; k < 4; ++k) columns[k].lanes = transposed[k];
  }

  template <int... kParts>
  [[gnu::always_inline]] static void load_parts(const float* rows, int64_t row_size,
                                                const int32_t* row_index, Vector* columns,
                                                std::integer_sequence<int, kParts...>) {
    (load_eight_columns(rows + 8 * kParts, row_size, row_index, columns + 8 * kParts), ...);
  }

  [[gnu::always_inline]] static void load_eight_columns(const float* rows, int64_t row_size,
                                                        const int32_t* row_index, Vector* columns) {
    // Eight columns of two rows a register, then their four-column halves transposed in place, then
    // the halves put together.
    __m512 halves[2][4];
    for (int part = 0; part < 2; ++part) {
      __m512 pairs[4];
      for (int r = 0; r < 4; ++r) {
        const int row = 8 * part + r;
        const __m256 first = _mm256_loadu_ps(rows + row_index[row] * row_size);
        const __m256 second = _mm256_loadu_ps(rows + row_index[row + 4] * row_size);
        pairs[r] = _mm512_insertf32x8(_mm512_castps256_ps512(first), second, 1);
      }
      const __m512d low01 = _mm512_castps_pd(_mm512_unpacklo_ps(pairs[0], pairs[1]));
      const __m512d low23 = _mm512_castps_pd(_mm512_unpacklo_ps(pairs[2], pairs[3]));
      const __m512d high01 = _mm512_castps_pd(_mm512_unpackhi_ps(pairs[0], pairs[1]));
      const __m512d high23 = _mm512_castps_pd(_mm512_unpackhi_ps(pairs[2], pairs[3]));
      halves[part][0] = _mm512_castpd_ps(_mm512_unpacklo_pd(low01, low23));
      halves[part][1] = _mm512_castpd_ps(_mm512_unpackhi_pd(low01, low23));
      halves[part][2] = _mm512_castpd_ps(_mm512_unpacklo_pd(high01, high23));
      halves[part][3] = _mm512_castpd_ps(_mm512_unpackhi_pd(high01, high23));
    }
    for (int k = 0; k < 4; ++k) {
      columns[k].lanes = _mm512_shuffle_f32x4(halves[0][k], halves[1][k], 0b10001000);
      columns[k + 4].lanes = _mm512_shuffle_f32x4(halves[0][k], halves[1][k], 0b11011101);
    }
  }
};

template <>
struct Vector<double> {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 32;
  static constexpr bool kLooksUp = false;
  static constexpr bool kFuses = true;
  __m512d lanes;

  static __mmask8 first(int count) {
    return static_cast<__mmask8>(count >= kLanes ? 0xff : (1 << count) - 1);
  }
  static Vector broadcast(double value) { return {_mm512_set1_pd(value)}; }
  static Vector load(const double* from) { return {_mm512_loadu_pd(from)}; }
  static Vector load_first(const double* from, int count) {
    return {_mm512_maskz_loadu_pd(first(count), from)};
  }
  void store(double* to) const { _mm512_storeu_pd(to, lanes); }
  void store_first(double* to, int count) const { _mm512_mask_storeu_pd(to, first(count), lanes); }

  Vector operator+(Vector b) const { return {_mm512_add_pd(lanes, b.lanes)}; }
  Vector operator-(Vector b) const { return {_mm512_sub_pd(lanes, b.lanes)}; }
  Vector operator*(Vector b) const { return {_mm512_mul_pd(lanes, b.lanes)}; }
  Vector operator/(Vector b) const { return {_mm512_div_pd(lanes, b.lanes)}; }
  static Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm512_fmadd_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm512_fmsub_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector exact_remainder(Vector a, Vector b, Vector c) {
    return {_mm512_fnmadd_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector smaller(Vector a, Vector b) { return {_mm512_min_pd(a.lanes, b.lanes)}; }
  static Vector larger(Vector a, Vector b) { return {_mm512_max_pd(a.lanes, b.lanes)}; }
  static Vector absolute(Vector a) { return {_mm512_abs_pd(a.lanes)}; }
  static Vector where_larger(Vector a, Vector b, Vector if_larger, Vector otherwise) {
    return {_mm512_mask_mov_pd(otherwise.lanes, _mm512_cmp_pd_mask(a.lanes, b.lanes, _CMP_GT_OQ),
                               if_larger.lanes)};
  }
  static bool any_larger(Vector a, Vector b) {
    return _mm512_cmp_pd_mask(a.lanes, b.lanes, _CMP_GT_OQ) != 0;
  }
  static bool all_larger(Vector a, Vector b) {
    return _mm512_cmp_pd_mask(a.lanes, b.lanes, _CMP_GT_OQ) == 0xff;
  }
  static Vector round(Vector a) {
    return {_mm512_roundscale_pd(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  void store_int32(int32_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtpd_epi32(lanes));
  }
  static double lowest_lane(Vector a) { return _mm512_reduce_min_pd(a.lanes); }
  static double highest_lane(Vector a) { return _mm512_reduce_max_pd(a.lanes); }
  static double sum_of_lanes(Vector a) { return _mm512_reduce_add_pd(a.lanes); }

  template <int kColumns>
  [[gnu::always_inline]] static void load_columns(const double* rows, int64_t row_size,
                                                  const int32_t* row_index, Vector* columns) {
    load_parts(rows, row_size, row_index, columns, std::make_integer_sequence<int, kColumns / 2>{});
  }

 private:
  template <int... kParts>
  [[gnu::always_inline]] static void load_parts(const double* rows, int64_t row_size,
                                                const int32_t* row_index, Vector* columns,
                                                std::integer_sequence<int, kParts...>) {
    (load_two_columns(rows + 2 * kParts, row_size, row_index, columns + 2 * kParts), ...);
  }

  [[gnu::always_inline]] static void load_two_columns(const double* rows, int64_t row_size,
                                                      const int32_t* row_index, Vector* columns) {
    __m512d pairs[2];  // 128-bit lane q of pairs[r]: two columns of row 2 q + r
    for (int r = 0; r < 2; ++r) {
      const auto row = [&](int q) { return _mm_loadu_pd(rows + row_index[2 * q + r] * row_size); };
      pairs[r] = _mm512_castpd128_pd512(row(0));
      pairs[r] = _mm512_insertf64x2(pairs[r], row(1), 1);
      pairs[r] = _mm512_insertf64x2(pairs[r], row(2), 2);
      pairs[r] = _mm512_insertf64x2(pairs[r], row(3), 3);
    }
    columns[0].lanes = _mm512_unpacklo_pd(pairs[0], pairs[1]);
    columns[1].lanes = _mm512_unpackhi_pd(pairs[0], pairs[1]);
  }

 public:
  static Vector first_powers(double t, double t2, double t4) {
    const __m512d one = _mm512_set1_pd(1);
    const __m512d bit0 = _mm512_mask_mov_pd(one, 0xaa, _mm512_set1_pd(t));
    const __m512d bit1 = _mm512_mask_mov_pd(one, 0xcc, _mm512_set1_pd(t2));
    const __m512d bit2 = _mm512_mask_mov_pd(one, 0xf0, _mm512_set1_pd(t4));
    return {_mm512_mul_pd(_mm512_mul_pd(bit0, bit1), bit2)};
  }
};

template <>
struct Widened<float> {
  using Wide = Vector<double>;
  static constexpr int kParts = 2;
  static void load(const float* from, Wide* parts) {
    parts[0].lanes = _mm512_cvtps_pd(_mm256_loadu_ps(from));
    parts[1].lanes = _mm512_cvtps_pd(_mm256_loadu_ps(from + 8));
  }
  static Vector<float> narrow(const Wide* parts) {
    const __m512 low = _mm512_castps256_ps512(_mm512_cvtpd_ps(parts[0].lanes));
    return {_mm512_insertf32x8(low, _mm512_cvtpd_ps(parts[1].lanes), 1)};
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
