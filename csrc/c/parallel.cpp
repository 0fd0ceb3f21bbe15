#include "c/parallel.h"

#include <algorithm>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace rank_relax::c {
namespace {

struct GuardedWork {
  const cpu::Work& work;
  std::mutex mutex = {};
  std::exception_ptr error = nullptr;

  static void run(void* guarded, int64_t begin, int64_t end) noexcept {
    GuardedWork& self = *static_cast<GuardedWork*>(guarded);
    try {
      self.work(begin, end);
    } catch (...) {
      const std::lock_guard<std::mutex> lock(self.mutex);
      if (self.error == nullptr) self.error = std::current_exception();
    }
  }
};

}  // namespace

cpu::ParallelFor parallel_for_of(const rank_relax_options& options) {
  if (options.parallel_for == nullptr) return cpu::in_this_thread;
  return [loop = options.parallel_for, context = options.parallel_context](
             int64_t count, int64_t grain, const cpu::Work& work) {
    if (count <= 0) return;
    GuardedWork guarded{work};
    loop(context, count, grain, GuardedWork::run, &guarded);
    if (guarded.error != nullptr) std::rethrow_exception(guarded.error);
  };
}

}  // namespace rank_relax::c

void rank_relax_threads(void* context, int64_t count, int64_t grain, rank_relax_work run,
                        void* work) {
  int64_t wanted = context == nullptr ? 0 : *static_cast<const int64_t*>(context);
  if (wanted <= 0) wanted = std::max(1U, std::thread::hardware_concurrency());
  const int64_t most = grain > 0 ? count / grain : count;  // so that no part is shorter
  const int64_t threads = std::max<int64_t>(1, std::min(wanted, most));
  const int64_t part = (count + threads - 1) / threads;
  std::vector<std::thread> started;
  int64_t next = part;
  try {
    started.reserve(static_cast<size_t>(threads));
    for (; next < count; next += part) {
      started.emplace_back(run, work, next, std::min(count, next + part));
    }
  } catch (const std::exception&) {  // no more threads are to be had: the rest is done here
    if (next < count) run(work, next, count);
  }
  run(work, 0, std::min(part, count));
  for (std::thread& thread : started) thread.join();
}
