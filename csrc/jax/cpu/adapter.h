#pragma once

#include <cfenv>
#include <cstdint>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "core/methods.h"
#include "core/refusals.h"
#include "cpu/parallel.h"
#include "cpu/row/rows.h"
#include "xla/ffi/api/ffi.h"

// What all handlers share. XLA gives them row-major buffers, the batch in front: [*, n].

namespace rank_relax::handlers {

namespace ffi = ::xla::ffi;

/// What a kernel refuses; a handler returns it as XLA's error.
class Refused : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A buffer's numbers, of which the caller knows the type.
template <class T>
const T* data_of(const ffi::AnyBuffer& buffer) {
  return static_cast<const T*>(buffer.untyped_data());
}

template <class T>
T* data_of(ffi::Result<ffi::AnyBuffer>& result) {
  return static_cast<T*>(result->untyped_data());
}

/// The lists in a buffer: all dimensions but the last are one.
template <class T>
class Lists {
 public:
  Lists() : Lists(nullptr, 0, 0) {}
  /// For a buffer of that many lists, or one of one list that all of them share.
  Lists(const ffi::AnyBuffer& buffer, int64_t count)
      : Lists(data_of<T>(buffer), count, buffer.dimensions().back()) {}
  Lists(const T* data, int64_t count, int64_t size)
      : data_(data), sizes_{count, size}, strides_{size, 1} {}

  /// Borrows this.
  cpu::Rows<T> rows() const { return {data_, sizes_, strides_, 2}; }

  /// One number that all lists have.
  static Lists same(const T& number) {
    Lists lists(&number, 1, 1);
    lists.strides_[0] = 0;
    return lists;
  }

 private:
  const T* data_;
  int64_t sizes_[2], strides_[2];
};

/// How many lists a buffer holds.
inline int64_t count_of(const ffi::AnyBuffer& buffer) {
  int64_t count = 1;
  const auto sizes = buffer.dimensions();
  for (size_t dim = 0; dim + 1 < sizes.size(); ++dim) count *= sizes[dim];
  return count;
}

inline int64_t size_of(const ffi::AnyBuffer& buffer) { return buffer.dimensions().back(); }

/// What comes behind the operands that every call has: in their order, those that it was given.
class Optional {
 public:
  explicit Optional(const ffi::RemainingArgs& given) : given_(given) {}

  ffi::AnyBuffer next() {
    const auto buffer = given_.get<ffi::AnyBuffer>(place_++);
    if (!buffer.has_value()) throw Refused("rank_relax: an operand is missing");
    return *buffer;
  }
  /// The next one, if it was given at all.
  std::optional<ffi::AnyBuffer> next_if(bool is_given) {
    if (!is_given) return std::nullopt;
    return next();
  }
  size_t left() const { return given_.size() - place_; }

 private:
  const ffi::RemainingArgs& given_;
  size_t place_ = 0;
};

/// The mask, where that is all that may come behind the operands that every call has.
inline std::optional<ffi::AnyBuffer> mask_of(const ffi::RemainingArgs& others) {
  return Optional(others).next_if(others.size() > 0);
}

/// Which items of so many lists count; without a mask, as the kernels have it, all.
inline Lists<uint8_t> counted_by(const std::optional<ffi::AnyBuffer>& mask, int64_t count) {
  return mask.has_value() ? Lists<uint8_t>(*mask, count) : Lists<uint8_t>();
}

/// visit(float()) or visit(double()).
template <class Visit>
void visit_floating(ffi::DataType dtype, const Visit& visit) {
  switch (dtype) {
    case ffi::F32:
      return visit(float());
    case ffi::F64:
      return visit(double());
    default:
      throw Refused("rank_relax: the kernels take float32 and float64");
  }
}

/// visit(batch, float()) or visit(batch, double()) with the lists as the kernels take them.
template <class Visit>
void visit_batch(const ffi::AnyBuffer& input, double strength, std::string_view method,
                 const std::optional<ffi::AnyBuffer>& mask, const Visit& visit) {
  const int64_t count = count_of(input), size = size_of(input);
  visit_floating(input.element_type(), [&](auto zero) {
    using Scalar = decltype(zero);
    if (size > refusal::kLongestList && count > 0) {
      throw Refused("rank_relax: " + refusal::too_long(size));
    }
    const Lists<Scalar> lists(input, count);
    const Lists<uint8_t> counted = counted_by(mask, count);
    visit(cpu::SoftBatch<Scalar>{{count, size, lists.rows(), counted.rows()}, strength, method},
          zero);
  });
}

/// With which methods are asked about.
void check_method(std::string_view method);
void check_smooth_cdf(std::string_view method);
/// If a list is too long for the blocks of a projection to be numbered.
void check_blocks_fit(int64_t size, std::string_view method);

/// XLA's own threads. XLA's pool may be full of handlers that wait: the caller works through the
/// ranges itself, and takes what help it gets.
cpu::ParallelFor parallel_for(ffi::ThreadPool pool);

/// While it lives, this thread has the arithmetic of C++: XLA's flushes denormal numbers to 0,
/// which makes equal what is not.
class PlainArithmetic {
 public:
  PlainArithmetic() {
    std::fegetenv(&before_);
    std::fesetenv(FE_DFL_ENV);
  }
  ~PlainArithmetic() { std::fesetenv(&before_); }
  PlainArithmetic(const PlainArithmetic&) = delete;

 private:
  std::fenv_t before_;
};

/// Runs a handler's work, and turns what it throws into XLA's error.
template <class Work>
ffi::Error run(const Work& work) {
  const PlainArithmetic arithmetic;
  try {
    work();
    return ffi::Error::Success();
  } catch (const Refused& refused) {
    return ffi::Error::InvalidArgument(refused.what());
  } catch (const std::invalid_argument& error) {  // of cpu::instruction_set()
    return ffi::Error::InvalidArgument(std::string("rank_relax: ") + error.what());
  } catch (const std::bad_alloc&) {
    return ffi::Error(ffi::ErrorCode::kResourceExhausted,
                      "rank_relax: a CPU kernel failed; is memory exhausted?");
  } catch (const std::exception& error) {
    return ffi::Error::Internal(std::string("rank_relax: ") + error.what());
  }
}

/// What follows the contexts in the binding of all that is softened.
template <class Binding>
auto with_softness(Binding&& binding) {
  return std::forward<Binding>(binding)
      .template Attr<double>("regularization_strength")
      .template Attr<std::string_view>("method");
}

/// How the binding of all that is softened on the CPU begins.
inline auto bind() { return with_softness(ffi::Ffi::Bind().Ctx<ffi::ThreadPool>()); }

}  // namespace rank_relax::handlers

/// A handler that the library exports, and what it is bound to.
#define RANK_RELAX_HANDLER(name, function, ...)                                \
  _Pragma("GCC visibility push(default)")                                      \
      XLA_FFI_DEFINE_HANDLER_SYMBOL(rank_relax_##name, function, __VA_ARGS__); \
  _Pragma("GCC visibility pop")
