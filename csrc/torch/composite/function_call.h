#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/SymIntArrayRef.h>

#include <array>
#include <functional>
#include <optional>
#include <string_view>
#include <tuple>
#include <vector>

#include "torch/composite/scaled_list.h"
#include "torch/declaration/options.h"
#include "torch/declaration/schema_types.h"

namespace rank_relax {

struct ListFunction;

/// A call of one of the library's functions with all that it may be given beside its options, for
/// the operators that are one for all of them: _in_float64 and _ragged.
struct FunctionCall {
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
  const ListFunction& of() const;

  /// Whether the operator of its function could not be asked, but _in_float64 can.
  bool is_in_float64() const;
  bool is_float64() const { return input.scalar_type() == at::kDouble; }
  bool has_strength() const { return strength.has_value() && strength->defined(); }
  bool has_level() const { return level.has_value() && level->defined(); }
  bool has_targets() const { return targets.has_value() && targets->defined(); }

  /// The lists of that tensor in float64 and in their units.
  ScaledList scaled(const at::Tensor& list, const Options& options) const;

  /// The level, or the number in its place, as a tensor of that shape.
  at::Tensor level_or_number(c10::IntArrayRef shape) const;

  /// The targets of a loss, which must be there.
  const at::Tensor& needed_targets() const;

  /// What the gradient is wanted of: input, targets and strength; undefined if not given.
  std::array<at::Tensor, 3> differentiated() const;

  /// The product of grad_output with the Jacobian of a differentiable value of the call, where
  /// `needed`; else undefined. If `create_graph` a function of grad_output and of the tensors,
  /// which can be differentiated again.
  using Value = std::function<at::Tensor(const FunctionCall& call)>;
  std::array<at::Tensor, 3> gradients(const Value& value, const at::Tensor& grad_output,
                                      std::array<bool, 3> needed, bool create_graph) const;

  /// The same for a kernel, which runs below autograd: without a graph, empty what is not needed.
  std::tuple<at::Tensor, at::Tensor, at::Tensor> gradients_below_autograd(
      const Value& value, const at::Tensor& grad_output, std::array<bool, 3> needed) const;

  /// What that returns, for its Meta kernel.
  std::tuple<at::Tensor, at::Tensor, at::Tensor> outputs_of_gradients(
      std::array<bool, 3> needed) const;
};

/// What comes out of a function: an item for each item, a number for each list, or for each of its
/// levels.
enum class Result { kItems, kLists, kLevels };

/// One of the library's functions. The file of its composite adds it to those there are.
struct ListFunction {
  using Value = at::Tensor(const FunctionCall& call, const Options& options);

  const char* name;
  void (*check)(const FunctionCall& call, const Options& options);
  /// As its operator is called without a strength that is a tensor, in the dtype of the lists.
  Value* value;
  /// All the way in float64: strengths that are tensors, lists in units of their standard
  /// deviation. By operators of torch and of ours, differentiable.
  Value* value_in_float64;
  Result result;

  ListFunction(const char* function, decltype(check) its_check, Value* its_value,
               Value* its_value_in_float64, Result its_result);

  /// The shape of the result for rows of that batch shape.
  std::vector<c10::SymInt> shape(const FunctionCall& call, c10::SymIntArrayRef batch) const;
};

}  // namespace rank_relax
