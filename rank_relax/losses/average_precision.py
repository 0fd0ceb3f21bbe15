"""Average precision as a loss."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss


@public
def average_precision_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the average precision, at soft positions (Smooth-AP).

    .. math:: L = 1 - \frac{1}{|P|} \sum_{i \in P}
        \frac{1 + \sum_{j \in P,\, j \neq i} F((s_j - s_i) / T)}
        {1 + \sum_{j \neq i} F((s_j - s_i) / T)}

    over the relevant items P, with F the logistic function and T the ``temperature``. As T falls
    this is one minus the metric, where no two scores are equal.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: How many items each one stands for, from 0 up, of the shape of ``scores``: in the
            sums over others, in place of the 1 for an item itself, and in the mean.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the metric. The default is
            for cosine similarities. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: smoothing the path towards large-scale image
        retrieval", 2020.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = torch.tensor([[1, 0, 1], [1, 0, 0]])
        >>> rank_relax.average_precision_loss(scores, labels, reduction="none")
        tensor([0.0000, 0.6667])
    """
    strength = checked_temperature("average_precision_loss", temperature)
    check_reduction("average_precision_loss", reduction)
    lists = Lists(
        "average_precision_loss", scores, labels, mask=mask, weights=weights, offsets=offsets
    )
    relevant = lists.amounts > 0
    lists.leave_out_unless(lists.sum(lists.weighted(relevant.to(lists.scores.dtype))) > 0)
    own = 1 if lists.weights is None else lists.weights
    found = own + lists.above(strength, relevant, weighted=True)
    looked_at = own + lists.above(strength, weighted=True)
    precision = mean_precision(lists, relevant, found, looked_at)
    return lists.reduced(1 - precision, reduction)


def mean_precision(lists: Lists, relevant: Tensor, found: Tensor, looked_at: Tensor) -> Tensor:
    """The mean over each list's relevant items of the share of all looked at that was found."""
    weight = lists.weighted(relevant.to(lists.scores.dtype))
    is_placed = relevant & ~(looked_at <= 0)
    precision = torch.where(is_placed, found, 0) / torch.where(is_placed, looked_at, 1)
    total = lists.sum(weight)
    return lists.sum(weight * precision) / torch.where(lists.has_loss, total, 1)


class AveragePrecisionLoss(RankingLoss):
    """One minus the average precision at soft positions, as a module.

    Args:
        temperature: As in :func:`average_precision_loss`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`average_precision_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`average_precision_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.AveragePrecisionLoss(temperature=0.1)
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([True, True, False]))
        tensor(0.4092)
    """

    function = staticmethod(average_precision_loss)

    def __init__(self, *, temperature: Strength = 0.01, reduction: Reduction = "mean") -> None:
        check_reduction("AveragePrecisionLoss", reduction)
        super().__init__(temperature, reduction=reduction)
