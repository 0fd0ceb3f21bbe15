"""The cross-entropy of being among the first k."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    INTEGERS,
    Reduction,
    check_reduction,
    check_same_device,
    check_scores,
)
from rank_relax._float64 import has_float64, on_the_host
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss


@public
def topk_cross_entropy_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    probabilities: Sequence[float] = (0.5, 0.0, 0.0, 0.0, 0.5),
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The cross-entropy of the true class being among the first k, for k of any distribution.

    .. math:: L = -\log \sum_k p_k F\!\left(\frac{s_y - c_k}{T}\right), \qquad
        c_k: \quad \sum_i F\!\left(\frac{s_i - c_k}{T}\right) = k

    with F the logistic function, T the ``temperature`` and :math:`F((s_i - c_k) / T)` the soft
    top-k mask of :func:`rank_relax.soft_topk`. The logarithm is that of the mask, not of its value:
    however far below the threshold the class is, the loss is finite and has a gradient.

    Args:
        scores: ``[..., n]``, of n classes: float64, float32, bfloat16 or float16.
        labels: Classes, 0 to n - 1, of an integer dtype and the shape of ``scores`` without the
            last dimension; or relevance, from 0 up, of the shape of ``scores`` and any real dtype,
            over which the loss is averaged if several items have some.
        probabilities: :math:`p_1, p_2, \dots`, from 0 up, with sum 1: ``(0, 0, 0, 0, 1)`` is top-5.
            Of fewer than k classes all are among the first k.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the relevance, from 0 up, of the shape of ``scores``.
        offsets: Not supported: lists of different lengths are rows with a ``mask``.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a relevant item that counts has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here, and for ``offsets``.

    References:
        Petersen, Kuehne, Borgelt, Deussen, "Differentiable top-k classification learning", 2022,
        where the places come from sorting networks and, for k = 1, from the softmax.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[2.0, 0.5, 1.0, -1.0], [0.2, 0.1, 3.0, -30.0]])
        >>> loss = rank_relax.topk_cross_entropy_loss
        >>> loss(scores, torch.tensor([0, 3]), probabilities=(0, 1), reduction="none")
        tensor([ 0.2317, 30.0504])
        >>> loss(scores, torch.tensor([[1, 0, 1, 0], [0, 0, 1, 0]]), reduction="none")
        tensor([0.3710, 0.1452])
    """
    strength = checked_temperature("topk_cross_entropy_loss", temperature)
    check_topk_cross_entropy_options("topk_cross_entropy_loss", probabilities, reduction)
    if offsets is not None:
        raise ValueError(
            "topk_cross_entropy_loss: offsets is not supported; pad the lists to rows and give a "
            "mask"
        )
    classes = _classes("topk_cross_entropy_loss", scores, labels)
    if classes is not None:
        labels = _is_class("topk_cross_entropy_loss", scores, classes)
    lists = Lists(
        "topk_cross_entropy_loss", scores, labels, mask=mask, weights=weights, offsets=None
    )
    share, total = lists.shares(lists.amounts)
    lists.leave_out_unless(total > 0)
    scaled = lists.scaled(strength)
    k = [place for place, p in enumerate(probabilities, 1) if p > 0]
    thresholds, among_all = _thresholds(lists, scaled, k)
    if classes is not None:
        share, scaled = share.gather(-1, classes), scaled.gather(-1, classes)
    # An item without a share may be infinitely far below.
    scaled = torch.where(share > 0, scaled, 0).unsqueeze(-1)
    inside = torch.nn.functional.logsigmoid(scaled - thresholds.unsqueeze(-2))
    inside = torch.where(among_all.unsqueeze(-2), 0, inside)
    log_p = inside.new_tensor([math.log(probabilities[place - 1]) for place in k])
    surprise = -(log_p + inside).logsumexp(-1)
    return lists.reduced((share * surprise).sum(-1), reduction)


def check_topk_cross_entropy_options(function: str, probabilities: Any, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    if not isinstance(probabilities, (tuple, list)) or any(
        isinstance(p, bool) or not isinstance(p, NUMBERS) for p in probabilities
    ):
        raise TypeError(
            f"{function}: probabilities must be a tuple or list of numbers, got {probabilities!r}"
        )
    numbers = [as_float(p) for p in probabilities]
    if any(not p >= 0 for p in numbers) or not abs(sum(numbers) - 1) < 1e-4:
        raise ValueError(
            f"{function}: probabilities must be from 0 up and add up to 1, got {probabilities!r}"
        )
    check_reduction(function, reduction)


def _classes(function: str, scores: Any, labels: Any) -> Tensor | None:
    """``[..., 1]``, or None for labels of each item."""
    check_scores(function, "scores", scores)
    if (
        not isinstance(labels, Tensor)
        or labels.dtype not in INTEGERS
        or labels.dim() != scores.dim() - 1
    ):
        return None
    check_same_device(function, "labels", labels, "scores", scores)
    if labels.shape != scores.shape[:-1]:
        raise ValueError(
            f"{function}: labels that are classes must have the shape of scores without the last "
            f"dimension, {list(scores.shape[:-1])}, got {list(labels.shape)}"
        )
    return labels.to(torch.int64).unsqueeze(-1)


def _is_class(function: str, scores: Tensor, classes: Tensor) -> Tensor:
    no_class = torch.zeros_like(scores, dtype=torch.bool)
    try:
        return no_class.scatter(-1, classes, True)
    except RuntimeError as error:
        if "out of bounds" not in str(error):
            raise
        raise ValueError(
            f"{function}: labels must be classes from 0 to {scores.shape[-1] - 1}, the last of "
            "scores; leave a list out by a mask that is false"
        ) from None


def _thresholds(lists: Lists, scaled: Tensor, k: list[int]) -> tuple[Tensor, Tensor]:
    """The c_k of each list, ``[..., K]``, and where there is none, as all are among the first k."""
    mask, device = lists.mask, scaled.device
    if not has_float64(device):
        scaled, mask = on_the_host(scaled), on_the_host(mask)
    counted = torch.ones_like(scaled, dtype=torch.bool) if mask is None else mask
    number = counted.sum(-1, keepdim=True).double()
    # Below the threshold are n - k. It is found in float64 and, as a root, differentiable as often
    # as its equation is.
    below = number - torch.tensor(k, device=scaled.device)
    thresholds = torch.ops.rank_relax._quantile_at_levels.default(
        scaled.double(), below.clamp(min=0), 1.0, "sigmoid", mask
    )
    return thresholds.to(device), (below <= 0).to(device)


class TopKCrossEntropyLoss(RankingLoss):
    """The cross-entropy of the true class being among the first k, as a module.

    Args:
        probabilities: Of k = 1, 2, ..., as in :func:`topk_cross_entropy_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``mask`` and ``weights`` of one shape, ``labels`` of the same or, for classes,
        without its last dimension; returns a scalar, or one loss per list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`topk_cross_entropy_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`topk_cross_entropy_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.TopKCrossEntropyLoss(probabilities=(0.5, 0.5))
        >>> loss(torch.tensor([[0.3, 0.1, 0.9, 0.5]]), torch.tensor([2]))
        tensor(0.7451)
    """

    function = staticmethod(topk_cross_entropy_loss)

    def __init__(
        self,
        *,
        probabilities: Sequence[float] = (0.5, 0.0, 0.0, 0.0, 0.5),
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_topk_cross_entropy_options("TopKCrossEntropyLoss", probabilities, reduction)
        super().__init__(temperature, probabilities=probabilities, reduction=reduction)
