"""Spearman's rank correlation itself, with hard ranks: what the loss is a relaxation of."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    Reduction,
    check_items,
    check_mask_of,
    check_reduction,
    check_same_device,
    check_same_shape,
    checked_dim,
    warn_of_single_items,
)
from rank_relax._float64 import has_float64, on_the_host
from rank_relax._scores import result_dtype
from rank_relax._strength import DTYPES


@public
def spearman_correlation(
    predictions: Tensor,
    targets: Tensor,
    *,
    dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "none",
) -> Tensor:
    r"""Spearman's rank correlation of two lists, ties averaged.

    .. math:: \rho = \mathrm{Pearson}(R(p), R(t)) \in [-1, 1]

    with the ranks of :func:`rank_relax.hard_rank`: the metric that :func:`rank_relax.spearman_loss`
    is one minus a relaxation of, with the same conventions. Not differentiable.

    Args:
        predictions: Scores, of any shape and strides and of any real dtype, as in
            :func:`rank_relax.hard_rank`.
        targets: What they should be ordered like, of the same shape, and of any real dtype too:
            each side is compared in its own.
        dim: The dimension that holds a list.
        mask: Bool, of the shape of ``predictions``, true where a pair counts.
        reduction: ``"mean"`` or ``"sum"`` over the lists, or ``"none"`` for one number per list.

    Returns:
        For ``reduction="none"`` a tensor of the batch shape, else a scalar; of the floating dtype
        that the two are promoted to (float32 under autocast for the half precisions), torch's
        default dtype for two sides of integers. Computed in float64. A list in which either side is
        constant has 0, where ``scipy.stats.spearmanr`` has NaN; a list of one item or none has 1;
        one that holds NaN has NaN: in each case one minus the loss.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or shapes that differ.
        IndexError: for a ``dim`` that ``predictions`` does not have.

    References:
        Spearman, "The proof and measurement of association between two things", 1904.
        ``scipy.stats.spearmanr``.

    Example:
        >>> import torch, rank_relax
        >>> predictions = torch.tensor([[0.1, 0.4, 0.2, 0.9], [0.9, 0.4, 0.2, 0.1]])
        >>> targets = torch.tensor([1, 2, 3, 3]).expand(2, 4)
        >>> rank_relax.spearman_correlation(predictions, targets)
        tensor([ 0.6325, -0.9487])
    """
    function = "spearman_correlation"
    check_items(function, "predictions", predictions)
    check_items(function, "targets", targets)
    dim = checked_dim(function, dim)
    check_reduction(function, reduction)
    check_same_device(function, "targets", targets, "predictions", predictions)
    check_same_shape(function, "targets", targets, "predictions", predictions)
    check_mask_of(function, mask, "predictions", predictions)
    device, dtype = predictions.device, _dtype(predictions, targets)
    scores = predictions.detach()
    predictions, targets = scores.movedim(dim, -1), targets.detach().movedim(dim, -1)
    mask = None if mask is None else mask.movedim(dim, -1)
    warn_of_single_items(function, "predictions", scores, dim)
    if not has_float64(device):
        predictions, targets = on_the_host(predictions), on_the_host(targets)
        mask = on_the_host(mask)
    rank = torch.ops.rank_relax._centered_hard_rank.default
    p, t = (rank(side, mask, torch.float64) for side in (predictions, targets))
    squares = (p * p).sum(-1) * (t * t).sum(-1)
    constant = squares == 0
    correlations: Tensor = ((p * t).sum(-1) / squares.masked_fill(constant, 1).sqrt()).clamp(-1, 1)
    kept = torch.ones_like(p, dtype=torch.bool) if mask is None else mask
    few = kept.sum(-1) <= 1
    undefined = squares.isnan()
    correlations = correlations.masked_fill(few & ~undefined, 1).to(dtype).to(device)
    if reduction == "none":
        return correlations
    return correlations.mean() if reduction == "mean" else correlations.sum()


def _dtype(*sides: Tensor) -> torch.dtype:
    """Of the floating sides, promoted."""
    floating = [result_dtype(side.dtype, side.device) for side in sides if side.dtype in DTYPES]
    if not floating:
        return torch.get_default_dtype()
    return torch.promote_types(floating[0], floating[-1])
