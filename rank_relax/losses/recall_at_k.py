"""Recall among the first k as a loss."""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_bool, check_choice, check_reduction
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._options import check_places
from rank_relax.losses._soft_selection import among_first

RecallVariant = Literal["topk", "ranks"]


@public
def recall_at_k_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    k: int | Sequence[int],
    variant: RecallVariant = "topk",
    capped: bool = False,
    rank_temperature: float | Sequence[float] = 1.0,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the recall at k: the share of relevant items that is among the first k, softly.

    .. math:: L = 1 - \frac{1}{|P|} \sum_{i \in P} m_i, \qquad P = \{i : y_i > 0\}

    with m, how far an item is among the first k, by one of two relaxations:

    .. math:: m_i = F\!\left(\frac{s_i - c}{T}\right), \quad c:\ \sum_i m_i = k
        \qquad\text{or}\qquad
        m_i = F\!\left(\frac{k - r_i}{\tau}\right), \quad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function, T the ``temperature`` and τ the ``rank_temperature``.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        k: How many places count; or several such numbers, of whose recalls the mean is taken. A
            list of fewer items has them all among its first k.
        variant: ``"topk"``, the first of the two, by the mask of :func:`rank_relax.soft_topk`,
            which adds up to k: as T falls this is one minus the metric. Or ``"ranks"``, the second,
            that of RS@k. There an item at place k itself counts half, however small T and τ are, as
            it is published: a perfect order has a loss above 0.
        capped: Divide by what the best order has among the first k, :math:`\min(k, |P|)`, in place
            of all that is relevant, so that it can reach 1 in lists with more than k relevant
            items, and never more. The code of RS@k does so; the paper has it without.
        rank_temperature: τ > 0 of ``"ranks"``, in units of places, or one for each k. The paper has
            1, its code a τ of k for each k.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the relevant items in both sums, from 0 up, of the shape of ``scores``. They are
            in no place; the best order of ``capped`` has the heaviest first.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the metric. A 0-dim tensor
            makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Patel, Tolias, Matas, "Recall@k surrogate loss with large batches and similarity mixup",
        2022, whose temperatures are the defaults.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9, 0.4], [0.2, 0.7, 0.4, 0.8]])
        >>> labels = torch.tensor([[1, 0, 1, 1], [0, 1, 0, 0]])
        >>> rank_relax.recall_at_k_loss(scores, labels, k=2, temperature=0.1, reduction="none")
        tensor([0.3557, 0.1655])
        >>> rank_relax.recall_at_k_loss(scores, labels, k=(1, 2), variant="ranks")
        tensor(0.6087)
    """
    strength = checked_temperature("recall_at_k_loss", temperature)
    check_recall_at_k_options("recall_at_k_loss", k, variant, capped, rank_temperature, reduction)
    places = [k] if not isinstance(k, Sequence) else list(k)
    lists = Lists("recall_at_k_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    relevant, total = lists.shares((lists.amounts > 0).to(lists.scores.dtype))
    lists.leave_out_unless(total > 0)
    if variant == "topk":
        recalls = [lists.sum(relevant * among_first(lists, strength, place)) for place in places]
    else:
        position = 1 + lists.above(strength)
        recalls = [
            lists.sum(relevant * torch.sigmoid((place - position) / temperature_of_ranks))
            for place, temperature_of_ranks in zip(
                places, _each(rank_temperature, len(places)), strict=True
            )
        ]
    if capped:
        recalls = [
            recall / most
            for recall, most in zip(recalls, _most(lists, relevant, places), strict=True)
        ]
        if variant == "ranks":  # which, unlike a mask, may add up to more than k
            recalls = [recall.clamp(max=1) for recall in recalls]
    return lists.reduced(1 - torch.stack(recalls).mean(0), reduction)


def check_recall_at_k_options(
    function: str,
    k: object,
    variant: object,
    capped: object,
    rank_temperature: object,
    reduction: object,
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_places(function, k, "an int or a tuple of ints")
    check_choice(function, "variant", variant, ("topk", "ranks"))
    check_bool(function, "capped", capped)
    _check_rank_temperature(function, k, rank_temperature)
    check_reduction(function, reduction)


def _check_rank_temperature(function: str, k: object, rank_temperature: object) -> None:
    several = isinstance(rank_temperature, (tuple, list))
    each = list(rank_temperature) if several else [rank_temperature]  # type: ignore[call-overload]
    if any(isinstance(x, bool) or not isinstance(x, NUMBERS) for x in each):
        raise TypeError(
            f"{function}: rank_temperature must be a number or a tuple of numbers, got "
            f"{rank_temperature!r}"
        )
    if any(not 0 < as_float(x) < torch.inf for x in each):
        raise ValueError(
            f"{function}: rank_temperature must be positive and finite, got {rank_temperature!r}"
        )
    places = len(k) if isinstance(k, (tuple, list)) else 1
    if several and len(each) != places:
        raise ValueError(
            f"{function}: rank_temperature must have one number for each k, {places}, got "
            f"{rank_temperature!r}"
        )


def _each(rank_temperature: float | Sequence[float], number: int) -> list[float]:
    """The temperature of each k."""
    if isinstance(rank_temperature, (tuple, list)):
        return [as_float(x) for x in rank_temperature]
    return [as_float(rank_temperature)] * number


def _most(lists: Lists, relevant: Tensor, places: Sequence[int]) -> list[Tensor]:
    """The share of what is relevant that the best order has in the first k places."""
    best, place = relevant.gather(-1, lists.order(relevant)), lists.place()
    shares = (lists.sum(torch.where(place <= k, best, 0)) for k in places)
    return [torch.where(lists.has_loss, share, 1) for share in shares]


class RecallAtKLoss(RankingLoss):
    """One minus the share of the relevant items that is among the first k, softly, as a module.

    Args:
        k: A number of places or several, as in :func:`recall_at_k_loss`, like all that follow.
        variant: ``"topk"`` or ``"ranks"``.
        capped: Whether to divide by what the best order has among the first k.
        rank_temperature: A number, or one for each k, of ``"ranks"``.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`recall_at_k_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`recall_at_k_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.RecallAtKLoss(k=(1, 2), variant="ranks", rank_temperature=(1, 2))
        >>> loss(torch.tensor([0.3, 0.1, 0.9, 0.4]), torch.tensor([0, 0, 1, 1]))
        tensor(0.5272)
    """

    function = staticmethod(recall_at_k_loss)

    def __init__(
        self,
        *,
        k: int | Sequence[int],
        variant: RecallVariant = "topk",
        capped: bool = False,
        rank_temperature: float | Sequence[float] = 1.0,
        temperature: Strength = 0.01,
        reduction: Reduction = "mean",
    ) -> None:
        check_recall_at_k_options("RecallAtKLoss", k, variant, capped, rank_temperature, reduction)
        super().__init__(
            temperature,
            k=k,
            variant=variant,
            capped=capped,
            rank_temperature=rank_temperature,
            reduction=reduction,
        )
