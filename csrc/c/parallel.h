#pragma once

#include "c/include/rank_relax.h"
#include "cpu/parallel.h"

namespace rank_relax::c {

/// The caller's loop, which may be written in C, Rust or Julia: no exception passes through it. The
/// first one that work throws is thrown again when the loop is over.
cpu::ParallelFor parallel_for_of(const rank_relax_options& options);

}  // namespace rank_relax::c
