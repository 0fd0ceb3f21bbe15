#pragma once

#include <cmath>
#include <limits>

#include "core/host_device.h"

namespace rank_relax {

/// When a search for a root ends.
struct RootTolerance {
  double newton;  // a step of Newton's method that is as short times α: it leaves its square
  double size;    // any step that is lost in the rounding of a number as large, or of the point
};

/// The search for the point y at which a rising function f is 0, between bounds, from a first guess
/// on: Newton's method while its steps halve and stay between the bounds, else bisection. Whoever
/// searches evaluates f:
///
///     while (!search.has_ended()) search.take(f(search.point()));
class RootSearch {
 public:
  /// f at a point.
  struct Step {
    double value;
    double slope;  // by α y
  };

  RANK_RELAX_HOST_DEVICE RootSearch(double first, double lower, double upper, double strength,
                                    const RootTolerance& tolerance)
      : point_(first),
        lower_(lower),
        upper_(upper),
        strength_(strength),
        tolerance_(tolerance),
        last_(std::numeric_limits<double>::infinity()) {}

  /// Where f is wanted, and once the search has ended, the root.
  RANK_RELAX_HOST_DEVICE double point() const { return point_; }
  RANK_RELAX_HOST_DEVICE bool has_ended() const { return has_ended_; }

  /// What f is at the point.
  RANK_RELAX_HOST_DEVICE void take(const Step& f) {
    double next = point_ - f.value / f.slope / strength_;
    const bool is_none = point_ != point_;  // between bounds that are no numbers: it stays so
    has_ended_ = f.value == 0 || next == point_ || is_none;
    if (has_ended_) return;
    (f.value > 0 ? upper_ : lower_) = point_;
    const bool newton = lower_ < next && next < upper_ && std::fabs(next - point_) <= last_ / 2;
    if (!newton) next = lower_ / 2 + upper_ / 2;  // halved, their sum does not overflow
    last_ = std::fabs(next - point_);
    point_ = next;
    has_ended_ = (newton && last_ * strength_ <= tolerance_.newton) || last_ <= rounding_of(next) ||
                 next == lower_ || next == upper_ || ++steps_ == kMostSteps;
  }

 private:
  static constexpr int kMostSteps = 2200;  // halvings of all the range of a double

  RANK_RELAX_HOST_DEVICE double rounding_of(double y) const {
    const double size = std::fabs(y);
    return std::numeric_limits<double>::epsilon() *
           (size > tolerance_.size ? size : tolerance_.size);
  }

  double point_, lower_, upper_;
  double strength_;
  RootTolerance tolerance_;
  double last_;  // step
  int steps_ = 0;
  bool has_ended_ = false;
};

}  // namespace rank_relax
