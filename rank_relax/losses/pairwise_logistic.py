"""The logistic loss of all ordered pairs."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._ordered_pairs import EqualPairs, OrderedPairs

Normalize = Literal["list", "pairs", "sum"]
Ties = Literal["ignore", "half"]


@public
def pairwise_logistic_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    normalize: Normalize = "list",
    ties: Ties = "ignore",
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The logistic loss of all pairs that the labels order (RankNet, Bradley-Terry, BPR).

    .. math:: L = \sum_{y_i > y_j} \log\bigl(1 + e^{-(s_i - s_j) / T}\bigr)

    over the number of pairs. On the CPU in O(n log n) time or less, and in memory for the items, so
    that labels may be real numbers and a list may have 10⁶ items;
    elsewhere the sums go over all pairs, in bounded memory.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        normalize: ``"list"``, the mean over the pairs of each list; ``"sum"``, their sum; or
            ``"pairs"``, their sum, but ``reduction="mean"`` is the mean over all pairs of the
            batch.
        ties: ``"ignore"``, two items of equal labels make no pair; or ``"half"``, RankNet's own:
            one whose target is ½, with the mean of the losses of both orders, which is least, log
            2, where their scores are equal.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product, and
            counts so often.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores; 1/T is the σ of RankNet. A 0-dim tensor makes it
            learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a pair has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Burges, Shaked, Renshaw, Lazier, Deeds, Hamilton, Hullender, "Learning to rank using
        gradient descent", 2005.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1.5, 0.2, 7.0])
        >>> rank_relax.pairwise_logistic_loss(scores, labels)
        tensor(0.4689)
    """
    strength = checked_temperature("pairwise_logistic_loss", temperature)
    check_pairwise_options("pairwise_logistic_loss", normalize, ties, reduction)
    lists = Lists(
        "pairwise_logistic_loss", scores, labels, mask=mask, weights=weights, offsets=offsets
    )
    share, total = lists.shares(torch.ones_like(lists.scores))
    of_labels = OrderedPairs(lists)
    equal = EqualPairs(lists) if ties == "half" else None
    pairs = of_labels.weight(share, share)
    if equal is not None:
        pairs = pairs + equal.weight(share, share)
    has_pairs = pairs > 0
    lists.leave_out_unless(has_pairs)
    lists.refuse_infinite()
    losses = of_labels.sum(strength, share, share, -1)
    if equal is not None:
        losses = losses + equal.mean_of_both_orders(strength, share)
    losses = losses * strength
    if normalize == "list":
        return lists.reduced(losses / torch.where(has_pairs, pairs, 1), reduction)
    if normalize == "pairs" and reduction == "mean":
        # Of each list in units of the heaviest, whose square may be in no range.
        heaviest = torch.where(has_pairs, total, 0).max() if total.numel() else total.sum()
        part = total / torch.where(heaviest > 0, heaviest, 1)
        pairs = torch.where(has_pairs, pairs * part**2, 0)
        every = pairs.sum()
        losses = losses * part**2 / torch.where(every > 0, every, 1)
        return lists.reduced(losses, "sum")
    return lists.reduced(losses * total * total, reduction)


def check_pairwise_options(
    function: str, normalize: object, ties: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "normalize", normalize, ("list", "pairs", "sum"))
    check_choice(function, "ties", ties, ("ignore", "half"))
    check_reduction(function, reduction)


class PairwiseLogisticLoss(RankingLoss):
    """The logistic loss of all pairs that the labels order, as a module.

    Args:
        normalize: ``"list"``, ``"pairs"`` or ``"sum"``, as in :func:`pairwise_logistic_loss`.
        ties: ``"ignore"`` or ``"half"``.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`pairwise_logistic_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`pairwise_logistic_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.PairwiseLogisticLoss(normalize="sum")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 1]))
        tensor(0.8086)
    """

    function = staticmethod(pairwise_logistic_loss)

    def __init__(
        self,
        *,
        normalize: Normalize = "list",
        ties: Ties = "ignore",
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_pairwise_options("PairwiseLogisticLoss", normalize, ties, reduction)
        super().__init__(temperature, normalize=normalize, ties=ties, reduction=reduction)
