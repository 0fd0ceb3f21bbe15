"""Spearman's rank correlation as a loss."""

from typing import Literal

import torch
from torch import Tensor, nn

from rank_relax._calls import public
from rank_relax._checks import (
    REAL_DTYPES,
    SMOOTH_CDFS,
    Method,
    Reduction,
    check_choice,
    check_items,
    check_mask,
    check_method,
    check_reduction,
    check_same_shape,
    check_tensor,
    checked_dim,
    is_tracing,
    warn_of_single_items,
)
from rank_relax._float64 import has_float64, on_the_host
from rank_relax._integers import fits, integer_scores, is_integer, standardized_ranks
from rank_relax._ragged import check_offsets, in_one_row, ragged
from rank_relax._scores import Scale, in_float64, is_scaled, plain, result_dtype
from rank_relax._sharding import whole_lists
from rank_relax._strength import (
    DTYPES,
    Strength,
    checked_strength,
    describe_strength,
    name_of,
    set_strength,
    strength_given,
)
from rank_relax.losses._weighted_spearman import weighted_spearman_loss

TargetRanks = Literal["hard", "soft"]

# The default of the function and the module; csrc/torch/operators/spearman_loss.h has its own.
TARGET_RANKS: TargetRanks = "hard"


@public
def spearman_loss(
    predictions: Tensor,
    targets: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    mask: Tensor | None = None,
    reduction: Reduction = "mean",
    scale: Scale = None,
    target_ranks: TargetRanks = TARGET_RANKS,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""One minus Spearman's rank correlation, with soft ranks of the predictions.

    .. math:: L = 1 - \mathrm{Pearson}(R(p), r(t)) \in [0, 2]

    Predictions are ranked along ``dim`` by :func:`rank_relax.soft_rank`, targets by
    :func:`rank_relax.hard_rank`, or softly as well. Differentiable as many times as ranks are.

    Args:
        predictions: Scores, of any shape and strides: float64, float32, bfloat16 or float16.
        targets: What they should be ordered like, of the same shape: a dtype of the predictions, an
            integer one or bool. Integers are compared exactly, whatever their size; where both
            sides are ranked softly, two floating dtypes are promoted.
        regularization_strength: Sharpness α > 0 of the soft ranks, as in
            :func:`rank_relax.soft_rank`: larger is closer to Spearman's own ρ, with a gradient from
            near neighbours alone.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"``, ``"cauchy"``, ``"l2"`` or ``"kl"``, as
            in :func:`rank_relax.soft_rank`.
        dim: The dimension that holds a list. A batch of lists of one item each, such as the
            ``[N, 1]`` of a ``Linear(..., 1)``, has a constant loss, and a warning.
        mask: Bool, of the shape of ``predictions``, true where a pair counts.
        reduction: ``"mean"`` or ``"sum"`` over the lists, or ``"none"`` for one loss per list.
        scale: ``"std"`` divides what is ranked softly by its list's own standard deviation, so that
            one strength serves any scale of scores.
        target_ranks: ``"hard"`` takes the hard ranks of the targets, ties averaged: only their
            order counts, in whatever unit they are. ``"soft"`` ranks both sides softly, with one
            strength: the loss has a gradient in the targets too, and depends on their distances.
        weights: How often each pair is there, from 0 up, of the shape of ``predictions``, in the
            ranks and in the correlation: a whole number is a repetition. With the smooth methods
            alone, and with ``"soft"`` for floating targets alone. They have a gradient.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, where
            ``predictions`` is ``[N]`` and holds lists of any lengths, one behind the other.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        A scalar, or for ``reduction="none"`` a tensor of the shape without ``dim``, of the dtype of
        the predictions, or what they and softly ranked floating targets are promoted to. A list in
        which either side is constant has loss 1 and gradient 0, a list of one item or none has 0
        and 0, and one that holds NaN has NaN. Items of weight 0 are as good as masked, but for NaN.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, shapes that differ, or targets that require
            a gradient with ``target_ranks="hard"``.
        IndexError: for a ``dim`` that ``predictions`` does not have.

    References:
        The correlation is Spearman's (1904) with the soft ranks of :func:`rank_relax.soft_rank`.
        Of repeated pairs the rank is :math:`\sum_{j \neq i} w_j F(\alpha (x_i - x_j)) + w_i / 2`,
        less a constant.

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
    if weights is not None:
        check_tensor("spearman_loss", "weights", weights)
    predictions, targets, mask, weights, offsets = in_one_row(
        "spearman_loss",
        offsets,
        predictions=predictions,
        targets=targets,
        mask=mask,
        weights=weights,
    )
    strength = strength_given("spearman_loss", regularization_strength, temperature)
    strength = checked_strength("spearman_loss", strength)
    dim = checked_dim("spearman_loss", dim)
    check_options("spearman_loss", method, reduction, scale, target_ranks)
    given = predictions
    if dim != -1:
        check_same_shape("spearman_loss", "targets", targets, "predictions", predictions)
        if mask is not None:
            check_same_shape("spearman_loss", "mask", mask, "predictions", predictions)
            mask = mask.movedim(dim, -1)
        if weights is not None:
            check_same_shape("spearman_loss", "weights", weights, "predictions", predictions)
            weights = weights.movedim(dim, -1)
        predictions, targets = predictions.movedim(dim, -1), targets.movedim(dim, -1)
    # Of unequal shapes the operator has more to say; a trace would warn of the comparison.
    if not is_tracing() and targets.shape == predictions.shape:
        warn_of_single_items("spearman_loss", "predictions", given, dim)
    predictions, targets = whole_lists(predictions), whole_lists(targets)
    mask = whole_lists(mask)
    if weights is not None:
        losses = _weighted_loss(
            predictions, targets, weights, strength, method, mask, scale, target_ranks, offsets
        )
    elif offsets is not None:
        losses = _ragged_loss(
            predictions, targets, offsets, strength, method, mask, scale, target_ranks
        )
    elif is_scaled(predictions, strength, scale) and _is_comparable(targets, predictions):
        losses = _scaled_loss(predictions, targets, strength, method, mask, scale, target_ranks)
    else:
        losses = torch.ops.rank_relax.spearman_loss.default(
            predictions, targets, plain(strength), method, mask, target_ranks
        )
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def check_options(
    function: str,
    method: object,
    reduction: object,
    scale: object,
    target_ranks: object,
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_method(function, method)
    check_reduction(function, reduction)
    check_choice(function, "scale", scale, (None, "std"))
    check_choice(function, "target_ranks", target_ranks, ("hard", "soft"))


def check_constant(targets: Tensor) -> None:
    """Raises for targets that are ranked hard and are to have a gradient: as ranking them does."""
    torch.ops.rank_relax._centered_hard_rank.default(targets[..., :0], None, torch.float32)


def _is_comparable(targets: Tensor, predictions: Tensor) -> bool:
    """Whether the targets are of a kind that the operator takes; if not, it says why."""
    return (
        targets.dtype in REAL_DTYPES
        and targets.layout == torch.strided
        and targets.device == predictions.device
    )


def _scaled_loss(
    predictions: Tensor,
    targets: Tensor,
    strength: Strength,
    method: str,
    mask: Tensor | None,
    scale: Scale,
    target_ranks: TargetRanks,
) -> Tensor:
    """One loss a list, at a strength that is a tensor or in units of the standard deviation."""
    dtype = result_dtype(predictions.dtype, predictions.device)
    at_ranks = torch.promote_types(predictions.dtype, torch.float32)
    ranks = None
    if target_ranks == "hard" or is_integer(targets.dtype):
        check_same_shape("spearman_loss", "targets", targets, "predictions", predictions)
    if target_ranks == "hard":
        ranks = torch.ops.rank_relax._centered_hard_rank.default(targets, mask, at_ranks)
    elif (
        is_integer(targets.dtype)
        and not isinstance(strength, Tensor)
        and targets.shape[-1] > 0
        and fits(mask, targets)
    ):
        ranks = standardized_ranks(targets, strength, method, mask).to(at_ranks)
    if ranks is not None:
        losses = in_float64(
            "spearman_loss at ranks", predictions, strength, scale, method, mask, targets=ranks
        )
        return losses.to(dtype)
    if is_integer(targets.dtype) and not has_float64(targets.device):
        p, t, kept = on_the_host(predictions.float()), on_the_host(targets), on_the_host(mask)
        losses = _scaled_loss(p, t, strength, method, kept, scale, target_ranks)
        return losses.to(predictions.device).to(dtype)
    if is_integer(targets.dtype):
        targets = integer_scores(targets, strength, scale, method, mask)
    else:
        dtype = torch.promote_types(dtype, result_dtype(targets.dtype, targets.device))
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
    return losses.to(dtype)


def _weighted_loss(
    predictions: Tensor,
    targets: Tensor,
    weights: Tensor,
    strength: Strength,
    method: Method,
    mask: Tensor | None,
    scale: Scale,
    target_ranks: TargetRanks,
    offsets: Tensor | None,
) -> Tensor:
    """One loss a list, of items that weigh different amounts."""
    if method == "l2" or method == "kl":
        raise ValueError(
            "spearman_loss: with weights, method must be one of "
            f"{', '.join(map(repr, SMOOTH_CDFS))}, got {method!r}, whose ranks have no weights"
        )
    if target_ranks == "hard":
        check_items("spearman_loss", "targets", targets)
        check_constant(targets)
    elif is_integer(targets.dtype):
        raise ValueError(
            "spearman_loss: with weights, targets of an integer dtype are ranked hard, got "
            f"{name_of(targets.dtype)}; convert them with targets.double(), or rank them hard"
        )
    elif targets.dtype in DTYPES and predictions.dtype in DTYPES:
        common = torch.promote_types(predictions.dtype, targets.dtype)
        predictions, targets = predictions.to(common), targets.to(common)
    return weighted_spearman_loss(
        predictions,
        targets,
        whole_lists(weights),
        strength,
        method,
        mask,
        scale,
        target_ranks,
        offsets,
    )


def _ragged_loss(
    predictions: Tensor,
    targets: Tensor,
    offsets: Tensor,
    strength: Strength,
    method: str,
    mask: Tensor | None,
    scale: Scale,
    target_ranks: TargetRanks,
) -> Tensor:
    """One loss for each of the lists that lie one behind the other."""
    check_offsets("spearman_loss", offsets, "predictions", predictions)
    check_items("spearman_loss", "targets", targets)
    dtype = result_dtype(predictions.dtype, predictions.device)
    function = "spearman_loss"
    if target_ranks == "hard":
        check_constant(targets)
        function = "spearman_loss by order"
    elif not is_integer(targets.dtype):
        dtype = torch.promote_types(dtype, result_dtype(targets.dtype, targets.device))
        common = torch.promote_types(predictions.dtype, targets.dtype)
        predictions, targets = predictions.to(common), targets.to(common)
    elif is_scaled(predictions, strength, scale):
        raise ValueError(
            "spearman_loss: with offsets, targets of an integer dtype are ranked softly at a "
            f"strength that is a float and without scale, got {name_of(targets.dtype)}; convert "
            "them with targets.double(), or rank them hard"
        )
    losses = ragged(function, predictions, offsets, strength, scale, method, mask, targets=targets)
    return losses.to(dtype)


class SpearmanLoss(nn.Module):
    """One minus Spearman's rank correlation with soft ranks of the predictions, as a module.

    Args:
        regularization_strength: As in :func:`spearman_loss`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`spearman_loss`, like all that follow.
        dim: The dimension that holds a list.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        scale: ``"std"`` to divide what is ranked softly by its standard deviation first.
        target_ranks: ``"hard"`` or ``"soft"``.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``predictions``, ``targets``, ``mask`` and ``weights`` of one shape; returns a scalar, or
        that shape without ``dim`` for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`spearman_loss` would refuse; when called,
            as it does.

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
    temperature: Strength | None

    def __init__(
        self,
        regularization_strength: Strength = 1.0,
        *,
        method: Method = "sigmoid",
        dim: int = -1,
        reduction: Reduction = "mean",
        scale: Scale = None,
        target_ranks: TargetRanks = TARGET_RANKS,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_strength(self, "SpearmanLoss", regularization_strength, temperature)
        check_options("SpearmanLoss", method, reduction, scale, target_ranks)
        self.method: Method = method
        self.dim = checked_dim("SpearmanLoss", dim)
        self.reduction: Reduction = reduction
        self.scale: Scale = scale
        self.target_ranks: TargetRanks = target_ranks

    def forward(
        self,
        predictions: Tensor,
        targets: Tensor,
        mask: Tensor | None = None,
        offsets: Tensor | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Returns ``spearman_loss(predictions, targets, mask=mask)`` with the module's options."""
        return spearman_loss(
            predictions,
            targets,
            self.regularization_strength,
            method=self.method,
            dim=self.dim,
            mask=mask,
            reduction=self.reduction,
            scale=self.scale,
            target_ranks=self.target_ranks,
            weights=weights,
            offsets=offsets,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_strength(self)}, method={self.method!r}, "
            f"dim={self.dim}, reduction={self.reduction!r}, scale={self.scale!r}, "
            f"target_ranks={self.target_ranks!r}"
        )
