#pragma once

#include <vector>

#include "adapter.h"

namespace rank_relax::handlers {

/// Numbers for each list, [*, L] of any dtype of numbers, in double; or one for all lists.
class Levels {
 public:
  explicit Levels(double same) : values_{same}, lists_(Lists<double>::same(values_[0])) {}

  explicit Levels(const ffi::AnyBuffer& buffer) : size_(size_of(buffer)) {
    const auto take_in = [&](auto zero) {
      using Number = decltype(zero);
      const auto* const from = data_of<Number>(buffer);
      values_.assign(from, from + buffer.element_count());
    };
    switch (buffer.element_type()) {
      case ffi::S32:
        take_in(int32_t());
        break;
      case ffi::S64:
        take_in(int64_t());
        break;
      default:
        visit_floating(buffer.element_type(), take_in);
    }
    lists_ = Lists<double>(values_.data(), count_of(buffer), size_);
  }
  Levels(const Levels&) = delete;

  int64_t size() const { return size_; }
  /// Borrows this.
  cpu::Rows<double> rows() const { return lists_.rows(); }

 private:
  int64_t size_ = 1;
  std::vector<double> values_;
  Lists<double> lists_;
};

/// The levels that come next, [*, L], if there are any, else the number for all lists.
inline Levels next_levels(Optional& given, bool has_levels, double level) {
  if (has_levels) return Levels(given.next());
  return Levels(level);
}

/// Results in double, rounded to what they are returned in.
template <class Scalar>
void round_to(const std::vector<double>& from, ffi::Result<ffi::AnyBuffer>& to) {
  auto* const rounded = data_of<Scalar>(to);
  for (size_t i = 0; i < from.size(); ++i) rounded[i] = static_cast<Scalar>(from[i]);
}

}  // namespace rank_relax::handlers
