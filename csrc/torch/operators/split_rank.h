#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string_view>
#include <tuple>

#include "torch/declaration/operator.h"
#include "torch/declaration/schema_types.h"

// The stages of rank_relax.distributed (cpu/split_rank.h), which are not differentiable.

namespace rank_relax {

constexpr int64_t kMostSplitDirections = 2;  // there are no series for more

/// A part of each list, and what is known of the whole ones. Small tensors are float64 and have a
/// row for each list.
struct SplitLists {
  at::TensorList directions;    // float64, of the shape of `input`
  const at::Tensor& input;      // float64 or float32
  const at::Tensor& extents;    // [*, 2]: minimum and maximum of the finite items
  const at::Tensor& strengths;  // [*]
  const at::Tensor& centers;    // [*, number of directions]

  using InSchema = SchemaTypes<at::TensorList, const at::Tensor&, const at::Tensor&,
                               const at::Tensor&, const at::Tensor&>;
  auto parts() const { return std::tie(directions, input, extents, strengths, centers); }
};

namespace operators {

using at::Tensor;

/// `extents` [*, 2] are minus the minimum of the finite items, and their maximum.
struct SplitRankSummary : Declaration {
  static constexpr auto name = "_split_rank_summary";
  static constexpr auto schema =
      "(Tensor[] directions, Tensor input, Tensor? mask) -> (Tensor extents, Tensor sums)";
  static constexpr auto elsewhere = Elsewhere::kNowhere;
  using Function = std::tuple<Tensor, Tensor>(at::TensorList directions, const Tensor& input,
                                              const std::optional<Tensor>& mask);
  static Check<Function> check;
  static Function outputs;
};

struct SplitRankSizes : Declaration {
  static constexpr auto name = "_split_rank_sizes";
  static constexpr auto schema =
      "(Tensor extents, Tensor strengths, int order, ScalarType dtype, str method) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kNowhere;
  static constexpr auto lists = "extents";
  using Function = Tensor(const Tensor& extents, const Tensor& strengths, int64_t order,
                          at::ScalarType dtype, std::string_view method);
  static Check<Function> check;
  static Function outputs;
};

struct SplitRankMoments : Declaration {
  static constexpr auto name = "_split_rank_moments";
  static constexpr auto schema =
      "(Tensor[] directions, Tensor input, Tensor extents, Tensor strengths, Tensor centers, "
      "SymInt size, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kNowhere;
  using Function = Tensor(const SplitLists& lists, c10::SymInt size, std::string_view method,
                          const std::optional<Tensor>& mask);
  static Check<Function> check;
  static Function outputs;
};

struct SplitRankDerivative : Declaration {
  static constexpr auto name = "_split_rank_derivative";
  static constexpr auto schema =
      "(Tensor[] directions, Tensor input, Tensor extents, Tensor strengths, Tensor centers, "
      "Tensor counts, Tensor moments, str method, Tensor? mask) -> Tensor";
  static constexpr auto elsewhere = Elsewhere::kNowhere;
  using Function = Tensor(const SplitLists& lists, const Tensor& counts, const Tensor& moments,
                          std::string_view method, const std::optional<Tensor>& mask);
  static Check<Function> check;
  static Function outputs;
};

}  // namespace operators
}  // namespace rank_relax
