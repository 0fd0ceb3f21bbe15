"""The area under the ROC curve as a loss."""

import math
from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature, widest_dtype
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss

Surrogate = Literal["sigmoid", "logistic", "squared", "squared_hinge"]


@public
def auc_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    surrogate: Surrogate = "sigmoid",
    margin: float = 1.0,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the area under the ROC curve, with a smooth loss of each pair.

    .. math:: L = \frac{1}{|P| |N|} \sum_{p \in P} \sum_{n \in N}
        \ell\!\left(\frac{s_p - s_n}{T}\right)

    over positive and negative items: on the CPU in O(n) time, with ``"squared_hinge"``, which
    sorts, in O(n log n). (Elsewhere the first two sum over all pairs, in bounded memory.)

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Positive above 0, of the shape of ``scores`` and any real dtype.
        surrogate: ``"sigmoid"``, :math:`\ell(d) = 1 / (1 + e^d)`, one minus the area itself as T
            falls; ``"logistic"``, :math:`\log(1 + e^{-d})`; ``"squared"``,
            :math:`(m - d)^2`; or ``"squared_hinge"``, :math:`\max(0, m - d)^2`.
        margin: The m of the squared ones.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either side's items, from 0 up, of the shape of ``scores``: a pair has the
            product, :math:`|P|` and :math:`|N|` are sums.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a positive or a negative item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Calders, Jaroszewicz, "Efficient AUC optimization for classification", 2007 (sigmoid). Gao,
        Zhou, "On the consistency of AUC pairwise optimization", 2015 (the others). Rust, Hocking,
        "A log-linear gradient descent algorithm for unbalanced binary classification using the all
        pairs squared hinge loss", 2023.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9, 0.4]), torch.tensor([0, 0, 1, 1])
        >>> rank_relax.auc_loss(scores, labels)
        tensor(0.3912)
        >>> rank_relax.auc_loss(scores, labels, temperature=0.01)
        tensor(1.1349e-05)
    """
    strength = checked_temperature("auc_loss", temperature)
    check_auc_options("auc_loss", surrogate, margin, reduction)
    lists = Lists("auc_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    is_positive = lists.amounts > 0
    positive, positives = lists.shares(is_positive.to(lists.scores.dtype))
    negative, negatives = lists.shares((~is_positive).to(lists.scores.dtype))
    lists.leave_out_unless((positives > 0) & (negatives > 0))
    losses = mean_over_pairs(lists, strength, positive, negative, surrogate, margin)
    return lists.reduced(losses, reduction)


def check_auc_options(function: str, surrogate: object, margin: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(
        function, "surrogate", surrogate, ("sigmoid", "logistic", "squared", "squared_hinge")
    )
    if isinstance(margin, bool) or not isinstance(margin, NUMBERS):
        raise TypeError(f"{function}: margin must be a number, got {margin!r}")
    if not -math.inf < as_float(margin) < math.inf:
        raise ValueError(f"{function}: margin must be finite, got {margin}")
    check_reduction(function, reduction)


def mean_over_pairs(
    lists: Lists,
    strength: Strength,
    positive: Tensor,
    negative: Tensor,
    surrogate: Surrogate,
    margin: float,
) -> Tensor:
    """E ℓ(α (s_p - s_n)) of each list, with the shares that positive and negative items have."""
    if surrogate == "squared":
        return _squared(lists, lists.subtracted(strength), positive, negative, margin)
    is_positive = lists.amounts > 0
    if surrogate == "squared_hinge":
        of_item = _squared_hinge(lists, lists.subtracted(strength), is_positive, negative, margin)
    elif surrogate == "logistic":
        of_item = lists.weight_above(strength, negative, lists.mask, order=-1) * strength
    else:
        of_item = lists.weight_above(strength, negative, lists.mask)
    return lists.sum(positive * torch.where(is_positive, of_item, 0))


def _squared(
    lists: Lists, scaled: Tensor, positive: Tensor, negative: Tensor, margin: float
) -> Tensor:
    """E (m - (p - n))², which is (m - E p + E n)² + Var p + Var n."""
    gap = torch.full((), margin, dtype=scaled.dtype, device=scaled.device)
    spread = torch.zeros_like(gap)
    for share, sign in ((positive, -1), (negative, 1)):
        mean = lists.sum(share * scaled)
        gap = gap + sign * mean
        spread = spread + lists.sum(share * (scaled - lists.to_items(mean)) ** 2)
    return gap**2 + spread


def _squared_hinge(
    lists: Lists, scaled: Tensor, is_positive: Tensor, negative: Tensor, margin: float
) -> Tensor:
    """E max(0, m - (p - n))² over the n, for each p.

    In falling order of p - m and n, each p has the n before it. What they weigh, with their
    distance and with its square, is summed from gap to gap: all terms are positive, so that a score
    far away takes no digit from the others.
    """
    key = scaled.to(widest_dtype(scaled.device))
    key = torch.where(is_positive, key - margin, key)
    order = lists.order(key)
    key = key.gather(-1, order)
    gap = torch.where(lists.place() == 1, 0, lists.before(key) - key)
    count = lists.before(lists.running_sum(negative.gather(-1, order)))
    first = lists.before(lists.running_sum(gap * count))
    second = lists.running_sum(2 * gap * first + gap**2 * count)
    return torch.zeros_like(second).scatter(-1, order.expand_as(second), second)


class AUCLoss(RankingLoss):
    """One minus the area under the ROC curve with a smooth loss of each pair, as a module.

    Args:
        surrogate: ``"sigmoid"``, ``"logistic"``, ``"squared"`` or ``"squared_hinge"``, as in
            :func:`auc_loss`, like all that follow.
        margin: The margin of the squared ones.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`auc_loss` would refuse; when called, as it
            does.

    References:
        Those of :func:`auc_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.AUCLoss(surrogate="squared_hinge")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 1]))
        tensor(0.1000)
    """

    function = staticmethod(auc_loss)

    def __init__(
        self,
        *,
        surrogate: Surrogate = "sigmoid",
        margin: float = 1.0,
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_auc_options("AUCLoss", surrogate, margin, reduction)
        super().__init__(temperature, surrogate=surrogate, margin=margin, reduction=reduction)
