#pragma once

#include <stdexcept>
#include <string>

#include "c/include/rank_relax.h"

namespace rank_relax::c {

/// Why a function does not do what it was asked to.
class Refused : public std::runtime_error {
 public:
  Refused(rank_relax_status status, const std::string& sentence)
      : std::runtime_error(sentence), status_(status) {}

  rank_relax_status status() const { return status_; }

 private:
  rank_relax_status status_;
};

[[noreturn]] inline void refuse(const std::string& sentence) {
  throw Refused(RANK_RELAX_INVALID_ARGUMENT, sentence);
}

[[noreturn]] inline void unsupported(const std::string& sentence) {
  throw Refused(RANK_RELAX_UNSUPPORTED, sentence);
}

/// A body to run, borrowed: std::function would take memory, which may not be there, before
/// anything can be caught.
struct Body {
  const void* body;
  void (*run)(const void* body);
};

/// What the body throws ends here, as a status and the sentence of this thread: "function: why".
rank_relax_status status_of(const char* function, Body body) noexcept;

template <class Function>
rank_relax_status status_of(const char* function, const Function& body) noexcept {
  return status_of(function,
                   Body{&body, [](const void* it) { (*static_cast<const Function*>(it))(); }});
}

}  // namespace rank_relax::c
