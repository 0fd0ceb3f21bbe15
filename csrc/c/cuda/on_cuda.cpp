#include "c/on_cuda.h"

#include <cuda_runtime.h>

#include <algorithm>
#include <new>

#include "core/methods.h"
#include "core/refusals.h"
#include "cuda/projection/of_kernel_sum.h"
#include "cuda/projection/permutahedron.h"
#include "cuda/soft_rank.h"
#include "cuda/soft_sort_and_soft_quantile.h"
#include "cuda/spearman_loss.h"

namespace rank_relax::c::on_cuda {
namespace {

using refusal::sentence;

constexpr size_t kAlignment = 256;  // of what cudaMalloc gives, and of each part of a workspace

cuda::Storage storage_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::kFloat64:
      return cuda::Storage::kFloat64;
    case Dtype::kBFloat16:
      return cuda::Storage::kBFloat16;
    case Dtype::kFloat16:
      return cuda::Storage::kFloat16;
    case Dtype::kBool:
    case Dtype::kUint8:
      return cuda::Storage::kByte;
    default:
      return cuda::Storage::kFloat32;
  }
}

cuda::Items items_of(const Tensor& tensor) {
  const std::optional<int64_t> stride = tensor.stride_of_lists();
  if (!stride.has_value()) {
    refuse(sentence(tensor.name(),
                    " must have its lists at one stride on CUDA; give it as a matrix of lists, or "
                    "row-major"));
  }
  return {tensor.data<const void>(), storage_of(tensor.dtype()), *stride, tensor.stride_of_items()};
}

cuda::Results results_of(const Tensor& tensor) {
  return {tensor.data<void>(), storage_of(tensor.dtype())};
}

/// A number for each list, as lists of one.
cuda::Items one_a_list(const Tensor& numbers) {
  if (!numbers.is_row_major()) {
    refuse(sentence(numbers.name(), " must be row-major on CUDA"));
  }
  return {numbers.data<const void>(), storage_of(numbers.dtype()), 1, 1};
}

/// The caller's device while it is in scope.
class DeviceGuard {
 public:
  explicit DeviceGuard(const Tensor& tensor) {
    check(cudaGetDevice(&before_));
    check(cudaSetDevice(tensor.device_index()));
  }
  DeviceGuard(const DeviceGuard&) = delete;
  DeviceGuard& operator=(const DeviceGuard&) = delete;
  ~DeviceGuard() { cudaSetDevice(before_); }

  static void check(cudaError_t error) {
    if (error == cudaErrorMemoryAllocation) throw std::bad_alloc();
    if (error != cudaSuccess) throw Refused(RANK_RELAX_DEVICE_ERROR, cudaGetErrorString(error));
  }

 private:
  int before_ = 0;
};

/// The caller's workspace, handed out in parts.
class Workspace {
 public:
  Workspace(const Call& call, size_t needed)
      : next_(static_cast<char*>(call.options().workspace)),
        stream_(static_cast<cudaStream_t>(call.options().cuda_stream)) {
    const size_t given = call.options().workspace_size;
    if (given < needed || (needed > 0 && next_ == nullptr)) {
      refuse(sentence("workspace must have ", needed, " bytes of device memory, got ",
                      next_ == nullptr ? 0 : given, "; the function's *_workspace says how many"));
    }
    if (reinterpret_cast<uintptr_t>(next_) % kAlignment != 0) {
      refuse(sentence("workspace must lie at a multiple of ", kAlignment, " bytes"));
    }
  }

  cudaStream_t stream() const { return stream_; }
  void* rest() const { return next_; }

 private:
  char* next_;
  cudaStream_t stream_;
};

void check_length(int64_t size, int64_t longest, std::string_view method) {
  if (size <= longest) return;
  refuse(sentence("with method '", method, "' a list on CUDA can have ", longest,
                  " items at most, got ", size));
}

cuda::RowBatch batch_of(const Call& call, const Tensor& input) {
  cuda::RowBatch batch;
  batch.rows = input.lists();
  batch.size = input.size();
  batch.input = items_of(input);
  if (call.mask().has_value()) batch.mask = items_of(*call.mask());
  batch.regularization_strength = call.strength();
  return batch;
}

cuda::KernelSum problem_of(const Call& call, const Ranks& ranks) {
  cuda::KernelSum problem;
  static_cast<cuda::RowBatch&>(problem) = batch_of(call, ranks.input);
  problem.order = ranks.order;
  problem.shift = ranks.shift;
  return problem;
}

/// One side of a loss, whose ranks are for a correlation.
cuda::KernelSum side_of(const Call& call, const Tensor& values) {
  cuda::KernelSum problem;
  static_cast<cuda::RowBatch&>(problem) = batch_of(call, values);
  problem.for_correlation = true;
  return problem;
}

size_t workspace_of(const cuda::KernelSum& problem, std::string_view method) {
  if (!Projections::contains(method)) {
    check_length(problem.size, cuda::longest_row(method), method);
    return cuda::kernel_sum_workspace(problem, method);
  }
  if (problem.order == 0) return cuda::permutahedron_rank_workspace(cuda::rank_of(problem));
  return cuda::permutahedron_rank_derivative_workspace(cuda::rank_derivative_of(problem));
}

void enqueue(const cuda::KernelSum& problem, std::string_view method, const Workspace& workspace) {
  const cudaStream_t stream = workspace.stream();
  if (!Projections::contains(method)) {
    return DeviceGuard::check(cuda::kernel_sum(problem, method, workspace.rest(), stream));
  }
  if (problem.order == 0) {
    return DeviceGuard::check(
        cuda::permutahedron_rank(cuda::rank_of(problem), method, workspace.rest(), stream));
  }
  DeviceGuard::check(cuda::permutahedron_rank_derivative(cuda::rank_derivative_of(problem), method,
                                                         workspace.rest(), stream));
}

cuda::Correlation correlation_of(const Call& call, const Tensor& predictions) {
  cuda::Correlation problem{};
  problem.rows = predictions.lists();
  problem.size = predictions.size();
  if (call.mask().has_value()) problem.mask = items_of(*call.mask());
  problem.in_double = predictions.dtype() == Dtype::kFloat64;
  return problem;
}

cuda::PermutahedronSort sort_by_projection_of(const Call& call, const Tensor& input) {
  cuda::PermutahedronSort problem{};
  problem.batch = batch_of(call, input);
  return problem;
}

cuda::Quantile sort_of(const Call& call, const Tensor& input) {
  cuda::Quantile problem;
  static_cast<cuda::RowBatch&>(problem) = batch_of(call, input);
  return problem;
}

}  // namespace

bool is_built() { return true; }

size_t ranks_workspace(const Call& call, const Ranks& ranks) {
  if (ranks.input.numel() == 0) return 0;
  return workspace_of(problem_of(call, ranks), call.method());
}

void ranks(const Call& call, const Ranks& ranks, const std::vector<Tensor>& directions,
           const Tensor& output) {
  if (ranks.input.numel() == 0) return;
  const DeviceGuard guard(ranks.input);
  cuda::KernelSum problem = problem_of(call, ranks);
  for (size_t k = 0; k < directions.size(); ++k) problem.directions[k] = items_of(directions[k]);
  problem.output = results_of(output);
  enqueue(problem, call.method(), Workspace(call, workspace_of(problem, call.method())));
}

size_t spearman_workspace(const Call& call, const Spearman& spearman) {
  const size_t of_correlation =
      cuda::correlation_workspace(correlation_of(call, spearman.predictions));
  if (spearman.predictions.numel() == 0) return of_correlation;
  return std::max({workspace_of(side_of(call, spearman.predictions), call.method()),
                   workspace_of(side_of(call, spearman.targets), call.method()), of_correlation});
}

void spearman(const Call& call, const Spearman& spearman, const Tensor& loss,
              const Tensor& rank_gradient_predictions, const Tensor& rank_gradient_targets) {
  const DeviceGuard guard(spearman.predictions);
  const Workspace workspace(call, spearman_workspace(call, spearman));
  const Tensor* const sides[][2] = {{&spearman.predictions, &rank_gradient_predictions},
                                    {&spearman.targets, &rank_gradient_targets}};
  for (const auto& [values, ranks] : sides) {
    if (values->numel() == 0) break;
    cuda::KernelSum problem = side_of(call, *values);
    problem.output = results_of(*ranks);
    enqueue(problem, call.method(), workspace);
  }
  cuda::Correlation problem = correlation_of(call, spearman.predictions);
  problem.a = rank_gradient_predictions.data<void>();
  problem.b = rank_gradient_targets.data<void>();
  problem.loss = results_of(loss);
  DeviceGuard::check(cuda::correlation(problem, workspace.rest(), workspace.stream()));
}

void spearman_backward(const Call& call, const Tensor& grad_loss, const Tensor& values,
                       const Tensor& rank_gradient, const Tensor& gradient) {
  if (values.numel() == 0) return;
  const DeviceGuard guard(values);
  cuda::KernelSum problem = side_of(call, values);
  problem.order = 1;
  problem.directions[0] = items_of(rank_gradient);
  problem.factor = one_a_list(grad_loss);
  problem.spread_nan = true;
  problem.output = results_of(gradient);
  enqueue(problem, call.method(), Workspace(call, workspace_of(problem, call.method())));
}

size_t sort_workspace(const Call& call, const Tensor& input) {
  if (input.numel() == 0) return 0;
  if (Projections::contains(call.method())) {
    return cuda::permutahedron_sort_workspace(sort_by_projection_of(call, input));
  }
  const cuda::Quantile problem = sort_of(call, input);
  check_length(problem.size, cuda::longest_quantile_row(problem, call.method()), call.method());
  return cuda::quantile_workspace(problem, call.method());
}

void sort_by_cdf(const Call& call, const Tensor& input, const Tensor& values,
                 const std::optional<Tensor>& points, const std::optional<Tensor>& densities) {
  if (input.numel() == 0) return;
  const DeviceGuard guard(input);
  const Workspace workspace(call, sort_workspace(call, input));
  cuda::Quantile problem = sort_of(call, input);
  problem.values = results_of(values);
  if (points.has_value()) problem.points = points->data<double>();
  if (densities.has_value()) problem.densities = densities->data<double>();
  DeviceGuard::check(cuda::quantile(problem, call.method(), workspace.rest(), workspace.stream()));
}

void sort_by_projection(const Call& call, const Tensor& input, const Tensor& values,
                        const Tensor& permutation, const Tensor& blocks) {
  if (input.numel() == 0) return;
  const DeviceGuard guard(input);
  const Workspace workspace(call, sort_workspace(call, input));
  cuda::PermutahedronSort problem = sort_by_projection_of(call, input);
  problem.values = results_of(values);
  problem.permutation = permutation.data<int64_t>();
  problem.blocks = blocks.data<int32_t>();
  DeviceGuard::check(
      cuda::permutahedron_sort(problem, call.method(), workspace.rest(), workspace.stream()));
}

size_t sort_product_workspace(const Call& call, const Tensor& input) {
  if (input.numel() == 0) return 0;
  cuda::PermutahedronSortProduct problem{};
  problem.batch = batch_of(call, input);
  return cuda::permutahedron_sort_product_workspace(problem);
}

void sort_product(const Call& call, const SortProduct& product, const Tensor& output) {
  if (product.input.numel() == 0) return;
  const DeviceGuard guard(product.input);
  const Workspace workspace(call, sort_product_workspace(call, product.input));
  cuda::PermutahedronSortProduct problem{};
  problem.batch = batch_of(call, product.input);
  problem.permutation = product.permutation.data<const int64_t>();
  problem.blocks = product.blocks.data<const int32_t>();
  problem.vector = items_of(product.vector);
  problem.transposed = product.transposed;
  problem.output = results_of(output);
  DeviceGuard::check(cuda::permutahedron_sort_product(problem, call.method(), workspace.rest(),
                                                      workspace.stream()));
}

}  // namespace rank_relax::c::on_cuda
