#include "cuda/soft_rank.h"

#include <cuda_runtime_api.h>

#include <string>

#include "../cpu/adapter.h"
#include "cuda/projection/permutahedron.h"

// The handlers of csrc/jax/cpu/soft_rank.cpp for devices. No library has them yet: that they
// compile is tested, and nothing more.

namespace rank_relax::handlers {
namespace {

cuda::Storage storage_of(ffi::DataType dtype) {
  switch (dtype) {
    case ffi::F64:
      return cuda::Storage::kFloat64;
    case ffi::F32:
      return cuda::Storage::kFloat32;
    case ffi::BF16:
      return cuda::Storage::kBFloat16;
    case ffi::F16:
      return cuda::Storage::kFloat16;
    case ffi::PRED:
      return cuda::Storage::kByte;
    default:
      throw Refused("rank_relax: the kernels take float64, float32, bfloat16 and float16");
  }
}

cuda::Items items_of(const ffi::AnyBuffer& buffer) {
  return {buffer.untyped_data(), storage_of(buffer.element_type()), size_of(buffer), 1};
}

/// Calls enqueue(memory of so many bytes), and throws its error.
template <class Enqueue>
void run_in(ffi::ScratchAllocator& scratch, size_t bytes, const Enqueue& enqueue) {
  const auto workspace = scratch.Allocate(bytes);
  if (!workspace.has_value()) throw std::bad_alloc();
  const cudaError_t error = enqueue(*workspace);
  if (error != cudaSuccess) throw std::runtime_error(cudaGetErrorString(error));
}

/// What both handlers ask for, with any method.
void run_rank(const cuda::KernelSum& problem, std::string_view method, cudaStream_t stream,
              ffi::ScratchAllocator& scratch) {
  if (!Projections::contains(method)) {
    const int64_t longest = cuda::longest_row(method);
    if (problem.size > longest) {
      throw Refused("rank_relax: with method '" + std::string(method) +
                    "' a list on CUDA can have " + std::to_string(longest) +
                    " items at most, got " + std::to_string(problem.size));
    }
    return run_in(scratch, cuda::kernel_sum_workspace(problem, method),
                  [&](void* memory) { return cuda::kernel_sum(problem, method, memory, stream); });
  }
  check_blocks_fit(problem.size, method);
  if (problem.order == 0) {
    cuda::PermutahedronRank rank;
    rank.batch = problem;
    rank.shift = problem.shift;
    rank.ranks = problem.output;
    return run_in(scratch, cuda::permutahedron_rank_workspace(rank), [&](void* memory) {
      return cuda::permutahedron_rank(rank, method, memory, stream);
    });
  }
  cuda::PermutahedronRankDerivative derivative;
  derivative.batch = problem;
  derivative.order = problem.order;
  for (int i = 0; i < problem.order; ++i) derivative.directions[i] = problem.directions[i];
  derivative.output = problem.output;
  run_in(scratch, cuda::permutahedron_rank_derivative_workspace(derivative), [&](void* memory) {
    return cuda::permutahedron_rank_derivative(derivative, method, memory, stream);
  });
}

cuda::KernelSum problem_of(double strength, const ffi::AnyBuffer& input,
                           ffi::Result<ffi::AnyBuffer>& output) {
  cuda::KernelSum problem;
  problem.rows = count_of(input);
  problem.size = size_of(input);
  problem.input = items_of(input);
  problem.regularization_strength = strength;
  problem.output = {output->untyped_data(), storage_of(output->element_type())};
  return problem;
}

/// bind() of csrc/jax/cpu/adapter.h for devices.
auto bind_on_device() {
  return with_softness(
      ffi::Ffi::Bind().Ctx<ffi::PlatformStream<cudaStream_t>>().Ctx<ffi::ScratchAllocator>());
}

ffi::Error soft_rank(cudaStream_t stream, ffi::ScratchAllocator scratch, double strength,
                     std::string_view method, ffi::AnyBuffer input, ffi::RemainingArgs others,
                     ffi::Result<ffi::AnyBuffer> ranks) {
  return run([&] {
    check_method(method);
    if (input.element_count() == 0) return;
    cuda::KernelSum problem = problem_of(strength, input, ranks);
    if (const auto mask = mask_of(others)) problem.mask = items_of(*mask);
    problem.shift = 0.5;
    run_rank(problem, method, stream, scratch);
  });
}

ffi::Error derivative(cudaStream_t stream, ffi::ScratchAllocator scratch, double strength,
                      std::string_view method, bool has_mask, ffi::AnyBuffer input,
                      ffi::RemainingArgs others, ffi::Result<ffi::AnyBuffer> output) {
  return run([&] {
    check_method(method);
    if (input.element_count() == 0) return;
    cuda::KernelSum problem = problem_of(strength, input, output);
    Optional given(others);
    if (const auto mask = given.next_if(has_mask)) problem.mask = items_of(*mask);
    if (static_cast<int>(given.left()) > max_order(method)) {
      throw Refused("rank_relax: method '" + std::string(method) +
                    "' has no derivatives of order " + std::to_string(given.left()));
    }
    while (given.left() > 0) problem.directions[problem.order++] = items_of(given.next());
    run_rank(problem, method, stream, scratch);
  });
}

}  // namespace

RANK_RELAX_HANDLER(soft_rank_cuda, soft_rank,
                   bind_on_device().Arg<ffi::AnyBuffer>().RemainingArgs().Ret<ffi::AnyBuffer>());

RANK_RELAX_HANDLER(soft_rank_derivative_cuda, derivative,
                   bind_on_device()
                       .Attr<bool>("has_mask")
                       .Arg<ffi::AnyBuffer>()
                       .RemainingArgs()
                       .Ret<ffi::AnyBuffer>());

}  // namespace rank_relax::handlers
