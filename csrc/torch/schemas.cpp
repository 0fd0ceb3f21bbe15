#include <torch/library.h>

// Every operator of the library. They act on the last dimension and keep the batch shape.
//
//   torch/cpu, torch/meta    kernels: check the arguments, then compute or describe
//   torch/any_device         the same for devices that we have no kernel for
//   torch/composite          operators made of others
//   torch/autograd           derivatives
//   torch/autocast           float32 under autocast
//   torch/batching           one call for a batch of gradients; rank_relax/_vmap.py for torch.func
TORCH_LIBRARY(rank_relax, library) {
  // The types of devices that never get a tensor of float64 (torch/float64.h).
  library.def("_devices_without_float64() -> str[]", {at::Tag::pt2_compliant_tag});
  library.def(
      "soft_rank(Tensor input, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "soft_rank_backward(Tensor grad_output, Tensor input, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_soft_rank_derivative(Tensor[] directions, Tensor input, float regularization_strength, "
      "str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // Methods "l2" and "kl". `blocks` (int32) is constant between the points where ranks have no
  // derivative: the number of each item's block, or why it is in none (cpu/permutahedron.h).
  library.def(
      "_permutahedron_rank_forward(Tensor input, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor rank, Tensor blocks)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_permutahedron_rank_derivative(Tensor[] directions, Tensor input, Tensor blocks, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // Of any real dtype, ties averaged. Not differentiable. `dtype` is that of the result: by default
  // the input's, torch's default dtype for integers.
  library.def(
      "hard_rank(Tensor input, bool descending=False, bool normalize=True, Tensor? mask=None, "
      "ScalarType? dtype=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // Counts less (n - 1)/2: they add up to zero.
  library.def("_centered_hard_rank(Tensor input, Tensor? mask, ScalarType dtype) -> Tensor",
              {at::Tag::pt2_compliant_tag});
  // For rank_relax.torchsort.
  library.def("_rank_from_one(Tensor input, float regularization_strength, str method) -> Tensor",
              {at::Tag::pt2_compliant_tag});
  library.def(
      "soft_sort(Tensor input, float regularization_strength=1.0, str method=\"sigmoid\", "
      "Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // input [*, n] and q [L] or [*, L] give [*, L]. Of smooth CDFs, as is the next.
  library.def(
      "soft_quantile(Tensor input, Tensor q, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // k is one number, or one for each list: [*].
  library.def(
      "soft_topk(Tensor input, Tensor k, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // Methods "sigmoid" and "gaussian". `points` are the values before they are rounded, `densities`
  // the slopes of the smoothed count there, in units of the strength; 0 where no finite value
  // stands. Both are float64, as its bits (torch/float64.h), which any device can hold. Constants
  // to autograd, which finds their derivatives from the input.
  library.def(
      "_quantile_sort_forward(Tensor input, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor values, Tensor points, Tensor densities)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_quantile_sort_backward(Tensor grad_output, Tensor input, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_quantile_sort_tangent(Tensor direction, Tensor input, Tensor points, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // The points (float64) where the smoothed count of a list is `levels` (float64), [*, L]. Levels
  // have no derivative; `points` are constants to autograd, as above.
  library.def(
      "_quantile_at_levels(Tensor input, Tensor levels, float regularization_strength, str method, "
      "Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_quantile_at_levels_backward(Tensor grad_points, Tensor input, Tensor levels, "
      "Tensor points, float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_quantile_at_levels_tangent(Tensor direction, Tensor input, Tensor levels, Tensor points, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // k is [*, 1]. `densities` (float64, as its bits) are the slopes of the mask by each item, the
  // threshold being held, in units of the strength. Constants to autograd, as above.
  library.def(
      "_soft_topk_forward(Tensor input, Tensor k, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor chosen, Tensor densities)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_soft_topk_backward(Tensor grad_output, Tensor input, Tensor k, Tensor densities, "
      "float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // The function of that name in float64 inside, float64 for float64 and else float32: with a
  // strength that is a tensor, of the first dimensions of the batch; with lists in units of their
  // standard deviation; quantiles. `level` is the q [*, L] or the k [*], or `number` is.
  library.def(
      "_in_float64(Tensor input, Tensor? targets, Tensor? level, Tensor? strength, str function, "
      "float number, bool standardize, float regularization_strength, str method, Tensor? mask) -> "
      "Tensor",
      {at::Tag::pt2_compliant_tag});
  // Of input, targets and strength; what is not needed is empty.
  library.def(
      "_in_float64_backward(Tensor grad_output, Tensor input, Tensor? targets, Tensor? level, "
      "Tensor? strength, str function, float number, bool standardize, bool[3] needed, "
      "float regularization_strength, str method, Tensor? mask) -> (Tensor grad_input, "
      "Tensor grad_targets, Tensor grad_strength)",
      {at::Tag::pt2_compliant_tag});
  // Methods "l2" and "kl". `permutation` (int64) is the item at each place of the sorted row,
  // `blocks` (int32) its block: constant between the points where sorted values have no derivative.
  library.def(
      "_permutahedron_sort_forward(Tensor input, float regularization_strength, str method, "
      "Tensor? mask) -> (Tensor values, Tensor permutation, Tensor blocks)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_permutahedron_sort_backward(Tensor grad_output, Tensor input, Tensor permutation, "
      "Tensor blocks, float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_permutahedron_sort_tangent(Tensor direction, Tensor input, Tensor permutation, "
      "Tensor blocks, float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "spearman_loss(Tensor predictions, Tensor targets, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None, str target_ranks=\"hard\") -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // The gradients with respect to the ranks are constants to autograd: handed to the backward,
  // which finds its own derivatives from predictions and targets.
  library.def(
      "_spearman_loss_forward(Tensor predictions, Tensor targets, float regularization_strength, "
      "str method, Tensor? mask) -> (Tensor loss, Tensor rank_gradient_predictions, "
      "Tensor rank_gradient_targets)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_spearman_loss_backward(Tensor grad_output, Tensor predictions, Tensor targets, "
      "Tensor rank_gradient, float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // The same against given ranks of the targets, which are constants, add up to zero in each list
  // and have the dtype of the statistics: float32 for half-precision predictions.
  library.def(
      "_spearman_loss_at_ranks_forward(Tensor predictions, Tensor target_ranks, "
      "float regularization_strength, str method, Tensor? mask) -> (Tensor loss, "
      "Tensor rank_gradient)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_spearman_loss_at_ranks_backward(Tensor grad_output, Tensor predictions, "
      "Tensor target_ranks, Tensor rank_gradient, float regularization_strength, str method, "
      "Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  // Integers, compared exactly: their soft ranks less 1/2, up to a factor for each list that no
  // correlation sees; and float64 scores (core/integer_scores.h) that have such ranks at strengths
  // (float64) [*, 1].
  library.def(
      "_centered_integer_rank(Tensor input, float regularization_strength, str method, "
      "Tensor? mask, ScalarType dtype) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def("_integer_scores(Tensor input, Tensor strengths, str method, Tensor? mask) -> Tensor",
              {at::Tag::pt2_compliant_tag});
  // The stages of rank_relax.distributed (cpu/split_row.h), which are not differentiable. `extents`
  // [*, 2] are the minimum and maximum of the finite items, but (-minimum, maximum) in the summary.
  library.def(
      "_split_rank_summary(Tensor[] directions, Tensor input, Tensor? mask) -> (Tensor extents, "
      "Tensor sums)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_split_rank_sizes(Tensor extents, Tensor strengths, int order, ScalarType dtype, "
      "str method) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_split_rank_moments(Tensor[] directions, Tensor input, Tensor extents, Tensor strengths, "
      "Tensor centers, SymInt size, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_split_rank_derivative(Tensor[] directions, Tensor input, Tensor extents, "
      "Tensor strengths, Tensor centers, Tensor counts, Tensor moments, str method, Tensor? mask) "
      "-> Tensor",
      {at::Tag::pt2_compliant_tag});
}
