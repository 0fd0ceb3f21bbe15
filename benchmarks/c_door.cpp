// What a call through the header for C costs beside the kernel alone; one thread, one list of
// float64. A C++ compiler and what tests/c/library leaves are needed:
//
//   g++ -std=c++17 -O2 -Icsrc benchmarks/c_door.cpp build/c/librank_relax.a -pthread -o
//   build/c_door build/c_door
//
// Both run in turns over the same numbers; the ratio is the median over rounds of the ratio inside
// a round, with half of the rounds within the ± beside it. The two results are compared bit by bit.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <vector>

#include "c/include/rank_relax.h"
#include "cpu/soft_rank.h"

namespace {

template <class Call>
double nanoseconds(int count, const Call& call) {
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < count; ++i) call();
  const std::chrono::duration<double, std::nano> duration =
      std::chrono::steady_clock::now() - begin;
  return duration.count() / count;
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

}  // namespace

int main() {
  std::mt19937_64 generator(1);
  std::normal_distribution<double> normal;
  std::printf("%8s %14s %14s %20s\n", "n", "kernel, ns", "C, ns", "C / kernel");
  for (int64_t n : {10, 100, 1000, 10000}) {
    std::vector<double> x(n), ranks(n), through_c(n);
    for (double& value : x) value = normal(generator);
    const int64_t sizes[] = {n}, strides[] = {1};
    const rank_relax::cpu::SoftBatch<double> batch{
        {1, n, {x.data(), sizes, strides, 1}, {}}, 1.0, "sigmoid"};
    int64_t shape[] = {n};
    const rank_relax_tensor input = {x.data(), {1, 0}, 1, {2, 64, 1}, shape, nullptr, 0};
    const rank_relax_tensor output = {through_c.data(), {1, 0}, 1, {2, 64, 1}, shape, nullptr, 0};
    const rank_relax_options options = RANK_RELAX_OPTIONS;
    const auto kernel = [&] {
      rank_relax::cpu::soft_rank(batch, ranks.data(), rank_relax::cpu::in_this_thread);
    };
    const auto door = [&] { rank_relax_soft_rank(&input, &options, &output); };
    const int count = static_cast<int>(2'000'000 / (n + 1000));
    std::vector<double> kernels, doors, ratios, spreads;
    for (int round = 0; round < 41; ++round) {
      kernels.push_back(nanoseconds(count, kernel));
      doors.push_back(nanoseconds(count, door));
      ratios.push_back(doors.back() / kernels.back());
    }
    if (std::memcmp(ranks.data(), through_c.data(), n * sizeof(double)) != 0) return 1;
    const double middle = median(ratios);
    for (double ratio : ratios) spreads.push_back(std::abs(ratio - middle));
    std::printf("%8lld %14.0f %14.0f %12.3f ± %.3f\n", static_cast<long long>(n), median(kernels),
                median(doors), middle, median(spreads));
  }
}
