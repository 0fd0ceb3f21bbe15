#pragma once

// What the kernels of every instruction set share: the standard library and the mathematics in
// double. Included before the compiler is told to use an instruction set, so that the one copy of
// their functions that the linker keeps runs on every machine.

#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "core/cdf/exponential_sum.h"
#include "core/cdf/smooth_cdfs.h"
#include "core/cdf/upper_tail.h"
#include "core/correlation.h"
#include "core/inverse/exponential_levels.h"
#include "core/inverse/root_search.h"
#include "core/inverse/strength_in_gap.h"
#include "core/inverse/tail_balance.h"
#include "core/row/center.h"
#include "core/row/grid_placement.h"
#include "core/row/kind.h"
#include "core/row/one_box_placement.h"
#include "core/row/row_counts.h"
#include "core/row/row_form.h"
#include "core/row/scaled_difference.h"
#include "core/row/scaled_spread.h"
#include "core/row/split_row_form.h"
#include "core/series/box_series.h"
#include "core/series/quantile_series.h"
#include "core/sum/compensated_sum.h"
#include "core/sum/kernel_at.h"
#include "core/sum/pairwise_sum.h"
#include "core/sum/sum_at_points_form.h"
#include "core/sum/sum_over_prefixes_form.h"
#include "cpu/aligned_array.h"
#include "cpu/isa/flush_to_zero.h"
#include "cpu/isa/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/row/finite_row.h"
#include "cpu/row/numbers.h"
#include "cpu/row/rows.h"
#include "cpu/row/targets.h"
#include "cpu/soft_count.h"
