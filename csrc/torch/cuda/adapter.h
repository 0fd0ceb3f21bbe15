#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <c10/util/FunctionRef.h>
#include <cuda_runtime_api.h>

#include <optional>
#include <string_view>

#include "cuda/launch/items.h"
#include "cuda/soft_rank.h"

namespace rank_relax {

/// The tensor itself if its rows lie at one stride, as the kernels want them; else a copy.
at::Tensor at_one_row_stride(const at::Tensor& tensor);
std::optional<at::Tensor> at_one_row_stride(const std::optional<at::Tensor>& tensor);

/// The memory of a tensor whose rows lie at one stride.
cuda::Items items_of(const at::Tensor& tensor);

cuda::Results results_of(const at::Tensor& tensor);

int64_t rows_of(const at::Tensor& tensor);

/// Throws where a list has more items than kernels take with this smooth CDF.
void check_length(int64_t size, int64_t longest, std::string_view method);

/// The ranks, or the derivative of them, that the problem asks for, with any method. Enqueues on
/// the current stream, with working memory of the caching allocator.
void run_rank(const cuda::KernelSum& problem, std::string_view method);

/// Calls enqueue(stream) with the current stream, and throws its error. Where device memory is
/// missing, which the tables of a first call or a kernel's stack may take beside what the caching
/// allocator keeps, calls it once more without what that has to spare.
void enqueue_on_current_stream(c10::function_ref<cudaError_t(cudaStream_t)> enqueue);

/// Memory of the caching allocator on the current stream, which may be given back as soon as what
/// uses it is enqueued.
at::DataPtr device_memory(size_t bytes);

}  // namespace rank_relax
