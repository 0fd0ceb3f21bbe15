#pragma once

#include "cpu/isa/vector.h"

namespace rank_relax::cpu::RANK_RELAX_ISA {

/// The portable one; avx2.h and avx512.h have their own of floats.
template <class Scalar>
struct Widened {
  using Wide = Vector<double>;
  static constexpr int kParts = sizeof(double) / sizeof(Scalar);

  static void load(const Scalar* from, Wide* parts) {
    for (int part = 0; part < kParts; ++part, from += Wide::kLanes) {
      double lanes[Wide::kLanes];
      for (int i = 0; i < Wide::kLanes; ++i) lanes[i] = from[i];
      parts[part] = Wide::load(lanes);
    }
  }
  static Vector<Scalar> narrow(const Wide* parts) {
    Scalar lanes[kParts * Wide::kLanes];
    for (int part = 0; part < kParts; ++part) {
      double wide[Wide::kLanes];
      parts[part].store(wide);
      for (int i = 0; i < Wide::kLanes; ++i) {
        lanes[part * Wide::kLanes + i] = static_cast<Scalar>(wide[i]);
      }
    }
    return Vector<Scalar>::load(lanes);
  }
};

}  // namespace rank_relax::cpu::RANK_RELAX_ISA
