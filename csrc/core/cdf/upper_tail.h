#pragma once

namespace rank_relax {

/// What a CDF says of the tail beyond a distance d.
struct UpperTail {
  double mass;     // F(-d)
  double density;  // F'(d)
};

}  // namespace rank_relax
