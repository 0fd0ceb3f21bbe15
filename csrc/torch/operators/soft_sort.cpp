#include "torch/operators/soft_sort.h"

#include <torch/library.h>

#include "torch/declaration/argument_checks.h"
#include "torch/declaration/declare.h"
#include "torch/declaration/outputs.h"

namespace rank_relax::operators {
namespace {

/// A product with the Jacobian of soft_sort, by a vector of that name.
struct SortProduct {
  const char* op;
  const char* vector_name;
  const Tensor& vector;
  const Tensor& input;

  void check_by_cdf(const Tensor& points, const Tensor& densities, const Options& options) const {
    check_values(op, "input", input);
    check_matches(op, vector_name, vector, "input", input);
    check_smooth_cdf(op, options.method);
    check_options(op, "input", input, options);
    check_items(op, "points", points, at::kLong, "input", input);
    check_items(op, "densities", densities, at::kLong, "input", input);
  }

  void check_by_projection(const Tensor& permutation, const Tensor& blocks,
                           const Options& options) const {
    check_values(op, "input", input);
    check_matches(op, vector_name, vector, "input", input);
    check_projection(op, options.method);
    check_options(op, "input", input, options);
    check_items(op, "permutation", permutation, at::kLong, "input", input);
    check_items(op, "blocks", blocks, at::kInt, "input", input);
  }
};

}  // namespace

void SoftSort::check(const Tensor& input, const Options& options) {
  check_values(name, "input", input);
  check_options(name, "input", input, options);
}

// The forwards are called by soft_sort, and speak as it does where the user can be at fault.
void QuantileSortForward::check(const Tensor& input, const Options& options) {
  SoftSort::check(input, options);
  check_smooth_cdf(name, options.method);
}

std::tuple<Tensor, Tensor, Tensor> QuantileSortForward::outputs(const Tensor& input,
                                                                const Options&) {
  return {like(input), float64_bits_like(input), float64_bits_like(input)};
}

void QuantileSortBackward::check(const Tensor& grad_output, const Tensor& input,
                                 const Tensor& points, const Tensor& densities,
                                 const Options& options) {
  SortProduct{name, "grad_output", grad_output, input}.check_by_cdf(points, densities, options);
}

void QuantileSortTangent::check(const Tensor& direction, const Tensor& input, const Tensor& points,
                                const Tensor& densities, const Options& options) {
  SortProduct{name, "direction", direction, input}.check_by_cdf(points, densities, options);
}

void PermutahedronSortForward::check(const Tensor& input, const Options& options) {
  SoftSort::check(input, options);
  check_projection(name, options.method);
}

std::tuple<Tensor, Tensor, Tensor> PermutahedronSortForward::outputs(const Tensor& input,
                                                                     const Options&) {
  return {like(input), like(input, at::kLong), like(input, at::kInt)};
}

void PermutahedronSortBackward::check(const Tensor& grad_output, const Tensor& input,
                                      const Tensor& permutation, const Tensor& blocks,
                                      const Options& options) {
  SortProduct{name, "grad_output", grad_output, input}.check_by_projection(permutation, blocks,
                                                                           options);
}

void PermutahedronSortTangent::check(const Tensor& direction, const Tensor& input,
                                     const Tensor& permutation, const Tensor& blocks,
                                     const Options& options) {
  SortProduct{name, "direction", direction, input}.check_by_projection(permutation, blocks,
                                                                       options);
}

TORCH_LIBRARY_FRAGMENT(rank_relax, library) {
  declare<SoftSort, QuantileSortForward, QuantileSortBackward, QuantileSortTangent,
          PermutahedronSortForward, PermutahedronSortBackward, PermutahedronSortTangent>(library);
}

}  // namespace rank_relax::operators
