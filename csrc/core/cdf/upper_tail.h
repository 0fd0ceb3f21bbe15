#pragma once

namespace rank_relax {

/// What a CDF says of the tail beyond a distance d >= 0.
template <class Number>
struct UpperTail {
  Number mass;     // F(-d)
  Number density;  // F'(d)
};

}  // namespace rank_relax
