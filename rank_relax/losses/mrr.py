"""The mean reciprocal rank as a loss."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss

Relevant = Literal["first", "all"]


@public
def mrr_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    relevant: Relevant = "first",
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the reciprocal rank, at soft positions (ApproxMRR).

    .. math:: L = 1 - \max_{i:\, y_i > 0} \frac{1}{r_i} \quad\text{or}\quad
        1 - \frac{\sum_i y_i / r_i}{\sum_i y_i}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function and T the ``temperature``: for ``"first"``, one minus the metric as
    T falls, where no two scores are equal.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        relevant: ``"first"``, the highest of the relevant items, as the metric has it; or
            ``"all"``, the mean over them, weighted by their labels.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the labels, from 0 up, of the shape of ``scores``.
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
        Qin, Liu, Li, "A general approximation framework for direct optimization of information
        retrieval measures", 2010. ``"first"`` is the loss of Rax, ``"all"`` that of TensorFlow
        Ranking, whose default temperature this is.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = torch.tensor([[1, 0, 0], [0, 1, 0]])
        >>> rank_relax.mrr_loss(scores, labels, reduction="none")
        tensor([0.5276, 0.0513])
    """
    strength = checked_temperature("mrr_loss", temperature)
    check_mrr_options("mrr_loss", relevant, reduction)
    lists = Lists("mrr_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    relevance = lists.weighted(lists.amounts)
    lists.leave_out_unless(lists.sum(relevance) > 0)
    reciprocal = reciprocal_rank(lists, relevance, 1 + lists.above(strength), relevant)
    return lists.reduced(1 - reciprocal, reduction)


def check_mrr_options(function: str, relevant: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "relevant", relevant, ("first", "all"))
    check_reduction(function, reduction)


def reciprocal_rank(
    lists: Lists, relevance: Tensor, position: Tensor, relevant: Relevant
) -> Tensor:
    """The reciprocal rank of each list with its items at these positions."""
    if relevant == "first":
        return lists.largest(torch.where(relevance > 0, 1 / position, 0))
    total = lists.sum(relevance)
    return lists.sum(relevance / position) / torch.where(lists.has_loss, total, 1)


class MRRLoss(RankingLoss):
    """One minus the reciprocal rank at soft positions, as a module.

    Args:
        relevant: ``"first"`` or ``"all"``, as in :func:`mrr_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`mrr_loss` would refuse; when called, as it
            does.

    References:
        Those of :func:`mrr_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.MRRLoss(temperature=0.01)
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 1, 0]))
        tensor(0.6667)
    """

    function = staticmethod(mrr_loss)

    def __init__(
        self,
        *,
        relevant: Relevant = "first",
        temperature: Strength = 0.1,
        reduction: Reduction = "mean",
    ) -> None:
        check_mrr_options("MRRLoss", relevant, reduction)
        super().__init__(temperature, relevant=relevant, reduction=reduction)
