#include "torch/cuda/adapter.h"

#include <c10/cuda/CUDACachingAllocator.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGraphsC10Utils.h>
#include <c10/cuda/CUDAStream.h>
#include <c10/util/Exception.h>

#include "core/projection/permutahedron.h"
#include "torch/cuda/soft_rank_by_projection.h"

namespace rank_relax {
namespace {

/// The one stride of the rows, if there is one.
std::optional<int64_t> row_stride(const at::Tensor& tensor) {
  std::optional<int64_t> innermost;
  int64_t next = 0;  // the stride that a dimension further out must have
  for (int64_t dim = tensor.dim() - 2; dim >= 0; --dim) {
    if (tensor.size(dim) == 1) continue;
    if (innermost.has_value() && tensor.stride(dim) != next) return std::nullopt;
    if (!innermost.has_value()) innermost = tensor.stride(dim);
    next = tensor.stride(dim) * tensor.size(dim);
  }
  return innermost.value_or(0);
}

cuda::Storage storage_of(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return cuda::Storage::kFloat64;
    case at::kBFloat16:
      return cuda::Storage::kBFloat16;
    case at::kHalf:
      return cuda::Storage::kFloat16;
    case at::kBool:
      return cuda::Storage::kByte;
    default:
      return cuda::Storage::kFloat32;
  }
}

}  // namespace

at::Tensor at_one_row_stride(const at::Tensor& tensor) {
  return row_stride(tensor).has_value() ? tensor : tensor.contiguous();
}

std::optional<at::Tensor> at_one_row_stride(const std::optional<at::Tensor>& tensor) {
  return tensor.has_value() ? std::make_optional(at_one_row_stride(*tensor)) : std::nullopt;
}

cuda::Items items_of(const at::Tensor& tensor) {
  return {tensor.const_data_ptr(), storage_of(tensor.scalar_type()), *row_stride(tensor),
          tensor.dim() > 0 ? tensor.stride(-1) : 0};
}

cuda::Results results_of(const at::Tensor& tensor) {
  return {tensor.mutable_data_ptr(), storage_of(tensor.scalar_type())};
}

int64_t rows_of(const at::Tensor& tensor) {
  int64_t rows = 1;
  for (const int64_t size : tensor.sizes().slice(0, tensor.dim() - 1)) rows *= size;
  return rows;
}

void check_length(int64_t size, int64_t longest, std::string_view method) {
  TORCH_CHECK_VALUE(size <= longest, "rank_relax: with method '", method,
                    "' a list on CUDA can have ", longest, " items at most, got ", size,
                    longest == cuda::kLongestRowOfPairs
                        ? ": all pairs of them may have to be compared; take shorter lists or "
                          "another method, as 'sigmoid'"
                        : "");
}

void run_rank(const cuda::KernelSum& problem, std::string_view method) {
  if (Projections::contains(method)) return run_rank_by_projection(problem, method);
  check_length(problem.size, cuda::longest_row(method), method);
  const at::DataPtr workspace = device_memory(cuda::kernel_sum_workspace(problem, method));
  enqueue_on_current_stream([&](cudaStream_t stream) {
    return cuda::kernel_sum(problem, method, workspace.get(), stream);
  });
}

void enqueue_on_current_stream(c10::function_ref<cudaError_t(cudaStream_t)> enqueue) {
  const cudaStream_t stream = c10::cuda::getCurrentCUDAStream().stream();
  cudaError_t error = enqueue(stream);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();
    const c10::cuda::CUDAStreamCaptureModeGuard relaxed(cudaStreamCaptureModeRelaxed);
    c10::cuda::CUDACachingAllocator::emptyCache();
    error = enqueue(stream);
  }
  C10_CUDA_CHECK(error);
}

at::DataPtr device_memory(size_t bytes) {
  return c10::cuda::CUDACachingAllocator::get()->allocate(bytes);
}

}  // namespace rank_relax
