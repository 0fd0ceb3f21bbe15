#pragma once

#include <immintrin.h>

#include <utility>

#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

template <>
struct Vector<float> {
  static constexpr int kLanes = 8;
  static constexpr int kRegisters = 16;
  static constexpr bool kLooksUp = false;
  static constexpr bool kFuses = true;
  __m256 lanes;

  static __m256i first(int count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static Vector broadcast(float value) { return {_mm256_set1_ps(value)}; }
  static Vector load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static Vector load_first(const float* from, int count) {
    return {_mm256_maskload_ps(from, first(count))};
  }
  void store(float* to) const { _mm256_storeu_ps(to, lanes); }
  void store_first(float* to, int count) const { _mm256_maskstore_ps(to, first(count), lanes); }

  Vector operator+(Vector b) const { return {_mm256_add_ps(lanes, b.lanes)}; }
  Vector operator-(Vector b) const { return {_mm256_sub_ps(lanes, b.lanes)}; }
  Vector operator*(Vector b) const { return {_mm256_mul_ps(lanes, b.lanes)}; }
  Vector operator/(Vector b) const { return {_mm256_div_ps(lanes, b.lanes)}; }
  static Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm256_fmadd_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm256_fmsub_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector exact_remainder(Vector a, Vector b, Vector c) {
    return {_mm256_fnmadd_ps(a.lanes, b.lanes, c.lanes)};
  }
  static Vector smaller(Vector a, Vector b) { return {_mm256_min_ps(a.lanes, b.lanes)}; }
  static Vector larger(Vector a, Vector b) { return {_mm256_max_ps(a.lanes, b.lanes)}; }
  static Vector absolute(Vector a) { return {_mm256_andnot_ps(_mm256_set1_ps(-0.0f), a.lanes)}; }
  static Vector where_larger(Vector a, Vector b, Vector if_larger, Vector otherwise) {
    return {_mm256_blendv_ps(otherwise.lanes, if_larger.lanes,
                             _mm256_cmp_ps(a.lanes, b.lanes, _CMP_GT_OQ))};
  }
  static bool any_larger(Vector a, Vector b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a.lanes, b.lanes, _CMP_GT_OQ)) != 0;
  }
  static bool all_larger(Vector a, Vector b) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a.lanes, b.lanes, _CMP_GT_OQ)) == 0xff;
  }
  static Vector round(Vector a) {
    return {_mm256_round_ps(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  void store_int32(int32_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_cvtps_epi32(lanes));
  }
  static float lowest_lane(Vector a) {
    __m128 low = _mm_min_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
    low = _mm_min_ps(low, _mm_movehl_ps(low, low));
    return _mm_cvtss_f32(_mm_min_ss(low, _mm_movehdup_ps(low)));
  }
  static float highest_lane(Vector a) {
    __m128 high = _mm_max_ps(_mm256_castps256_ps128(a.lanes), _mm256_extractf128_ps(a.lanes, 1));
    high = _mm_max_ps(high, _mm_movehl_ps(high, high));
    return _mm_cvtss_f32(_mm_max_ss(high, _mm_movehdup_ps(high)));
  }
  static double sum_of_lanes(Vector a) {
    const __m256d sums = _mm256_add_pd(_mm256_cvtps_pd(_mm256_castps256_ps128(a.lanes)),
                                       _mm256_cvtps_pd(_mm256_extractf128_ps(a.lanes, 1)));
    const __m128d pair = _mm_add_pd(_mm256_castpd256_pd128(sums), _mm256_extractf128_pd(sums, 1));
    return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
  }

  template <int kColumns>
  [[gnu::always_inline]] static void load_columns(const float* rows, int64_t row_size,
                                                  const int32_t* row_index, Vector* columns) {
    load_parts(rows, row_size, row_index, columns, std::make_integer_sequence<int, kColumns / 4>{});
  }

  template <int kColumns>
  [[gnu::always_inline]] static void store_rows(const Vector* columns, float* rows) {
    Vector quads[kColumns / 4][4];  // 128-bit lane q of quads[half][r]: four columns of row 4 q + r
    for (int half = 0; half < kColumns / 4; ++half)
      transpose_quads(columns + 4 * half, quads[half]);
    for (int r = 0; r < 4; ++r) {
      if constexpr (kColumns == 4) {
        quads[0][r].store(rows + 8 * r);
      } else {
        const __m256 first = quads[0][r].lanes, second = quads[1][r].lanes;
        _mm256_storeu_ps(rows + 16 * r, _mm256_permute2f128_ps(first, second, 0x20));
        _mm256_storeu_ps(rows + 16 * r + 8, _mm256_permute2f128_ps(first, second, 0x31));
      }
    }
  }
  static constexpr int row_of(int lane) { return lane % 4 * 2 + lane / 4; }

  template <int kColumns>
  [[gnu::always_inline]] static void add_row(const float* row, double* sums) {
    for (int k = 0; k < kColumns; k += 4) {
      const __m256d more = _mm256_cvtps_pd(_mm_loadu_ps(row + k));
      _mm256_storeu_pd(sums + k, _mm256_add_pd(_mm256_loadu_pd(sums + k), more));
    }
  }

 private:
  template <int... kParts>
  [[gnu::always_inline]] static void load_parts(const float* rows, int64_t row_size,
                                                const int32_t* row_index, Vector* columns,
                                                std::integer_sequence<int, kParts...>) {
    (load_four_columns(rows + 4 * kParts, row_size, row_index, columns + 4 * kParts), ...);
  }

  [[gnu::always_inline]] static void load_four_columns(const float* rows, int64_t row_size,
                                                       const int32_t* row_index, Vector* columns) {
    Vector quads[4];  // 128-bit lane q of quads[r]: four columns of row 4 q + r
    for (int r = 0; r < 4; ++r) {
      quads[r].lanes =
          _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows + row_index[r] * row_size)),
                               _mm_loadu_ps(rows + row_index[4 + r] * row_size), 1);
    }
    transpose_quads(quads, columns);
  }

  /// In each 128-bit lane, a matrix of 4 by 4 transposed.
  [[gnu::always_inline]] static void transpose_quads(const Vector* from, Vector* to) {
    const __m256d low01 = _mm256_castps_pd(_mm256_unpacklo_ps(from[0].lanes, from[1].lanes));
    const __m256d low23 = _mm256_castps_pd(_mm256_unpacklo_ps(from[2].lanes, from[3].lanes));
    const __m256d high01 = _mm256_castps_pd(_mm256_unpackhi_ps(from[0].lanes, from[1].lanes));
    const __m256d high23 = _mm256_castps_pd(_mm256_unpackhi_ps(from[2].lanes, from[3].lanes));
    to[0].lanes = _mm256_castpd_ps(_mm256_unpacklo_pd(low01, low23));
    to[1].lanes = _mm256_castpd_ps(_mm256_unpackhi_pd(low01, low23));
    to[2].lanes = _mm256_castpd_ps(_mm256_unpacklo_pd(high01, high23));
    to[3].lanes = _mm256_castpd_ps(_mm256_unpackhi_pd(high01, high23));
  }
};

template <>
struct Vector<double> {
  static constexpr int kLanes = 4;
  static constexpr int kRegisters = 16;
  static constexpr bool kLooksUp = false;
  static constexpr bool kFuses = true;
  __m256d lanes;

  static __m256i first(int count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  }
  static Vector broadcast(double value) { return {_mm256_set1_pd(value)}; }
  static Vector load(const double* from) { return {_mm256_loadu_pd(from)}; }
  static Vector load_first(const double* from, int count) {
    return {_mm256_maskload_pd(from, first(count))};
  }
  void store(double* to) const { _mm256_storeu_pd(to, lanes); }
  void store_first(double* to, int count) const { _mm256_maskstore_pd(to, first(count), lanes); }

  Vector operator+(Vector b) const { return {_mm256_add_pd(lanes, b.lanes)}; }
  Vector operator-(Vector b) const { return {_mm256_sub_pd(lanes, b.lanes)}; }
  Vector operator*(Vector b) const { return {_mm256_mul_pd(lanes, b.lanes)}; }
  Vector operator/(Vector b) const { return {_mm256_div_pd(lanes, b.lanes)}; }
  static Vector multiply_add(Vector a, Vector b, Vector c) {
    return {_mm256_fmadd_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector multiply_subtract(Vector a, Vector b, Vector c) {
    return {_mm256_fmsub_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector exact_remainder(Vector a, Vector b, Vector c) {
    return {_mm256_fnmadd_pd(a.lanes, b.lanes, c.lanes)};
  }
  static Vector smaller(Vector a, Vector b) { return {_mm256_min_pd(a.lanes, b.lanes)}; }
  static Vector larger(Vector a, Vector b) { return {_mm256_max_pd(a.lanes, b.lanes)}; }
  static Vector absolute(Vector a) { return {_mm256_andnot_pd(_mm256_set1_pd(-0.0), a.lanes)}; }
  static Vector where_larger(Vector a, Vector b, Vector if_larger, Vector otherwise) {
    return {_mm256_blendv_pd(otherwise.lanes, if_larger.lanes,
                             _mm256_cmp_pd(a.lanes, b.lanes, _CMP_GT_OQ))};
  }
  static bool any_larger(Vector a, Vector b) {
    return _mm256_movemask_pd(_mm256_cmp_pd(a.lanes, b.lanes, _CMP_GT_OQ)) != 0;
  }
  static bool all_larger(Vector a, Vector b) {
    return _mm256_movemask_pd(_mm256_cmp_pd(a.lanes, b.lanes, _CMP_GT_OQ)) == 0xf;
  }
  static Vector round(Vector a) {
    return {_mm256_round_pd(a.lanes, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
  }
  void store_int32(int32_t* to) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_cvtpd_epi32(lanes));
  }
  static double lowest_lane(Vector a) {
    const __m128d low =
        _mm_min_pd(_mm256_castpd256_pd128(a.lanes), _mm256_extractf128_pd(a.lanes, 1));
    return _mm_cvtsd_f64(_mm_min_sd(low, _mm_unpackhi_pd(low, low)));
  }
  static double highest_lane(Vector a) {
    const __m128d high =
        _mm_max_pd(_mm256_castpd256_pd128(a.lanes), _mm256_extractf128_pd(a.lanes, 1));
    return _mm_cvtsd_f64(_mm_max_sd(high, _mm_unpackhi_pd(high, high)));
  }
  static double sum_of_lanes(Vector a) {
    const __m128d pair =
        _mm_add_pd(_mm256_castpd256_pd128(a.lanes), _mm256_extractf128_pd(a.lanes, 1));
    return _mm_cvtsd_f64(_mm_add_sd(pair, _mm_unpackhi_pd(pair, pair)));
  }

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
    __m256d pairs[2];  // 128-bit lane q of pairs[r]: two columns of row 2 q + r
    for (int r = 0; r < 2; ++r) {
      pairs[r] =
          _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(rows + row_index[r] * row_size)),
                               _mm_loadu_pd(rows + row_index[2 + r] * row_size), 1);
    }
    columns[0].lanes = _mm256_unpacklo_pd(pairs[0], pairs[1]);
    columns[1].lanes = _mm256_unpackhi_pd(pairs[0], pairs[1]);
  }

 public:
  static Vector first_powers(double t, double t2, double) {
    const __m256d one = _mm256_set1_pd(1);
    const __m256d bit0 = _mm256_blend_pd(one, _mm256_set1_pd(t), 0b1010);
    const __m256d bit1 = _mm256_blend_pd(one, _mm256_set1_pd(t2), 0b1100);
    return {_mm256_mul_pd(bit0, bit1)};
  }
};

template <>
struct Widened<float> {
  using Wide = Vector<double>;
  static constexpr int kParts = 2;
  static void load(const float* from, Wide* parts) {
    parts[0].lanes = _mm256_cvtps_pd(_mm_loadu_ps(from));
    parts[1].lanes = _mm256_cvtps_pd(_mm_loadu_ps(from + 4));
  }
  static Vector<float> narrow(const Wide* parts) {
    return {_mm256_set_m128(_mm256_cvtpd_ps(parts[1].lanes), _mm256_cvtpd_ps(parts[0].lanes))};
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
