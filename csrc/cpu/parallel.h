#pragma once

#include <cstdint>
#include <functional>

namespace rank_relax::cpu {

using Work = std::function<void(int64_t begin, int64_t end)>;

/// How the caller spreads independent work over threads: calls `work` on disjoint ranges that
/// cover [0, count), none shorter than `grain` but the last, and returns when all are done.
using ParallelFor = std::function<void(int64_t count, int64_t grain, const Work& work)>;

inline void in_this_thread(int64_t count, int64_t, const Work& work) { work(0, count); }

}  // namespace rank_relax::cpu
