// librank_relax for tensors in device memory, which the emulator has in the host's: what it gives
// is what the same functions give for tensors on the CPU.

#include <cmath>
#include <cstdio>
#include <cstring>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "c/include/rank_relax.h"
#include "core/half_precision.h"

namespace {

int failures = 0;

void expect(bool holds, const std::string& what) {
  if (holds) return;
  ++failures;
  // No further than its memory goes: the emulator spoils what is a thread's.
  std::fprintf(stderr, "failed: %s (%.1000s)\n", what.c_str(), rank_relax_last_error());
}

constexpr int64_t kLists = 5, kItems = 300;
constexpr int kOnCpu = 1, kOnCuda = 2;

struct Shape {
  std::vector<int64_t> sizes, strides;
};

rank_relax_tensor tensor_of(const void* data, int device, int bits, Shape& shape, int code = 2) {
  return {const_cast<void*>(data),
          {device, 0},
          static_cast<int32_t>(shape.sizes.size()),
          {static_cast<uint8_t>(code), static_cast<uint8_t>(bits), 1},
          shape.sizes.data(),
          shape.strides.empty() ? nullptr : shape.strides.data(),
          0};
}

std::vector<double> random_numbers(size_t count, unsigned seed) {
  std::mt19937_64 generator(seed);
  std::normal_distribution<double> normal;
  std::vector<double> numbers(count);
  for (double& number : numbers) number = normal(generator);
  return numbers;
}

double largest_difference(const std::vector<double>& a, const std::vector<double>& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i])) return INFINITY;
    if (!std::isnan(a[i])) largest = std::fmax(largest, std::fabs(a[i] - b[i]));
  }
  return largest;
}

/// What a test calls on both devices, and the memory that it works in there.
struct Caller {
  int device;
  rank_relax_options options;
  std::vector<char> workspace;

  Caller(int on, const char* method, double strength, const rank_relax_tensor* mask)
      : device(on), options(RANK_RELAX_OPTIONS) {
    options.method = method;
    options.regularization_strength = strength;
    options.mask = mask;
  }

  void give(size_t bytes) {
    expect(device == kOnCuda || bytes == 0, "no workspace is needed on the CPU");
    workspace.resize(bytes + 256);
    const auto address = reinterpret_cast<uintptr_t>(workspace.data());
    options.workspace = workspace.data() + (256 - address % 256);
    options.workspace_size = bytes;
  }
};

/// call(caller) on both devices, which writes its results; compares them.
void compare(const std::string& what, const char* method, double bound,
             const std::function<std::vector<double>(Caller&)>& call, bool with_mask = true) {
  std::vector<uint8_t> counts(kLists * kItems, 1);
  for (size_t i = 0; i < counts.size(); i += 7) counts[i] = 0;
  Shape shape{{kLists, kItems}, {}};
  std::vector<double> results[2];
  for (const int device : {kOnCpu, kOnCuda}) {
    const rank_relax_tensor mask = tensor_of(counts.data(), device, 8, shape, 1);
    Caller caller(device, method, 3.0, with_mask ? &mask : nullptr);
    results[device - kOnCpu] = call(caller);
  }
  const double difference = largest_difference(results[0], results[1]);
  expect(difference <= bound, what + " with " + method + ": off by " + std::to_string(difference));
}

void test_ranks_and_derivatives(const char* method) {
  const std::vector<double> x = random_numbers(kLists * kItems, 1);
  const std::vector<double> v[] = {random_numbers(x.size(), 2), random_numbers(x.size(), 3)};
  // Items at a stride of two, in every second column.
  std::vector<double> spread(2 * x.size());
  for (size_t i = 0; i < x.size(); ++i) spread[2 * i] = x[i];
  Shape dense{{kLists, kItems}, {}}, strided{{kLists, kItems}, {2 * kItems, 2}};
  for (int order = -1; order <= 2; ++order) {
    compare("order " + std::to_string(order), method, 1e-9, [&](Caller& caller) {
      std::vector<double> result(x.size());
      const auto input = tensor_of(spread.data(), caller.device, 64, strided);
      const auto output = tensor_of(result.data(), caller.device, 64, dense);
      const rank_relax_tensor along[] = {tensor_of(v[0].data(), caller.device, 64, dense),
                                         tensor_of(v[1].data(), caller.device, 64, dense)};
      const rank_relax_tensor* directions[] = {&along[0], &along[1]};
      size_t bytes = 0;
      const int wanted = order < 0 ? 0 : order;
      expect(!rank_relax_soft_rank_workspace(&input, wanted, &caller.options, &bytes), "bytes");
      caller.give(bytes);
      const rank_relax_status status =
          order < 0 ? rank_relax_soft_rank(&input, &caller.options, &output)
                    : rank_relax_soft_rank_derivative(&input, directions, order, &caller.options,
                                                      &output);
      expect(status == RANK_RELAX_OK, "ranks");
      if (caller.device == kOnCuda && bytes > 0) {
        caller.options.workspace_size = bytes - 1;
        expect(rank_relax_soft_rank_derivative(&input, directions, wanted, &caller.options,
                                               &output) == RANK_RELAX_INVALID_ARGUMENT,
               "too small a workspace is refused");
        expect(std::strstr(rank_relax_last_error(), std::to_string(bytes).c_str()) != nullptr,
               "and the sentence has the bytes");
      }
      return result;
    });
  }
}

void test_spearman(const char* method) {
  const std::vector<double> p = random_numbers(kLists * kItems, 4);
  const std::vector<double> t = random_numbers(kLists * kItems, 5);
  const std::vector<double> weights = random_numbers(kLists, 6);
  Shape dense{{kLists, kItems}, {}}, lists{{kLists}, {}};
  compare("Spearman's loss", method, 1e-9, [&](Caller& caller) {
    std::vector<double> loss(kLists), slopes(p.size()), of_targets(p.size()), gradient(p.size());
    const auto predictions = tensor_of(p.data(), caller.device, 64, dense);
    const auto targets = tensor_of(t.data(), caller.device, 64, dense);
    const auto losses = tensor_of(loss.data(), caller.device, 64, lists);
    const auto of_p = tensor_of(slopes.data(), caller.device, 64, dense);
    const auto of_t = tensor_of(of_targets.data(), caller.device, 64, dense);
    const auto output = tensor_of(gradient.data(), caller.device, 64, dense);
    const auto factors = tensor_of(weights.data(), caller.device, 64, lists);
    size_t bytes = 0, of_backward = 0;
    expect(!rank_relax_spearman_loss_workspace(&predictions, &targets, &caller.options, &bytes),
           "bytes");
    expect(!rank_relax_soft_rank_workspace(&predictions, 1, &caller.options, &of_backward),
           "bytes");
    caller.give(bytes);
    expect(!rank_relax_spearman_loss(&predictions, &targets, "soft", &caller.options, &losses,
                                     &of_p, &of_t),
           "the loss");
    caller.give(of_backward);
    expect(
        !rank_relax_spearman_loss_backward(&factors, &predictions, &of_p, &caller.options, &output),
        "its backward");
    if (caller.device == kOnCuda) {
      expect(rank_relax_spearman_loss(&predictions, &targets, "hard", &caller.options, &losses,
                                      &of_p, nullptr) == RANK_RELAX_UNSUPPORTED,
             "hard ranks are for the CPU");
    }
    loss.insert(loss.end(), gradient.begin(), gradient.end());
    return loss;
  });
}

void test_sort(const char* method) {
  const std::vector<double> x = random_numbers(kLists * kItems, 7);
  const std::vector<double> v = random_numbers(kLists * kItems, 8);
  const bool projected = std::string(method) == "l2" || std::string(method) == "kl";
  Shape dense{{kLists, kItems}, {}};
  compare("a sort", method, 1e-8, [&](Caller& caller) {
    std::vector<double> values(x.size()), points(x.size()), densities(x.size()), product(x.size());
    std::vector<int32_t> blocks(x.size());
    const auto input = tensor_of(x.data(), caller.device, 64, dense);
    const auto vector = tensor_of(v.data(), caller.device, 64, dense);
    const auto sorted = tensor_of(values.data(), caller.device, 64, dense);
    // As many bytes are int64 places.
    const auto saved = tensor_of(points.data(), caller.device, 64, dense, projected ? 0 : 2);
    const auto others = projected ? tensor_of(blocks.data(), caller.device, 32, dense, 0)
                                  : tensor_of(densities.data(), caller.device, 64, dense);
    const auto output = tensor_of(product.data(), caller.device, 64, dense);
    size_t bytes = 0;
    expect(!rank_relax_soft_sort_workspace(&input, &caller.options, &bytes), "bytes");
    caller.give(bytes);
    expect(!rank_relax_soft_sort(&input, &caller.options, &sorted, &saved, &others), "a sort");
    const rank_relax_status status =
        rank_relax_soft_sort_product(&vector, &input, &saved, &others, 1, &caller.options, &output);
    if (projected) {
      expect(status == RANK_RELAX_OK, "its product");
      values.insert(values.end(), product.begin(), product.end());
    } else if (caller.device == kOnCuda) {
      expect(status == RANK_RELAX_UNSUPPORTED, "a product without a kernel says so");
    }
    return values;
  });
}

void test_halves() {
  std::vector<uint16_t> x(kLists * kItems);
  const std::vector<double> numbers = random_numbers(x.size(), 9);
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = rank_relax::to_bfloat16(static_cast<float>(numbers[i]));
  }
  Shape dense{{kLists, kItems}, {}};
  compare("bfloat16", "sigmoid", 4e-3, [&](Caller& caller) {
    std::vector<uint16_t> ranks(x.size());
    const auto input = tensor_of(x.data(), caller.device, 16, dense, 4);
    const auto output = tensor_of(ranks.data(), caller.device, 16, dense, 4);
    size_t bytes = 0;
    expect(!rank_relax_soft_rank_workspace(&input, 0, &caller.options, &bytes), "bytes");
    caller.give(bytes);
    expect(!rank_relax_soft_rank(&input, &caller.options, &output), "halves");
    std::vector<double> result;
    for (const uint16_t rank : ranks) result.push_back(rank_relax::from_bfloat16(rank));
    return result;
  });
}

void test_refusals() {
  double x[4] = {3, 1, 2, 4}, out[4] = {9, 9, 9, 9}, k = 2;
  Shape shape{{4}, {}}, one{{}, {}};
  const auto there = tensor_of(x, kOnCuda, 64, shape), here = tensor_of(x, kOnCpu, 64, shape);
  const auto output = tensor_of(out, kOnCuda, 64, shape);
  const auto number = tensor_of(&k, kOnCuda, 64, one);
  expect(rank_relax_soft_topk(&there, &number, nullptr, &output, nullptr) == RANK_RELAX_UNSUPPORTED,
         "what has no kernels says so");
  expect(rank_relax_hard_rank(&there, 0, 1, nullptr, &output) == RANK_RELAX_UNSUPPORTED, "hard");
  expect(rank_relax_soft_rank(&here, nullptr, &output) == RANK_RELAX_INVALID_ARGUMENT,
         "two devices are refused");
  expect(std::strcmp(
             rank_relax_last_error(),
             "soft_rank: ranks is on cuda:0 but input is on cpu; move them to one device") == 0,
         "and named");
  Shape crooked{{2, 2, 1}, {1, 4, 1}};
  double many[8] = {};
  const auto tilted = tensor_of(many, kOnCuda, 64, crooked);
  Shape dense{{2, 2, 1}, {}};
  const auto four = tensor_of(out, kOnCuda, 64, dense);
  expect(rank_relax_soft_rank(&tilted, nullptr, &four) == RANK_RELAX_INVALID_ARGUMENT,
         "lists at no one stride are refused");
  for (const double value : out) expect(value == 9, "and outputs are as they were");
}

}  // namespace

int main() {
  for (const char* method : {"sigmoid", "gaussian", "laplace", "cauchy", "l2", "kl"}) {
    test_ranks_and_derivatives(method);
    test_spearman(method);
    test_sort(method);
  }
  test_halves();
  test_refusals();
  if (failures == 0) std::printf("tests/cuda/test_c_door.cpp passed\n");
  return failures == 0 ? 0 : 1;
}
