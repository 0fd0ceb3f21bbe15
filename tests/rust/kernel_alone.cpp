// The kernel of soft ranks without any door, for boundary.rs.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

#include "cpu/soft_rank.h"

using namespace rank_relax::cpu;

int main() {
  for (const int64_t n : {10, 1000}) {
    std::vector<double> x(n), ranks(n);
    for (int64_t i = 0; i < n; ++i) x[i] = static_cast<double>(i * 7919 % 1009) / 100.0;
    const int64_t stride = 1;
    const SoftBatch<double> batch{{1, n, {x.data(), &n, &stride, 1}, {}}, 1.0, "sigmoid"};
    const ParallelFor here = in_this_thread;
    double best = 1e300;
    for (int round = 0; round < 200; ++round) {
      constexpr int kCalls = 200;
      const auto start = std::chrono::steady_clock::now();
      for (int call = 0; call < kCalls; ++call) soft_rank(batch, ranks.data(), here);
      const std::chrono::duration<double, std::nano> took =
          std::chrono::steady_clock::now() - start;
      best = std::min(best, took.count() / kCalls);
    }
    std::printf("n = %d: kernel %.0f ns\n", static_cast<int>(n), best);
  }
}
