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
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "core/box_series.h"
#include "core/correlation.h"
#include "core/grid_placement.h"
#include "core/pairwise_sum.h"
#include "core/quantile_series.h"
#include "core/row_form.h"
#include "core/smooth_cdf.h"
#include "core/upper_tail.h"
#include "cpu/aligned_array.h"
#include "cpu/finite_row.h"
#include "cpu/instruction_set.h"
#include "cpu/parallel.h"
#include "cpu/rows.h"
#include "cpu/targets.h"
