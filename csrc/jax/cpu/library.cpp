#include "core/cdf/smooth_cdfs.h"
#include "core/methods.h"
#include "xla/ffi/api/c_api.h"

// What the Python package asks the library itself, by ctypes.

#pragma GCC visibility push(default)
extern "C" {

/// How many times a soft rank can be differentiated, or a kernel of soft_count.
int rank_relax_max_order(const char* method) { return rank_relax::max_order(method); }

/// The scaled spread of a list below which its ranks are linear in its values, to rounding.
double rank_relax_linear_spread(const char* method) { return rank_relax::linear_spread(method); }

/// The version of XLA's FFI that the handlers are compiled for: major · 1000 + minor.
int rank_relax_ffi_version() { return XLA_FFI_API_MAJOR * 1000 + XLA_FFI_API_MINOR; }
}
#pragma GCC visibility pop
