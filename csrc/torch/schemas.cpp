#include <torch/library.h>

// Every operator of the library. They act on the last dimension and keep the batch shape.
//
//   directory   what it registers for these schemas
//   torch/cpu, torch/meta                kernels: check the arguments, then compute or describe
//   torch/autograd                       derivatives of every order
//   torch/autocast                       float32 under autocast
TORCH_LIBRARY(rank_relax, library) {
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
  library.def(
      "spearman_loss(Tensor predictions, Tensor targets, float regularization_strength=1.0, "
      "str method=\"sigmoid\", Tensor? mask=None) -> Tensor",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_spearman_loss_forward(Tensor predictions, Tensor targets, float regularization_strength, "
      "str method, Tensor? mask) -> (Tensor loss, Tensor rank_gradient_predictions, "
      "Tensor rank_gradient_targets)",
      {at::Tag::pt2_compliant_tag});
  library.def(
      "_spearman_loss_backward(Tensor grad_output, Tensor predictions, Tensor targets, "
      "Tensor rank_gradient, float regularization_strength, str method, Tensor? mask) -> Tensor",
      {at::Tag::pt2_compliant_tag});
}
