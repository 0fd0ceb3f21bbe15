#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

#include <array>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "torch/composite/scaled_list.h"
#include "torch/declaration/options.h"
#include "torch/declaration/schema_types.h"

namespace rank_relax {

struct Float64Function;

/// A call of one of the library's functions whose way to the result is in float64 whatever the
/// dtype of the lists: strengths that are tensors, lists in units of their standard deviation. For
/// lists of a lower precision it is one operator, so that nothing of float64 lies on a device that
/// has none, and nothing is kept for the backward but what was given.
struct Float64Call {
  at::Tensor input;
  std::optional<at::Tensor> targets;  // of spearman_loss; constant ranks of _at_ranks
  std::optional<at::Tensor> level;    // [*, L] of soft_quantile, [*] of soft_topk; else `number` is
  std::optional<at::Tensor> strength;  // with the first dimensions of the batch
  std::string_view function;
  double number;
  bool standardize;

  using InSchema = SchemaTypes<const at::Tensor&, const std::optional<at::Tensor>&,
                               const std::optional<at::Tensor>&, const std::optional<at::Tensor>&,
                               std::string_view, double, bool>;
  auto parts() const {
    return std::tie(input, targets, level, strength, function, number, standardize);
  }

  /// What its function is here; throws if there is none of that name.
  const Float64Function& of() const;

  bool is_float64() const { return input.scalar_type() == at::kDouble; }

  /// The lists of that tensor in float64 and in their units.
  ScaledList scaled(const at::Tensor& list, const Options& options) const;

  /// The level, or the number in its place, as a tensor of that shape.
  at::Tensor level_or_number(c10::IntArrayRef shape) const;

  /// The result by operators of torch and of ours, differentiable: float64 for float64, else
  /// float32.
  at::Tensor value(const Options& options) const;

  /// What the gradient is wanted of: input, targets and strength; undefined if not given.
  std::array<at::Tensor, 3> differentiated() const;

  /// The product of grad_output with the Jacobian, where `needed`; else undefined. If
  /// `create_graph` a function of grad_output and of the tensors, which can be differentiated
  /// again.
  std::array<at::Tensor, 3> gradients(const at::Tensor& grad_output, std::array<bool, 3> needed,
                                      bool create_graph, const Options& options) const;
};

/// One of the library's functions. The file of its composite adds it to those there are:
///
///     const Float64Function in_float64{"soft_rank", check, value, shape};
struct Float64Function {
  const char* name;
  void (*check)(const Float64Call& call, const Options& options);
  at::Tensor (*value)(const Float64Call& call, const Options& options);
  std::vector<c10::SymInt> (*shape)(const Float64Call& call);

  Float64Function(const char* function, decltype(check) its_check, decltype(value) its_value,
                  decltype(shape) its_shape);
};

/// Shapes of results: an item for each item, and a number for each list.
std::vector<c10::SymInt> shape_of_items(const Float64Call& call);
std::vector<c10::SymInt> shape_of_batch(const Float64Call& call);

/// The targets of a loss, which must be there.
const at::Tensor& targets_of(const Float64Call& call);

}  // namespace rank_relax
