#include "adapter.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>

#include "core/projection/block_number.h"

namespace rank_relax::handlers {
namespace {

/// One loop's ranges, and how many of them are done. Threads that come late, when the caller may be
/// gone, find none left, and touch nothing else.
struct Loop {
  std::atomic<int64_t> next{0};
  int64_t ranges = 0;
  std::mutex mutex;
  std::condition_variable all_done;
  int64_t done = 0;
  std::exception_ptr error;  // the first
};

/// Works while there are ranges left.
template <class Range>
void take_part(Loop& loop, const Range& range) {
  for (int64_t i = 0; (i = loop.next.fetch_add(1)) < loop.ranges;) {
    std::exception_ptr error;
    try {
      range(i);
    } catch (...) {
      error = std::current_exception();
    }
    const std::lock_guard<std::mutex> lock(loop.mutex);
    if (error && !loop.error) loop.error = error;
    if (++loop.done == loop.ranges) loop.all_done.notify_all();
  }
}

}  // namespace

cpu::ParallelFor parallel_for(ffi::ThreadPool pool) {
  return [pool](int64_t count, int64_t grain, const cpu::Work& work) mutable {
    const int64_t least = std::max<int64_t>(grain, 1);
    const int64_t parts = std::min<int64_t>(pool.num_threads(), (count + least - 1) / least);
    if (parts <= 1) return work(0, count);
    const int64_t size = std::max(least, (count + parts - 1) / parts);
    const auto loop = std::make_shared<Loop>();
    loop->ranges = (count + size - 1) / size;
    const auto range = [=, &work](int64_t i) { work(i * size, std::min(count, (i + 1) * size)); };
    try {
      for (int64_t i = 1; i < loop->ranges; ++i) {
        pool.Schedule([loop, range] {
          const PlainArithmetic arithmetic;
          take_part(*loop, range);
        });
      }
    } catch (...) {
      // Whoever could be asked may be at work already; the rest is the caller's.
    }
    take_part(*loop, range);
    std::unique_lock<std::mutex> lock(loop->mutex);
    loop->all_done.wait(lock, [&] { return loop->done == loop->ranges; });
    if (loop->error) std::rethrow_exception(loop->error);
  };
}

void check_method(std::string_view method) {
  if (is_method(method)) return;
  throw Refused("rank_relax: " + refusal::not_a_choice("method", method_names(), method));
}

void check_smooth_cdf(std::string_view method) {
  if (SmoothCdfs::contains(method)) return;
  throw Refused("rank_relax: " + refusal::not_a_choice("method", SmoothCdfs::names(), method));
}

void check_blocks_fit(int64_t size, std::string_view method) {
  if (!Projections::contains(method) || size <= kMostBlocks) return;
  throw Refused("rank_relax: " + refusal::too_long_for_blocks(kMostBlocks, method, size));
}

}  // namespace rank_relax::handlers
