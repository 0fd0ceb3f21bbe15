"""Spearman's rank correlation as a loss."""

from typing import Literal

import torch
from torch import Tensor, nn

from rank_relax._checks import check_choice, check_mask, check_method, check_tensor
from rank_relax._scores import Scale, in_float64, is_scaled, plain, result_dtype
from rank_relax._sharding import whole_lists
from rank_relax._strength import Strength, check_strength, describe_strength, set_strength

Reduction = Literal["mean", "sum", "none"]


def spearman_loss(
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: str = "sigmoid",
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
    scale: Scale = None,
) -> Tensor:
    r"""One minus Spearman's rank correlation of two lists, with soft ranks.

    .. math:: L = 1 - \mathrm{Pearson}(R(p), R(t)) \in [0, 2]

    Each list is ranked along the last dimension by :func:`rank_relax.soft_rank`, targets as well as
    predictions. Differentiable with respect to both, as many times as ranks are.

    Args:
        predictions: Scores, ``[..., n]``: float64, float32, bfloat16 or float16.
        targets: What they should be ordered like, of the same shape. Integers and bools are taken
            as the predictions' dtype; two floating dtypes are promoted.
        regularization_strength: Sharpness α > 0 of the soft ranks of both, as in
            :func:`rank_relax.soft_rank`: larger is closer to Spearman's own ρ, with a gradient from
            near neighbours alone.
        method: ``"sigmoid"``, ``"gaussian"``, ``"l2"`` or ``"kl"``, as in
            :func:`rank_relax.soft_rank`.
        mask: Bool, of the shape of ``predictions``, true where a pair counts.
        reduction: ``"mean"`` or ``"sum"`` over the lists, or ``"none"`` for one loss a list.
        scale: ``"std"`` divides predictions and targets by their list's own standard deviation, so
            that one strength serves any scale of scores.

    Returns:
        A scalar, or for ``reduction="none"`` a tensor of the batch shape ``[...]``. A list in which
        either side is constant has loss 1 and gradient 0, a list of one item or none has 0 and 0,
        and one that holds NaN has NaN.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or shapes that differ.

    References:
        The correlation is Spearman's (1904) with the soft ranks of :func:`rank_relax.soft_rank`.

    Example:
        >>> import torch, rank_relax
        >>> predictions = torch.tensor([0.1, 0.4, 0.2], requires_grad=True)
        >>> loss = rank_relax.spearman_loss(predictions, torch.tensor([1, 2, 3]))
        >>> loss
        tensor(0.6727, grad_fn=<MeanBackward0>)
        >>> loss.backward()
        >>> predictions.grad
        tensor([ 2.3381,  1.1690, -3.5070])
    """
    check_tensor("spearman_loss", "predictions", predictions)
    check_tensor("spearman_loss", "targets", targets)
    check_mask("spearman_loss", mask)
    check_strength("spearman_loss", regularization_strength)
    check_method("spearman_loss", method)
    check_choice("spearman_loss", "reduction", reduction, ("mean", "sum", "none"))
    check_choice("spearman_loss", "scale", scale, (None, "std"))
    predictions, targets = whole_lists(predictions), whole_lists(targets)
    mask = whole_lists(mask)
    strength = regularization_strength
    if is_scaled(predictions, strength, scale) and not targets.is_complex():
        dtype = result_dtype(predictions.dtype, predictions.device)
        if not targets.is_floating_point():
            targets = targets.to(dtype)  # as the operator does
        common = torch.promote_types(predictions.dtype, targets.dtype)
        losses = in_float64(
            "spearman_loss",
            predictions.to(common),
            strength,
            scale,
            method,
            mask,
            targets=targets.to(common),
        )
        losses = losses.to(torch.promote_types(dtype, result_dtype(targets.dtype, targets.device)))
    else:
        losses = torch.ops.rank_relax.spearman_loss.default(
            predictions, targets, plain(strength), method, mask
        )
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


class SpearmanLoss(nn.Module):
    """One minus Spearman's rank correlation with soft ranks, as a module.

    Args:
        regularization_strength: As in :func:`spearman_loss`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`spearman_loss`, like all that follow.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        scale: ``"std"`` to divide both lists by their standard deviation first.

    Shapes:
        ``predictions``, ``targets`` and ``mask`` of one shape ``[..., n]``; returns a scalar, or
        ``[...]`` for ``reduction="none"``.

    Raises:
        TypeError: for a strength that is no number; when called, as :func:`spearman_loss`.
        ValueError: for a strength with dimensions; when called, as :func:`spearman_loss`.

    References:
        Those of :func:`spearman_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.SpearmanLoss(10.0)
        >>> scores = torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
        >>> loss(scores, scores[0].expand(2, 3))
        tensor(1.)
    """

    regularization_strength: Strength

    def __init__(
        self,
        regularization_strength: Strength = 1.0,
        *,
        method: str = "sigmoid",
        reduction: Reduction = "mean",
        scale: Scale = None,
    ) -> None:
        super().__init__()
        set_strength(self, "SpearmanLoss", regularization_strength)
        self.method = method
        self.reduction: Reduction = reduction
        self.scale: Scale = scale

    def forward(self, predictions: Tensor, targets: Tensor, mask: Tensor | None = None) -> Tensor:
        """Returns ``spearman_loss(predictions, targets, mask=mask)`` with the module's options."""
        return spearman_loss(
            predictions,
            targets,
            self.regularization_strength,
            method=self.method,
            mask=mask,
            reduction=self.reduction,
            scale=self.scale,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_strength(self.regularization_strength)}, method={self.method!r}, "
            f"reduction={self.reduction!r}, scale={self.scale!r}"
        )
