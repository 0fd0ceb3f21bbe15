#include "c/status.h"

#include <cstdio>
#include <exception>
#include <new>

namespace rank_relax::c {
namespace {

// Of a fixed size, so that no memory is needed where none is left, and that an address once given
// out stays good.
thread_local char last_error[1024] = "";

rank_relax_status fail(rank_relax_status status, const char* function, const char* why) {
  std::snprintf(last_error, sizeof last_error, "%s: %s", function, why);
  return status;
}

}  // namespace

rank_relax_status status_of(const char* function, Body body) noexcept {
  try {
    body.run(body.body);
    return RANK_RELAX_OK;
  } catch (const Refused& refused) {
    return fail(refused.status(), function, refused.what());
  } catch (const std::bad_alloc&) {
    return fail(RANK_RELAX_OUT_OF_MEMORY, function, "there is not enough memory");
  } catch (const std::length_error&) {
    return fail(RANK_RELAX_OUT_OF_MEMORY, function, "there is not enough memory");
  } catch (const std::invalid_argument& error) {
    return fail(RANK_RELAX_INVALID_ARGUMENT, function, error.what());
  } catch (const std::exception& error) {
    return fail(RANK_RELAX_INTERNAL_ERROR, function, error.what());
  } catch (...) {
    return fail(RANK_RELAX_INTERNAL_ERROR, function, "an exception of an unknown type");
  }
}

}  // namespace rank_relax::c

const char* rank_relax_last_error(void) { return rank_relax::c::last_error; }

uint32_t rank_relax_version(void) { return RANK_RELAX_VERSION; }
