// Rows that another stream writes to while the kernels read them. What comes out is anything; but
// the kernels end, and no memory but their own is written to.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "../for_each_cdf.h"
#include "core/cdf/capabilities.h"
#include "core/cdf/smooth_cdfs.h"
#include "cuda/projection/permutahedron.h"
#include "cuda/soft_rank.h"
#include "cuda/soft_sort_and_soft_quantile.h"
#include "cuda/soft_topk.h"
#include "tensor.h"

namespace {

using namespace rank_relax;
using cuda::KernelSum;
using cuda::Quantile;

int failures = 0;

/// Memory for results or to work in, with more on both sides that must stay as it is.
class Guarded {
 public:
  explicit Guarded(size_t size) : size_(size), bytes_(size + 2 * kGuard, emulator::kSpoilt) {}

  template <class T = void>
  T* data() {
    return reinterpret_cast<T*>(bytes_.data() + kGuard);
  }

  void check(const std::string& what) const {
    const auto is_written = [](char byte) { return byte != emulator::kSpoilt; };
    if (std::any_of(bytes_.begin(), bytes_.begin() + kGuard, is_written) ||
        std::any_of(bytes_.begin() + kGuard + size_, bytes_.end(), is_written)) {
      std::printf("FAILED: %s: memory beside what was given is written to\n", what.c_str());
      ++failures;
    }
  }

 private:
  static constexpr size_t kGuard = 64 << 10;

  size_t size_;
  std::vector<char> bytes_;
};

/// A few rows that turn, at random moments, into others: narrow, wide, equal, far apart, or with
/// items that are no number.
class ChangingRows {
 public:
  ChangingRows(Storage storage, int64_t rows, int64_t size, std::mt19937& random)
      : storage_(storage),
        rows_(rows),
        size_(size),
        random_(random),
        items_(storage, Row(rows * size)) {
    for (int64_t row = 0; row < rows; ++row) change(row * size, size);
    emulator::meanwhile = [this] {
      if (random_() % 64 != 0) return;
      const int64_t items = rows_ * size_, number = std::min(items, kAtOnce);
      change(static_cast<int64_t>(random_() % (items - number + 1)), number);
    };
  }
  ~ChangingRows() { emulator::meanwhile = nullptr; }
  ChangingRows(const ChangingRows&) = delete;
  ChangingRows& operator=(const ChangingRows&) = delete;

  template <class Problem>
  void describe(Problem& problem) const {
    problem.rows = rows_;
    problem.size = size_;
    problem.input = items_.items(size_);
  }

 private:
  double value(unsigned kind, double random) const {
    const double largest = storage_ == Storage::kFloat64 ? 1.7e308 : 3e38;
    switch (kind) {
      case 0:
        return random * 1e-3;
      case 1:
        return random;
      case 2:
        return random * static_cast<double>(size_);
      case 3:
        return 1;
      case 4:
        return random_() % 3 == 0 ? kNan : random;
      case 5:
        return std::copysign(kInfinity, random);
      case 6:
        return std::copysign(largest, random);
      default:
        return random * 1e20;
    }
  }

  void change(int64_t begin, int64_t number) {
    const unsigned kind = random_() % 8;
    for (int64_t i = begin; i < begin + number; ++i) {
      cuda::store(items_.results(), i, value(kind, normal_(random_)));
    }
  }

  static constexpr int64_t kAtOnce = 40;

  Storage storage_;
  int64_t rows_, size_;
  std::mt19937& random_;
  std::normal_distribution<double> normal_;
  mutable Tensor items_;
};

size_t bytes_of_results(int64_t rows, int64_t size) {
  return static_cast<size_t>(rows * size) * sizeof(double);
}

void sum(const std::string& method, Storage storage, int64_t rows, int64_t size, double strength,
         std::mt19937& random) {
  const Row directions = [&] {
    Row all(rows * size);
    for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<double>(i % 7);
    return all;
  }();
  const Tensor along(storage, directions);
  for (int order = 0; order <= 2; ++order) {
    ChangingRows input(storage, rows, size, random);
    KernelSum problem;
    input.describe(problem);
    problem.regularization_strength = strength;
    problem.order = order;
    problem.shift = order == 0 && random() % 2 == 0 ? 0.5 : 0;
    for (int l = 0; l < order; ++l) problem.directions[l] = along.items(size);
    Guarded output(bytes_of_results(rows, size));
    Guarded workspace(cuda::kernel_sum_workspace(problem, method));
    problem.output = {output.data(), storage};
    if (cuda::kernel_sum(problem, method, workspace.data(), nullptr) != cudaSuccess) ++failures;
    output.check("a sum");
    workspace.check("what a sum works in");
  }
}

void sort(const std::string& method, Storage storage, int64_t rows, int64_t size, double strength,
          std::mt19937& random) {
  const Tensor levels(Storage::kFloat64, Row(rows, static_cast<double>(size) / 2));
  for (const bool at_levels : {false, true}) {
    ChangingRows input(storage, rows, size, random);
    Quantile problem;
    input.describe(problem);
    problem.regularization_strength = strength;
    Guarded points(bytes_of_results(rows, at_levels ? 1 : size));
    problem.points = points.data<double>();
    if (at_levels) {
      problem.levels = levels.items(1);
      problem.level_count = 1;
    }
    Guarded workspace(cuda::quantile_workspace(problem, method));
    if (cuda::quantile(problem, method, workspace.data(), nullptr) != cudaSuccess) ++failures;
    points.check("points");
    workspace.check("what a quantile works in");
  }
}

void choose(const std::string& method, Storage storage, int64_t rows, int64_t size, double strength,
            std::mt19937& random) {
  Tensor numbers(Storage::kFloat64, Row(rows, static_cast<double>(size / 2)));
  ChangingRows input(storage, rows, size, random);
  emulator::meanwhile = [&, change_items = emulator::meanwhile] {
    change_items();
    if (random() % 64 != 0) return;
    const double all = static_cast<double>(size);
    const double others[] = {0, all / 2, all - 1, all, -1, kNan};
    cuda::store(numbers.results(), static_cast<int64_t>(random() % rows), others[random() % 6]);
  };
  cuda::SoftTopK problem;
  input.describe(problem);
  problem.regularization_strength = strength;
  problem.numbers = numbers.items(1);
  Guarded chosen(bytes_of_results(rows, size)), densities(bytes_of_results(rows, size));
  problem.chosen = {chosen.data(), storage};
  problem.densities = densities.data<double>();
  Guarded workspace(cuda::soft_topk_workspace(problem));
  if (cuda::soft_topk(problem, method, workspace.data(), nullptr) != cudaSuccess) ++failures;
  chosen.check("a mask");
  densities.check("densities");
  workspace.check("what a mask works in");
}

void project(const std::string& method, Storage storage, int64_t rows, int64_t size,
             double strength, std::mt19937& random) {
  ChangingRows input(storage, rows, size, random);
  cuda::RowBatch batch;
  input.describe(batch);
  batch.regularization_strength = strength;
  Guarded results(bytes_of_results(rows, size)), permutation(bytes_of_results(rows, size));
  Guarded blocks(static_cast<size_t>(rows * size) * sizeof(int32_t));
  cuda::PermutahedronRank rank;
  rank.batch = batch;
  rank.ranks = {results.data(), storage};
  rank.blocks = blocks.data<int32_t>();
  const cuda::PermutahedronSort sort = {batch, rank.ranks, permutation.data<int64_t>(),
                                        rank.blocks};
  cuda::PermutahedronRankDerivative derivative;
  derivative.batch = batch;
  derivative.blocks = rank.blocks;
  derivative.directions[0] = batch.input;
  derivative.output = rank.ranks;
  const cuda::PermutahedronSortProduct product = {batch, sort.permutation, sort.blocks, batch.input,
                                                  true,  rank.ranks};
  const auto run = [&](const auto& problem, size_t bytes, auto enqueue) {
    Guarded workspace(bytes);
    if (enqueue(problem, method, workspace.template data<void>(), nullptr) != cudaSuccess) {
      ++failures;
    }
    results.check("a projection");
    permutation.check("a permutation");
    blocks.check("blocks");
    workspace.check("what a projection works in");
  };
  run(rank, cuda::permutahedron_rank_workspace(rank), cuda::permutahedron_rank);
  run(derivative, cuda::permutahedron_rank_derivative_workspace(derivative),
      cuda::permutahedron_rank_derivative);
  run(sort, cuda::permutahedron_sort_workspace(sort), cuda::permutahedron_sort);
  run(product, cuda::permutahedron_sort_product_workspace(product),
      cuda::permutahedron_sort_product);
}

}  // namespace

int main(int count, char** arguments) {
  std::mt19937 random(count > 1 ? std::atoi(arguments[1]) : 1);
  struct Shape {
    int64_t rows, size;
  };
  constexpr int64_t kLong = 17000, kShort = 300;
  const auto check_all = [&](const std::string& method, int64_t longest, auto check) {
    for (const Shape& shape : {Shape{9, 20}, {9, 90}, {5, kShort}, {3, 1200}, {1, kLong}}) {
      if (shape.size > longest) continue;
      for (const double strength : {1.0, 100.0}) {
        if (shape.size == kLong && random() % 2 == 0) continue;
        emulator::take_other_turns();
        emulator::most_shared_memory = random() % 2 == 0 ? 227 << 10 : 20 << 10;
        const Storage storage = random() % 2 == 0 ? Storage::kFloat32 : Storage::kFloat64;
        check(method, storage, shape.rows, shape.size, strength, random);
      }
    }
  };
  for_each_cdf(SmoothCdfs(), [&](auto cdf) {
    // Where all pairs are summed a long row takes long, and no other way than a short one.
    const int64_t longest = kFallsExponentially<decltype(cdf)> ? kLong : kShort;
    check_all(decltype(cdf)::name, longest, sum);
    check_all(decltype(cdf)::name, longest, sort);
    check_all(decltype(cdf)::name, kLong, choose);
  });
  for (const char* method : {"l2", "kl"}) check_all(method, kLong, project);
  if (failures > 0) std::printf("%d failures\n", failures);
  return failures > 0 ? 1 : 0;
}
