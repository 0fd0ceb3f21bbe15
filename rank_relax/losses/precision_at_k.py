"""Precision among the first k as a loss."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_reduction
from rank_relax._strength import Strength, checked_temperature, widest_dtype
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._options import check_places
from rank_relax.losses._soft_selection import among_first


@public
def precision_at_k_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    k: int,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the precision at k: the share of relevant items among the first k, softly.

    .. math:: L = 1 - \frac{1}{k} \sum_{i:\, y_i > 0} m_i, \qquad
        m_i = F\!\left(\frac{s_i - c}{T}\right), \quad c:\ \sum_i m_i = k

    with F the logistic function, T the ``temperature`` and m the mask of
    :func:`rank_relax.soft_topk`, which adds up to k. As T falls this is one minus the metric.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        k: How many places count. A list of fewer items has them all among its first k, and the
            places that nothing takes are not relevant: the sum is divided by k there too, as in
            trec_eval, torchmetrics and ranx, and has no gradient.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the items in the share, from 0 up, of the shape of ``scores``: that of relevant
            items is :math:`\sum_{i:\, y_i > 0} w_i m_i / \sum_i w_i m_i`, and 0 where nothing among
            the first k weighs anything. They are in no place: an item of weight 0 takes one.
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
        The mask is that of :func:`rank_relax.soft_topk`. The default temperature is that of Patel,
        Tolias, Matas, as in :func:`recall_at_k_loss`.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9, 0.4], [0.2, 0.7, 0.4, 0.8]])
        >>> labels = torch.tensor([[1, 0, 1, 0], [0, 1, 0, 1]])
        >>> rank_relax.precision_at_k_loss(scores, labels, k=2, temperature=0.1, reduction="none")
        tensor([0.3289, 0.1168])
    """
    strength = checked_temperature("precision_at_k_loss", temperature)
    check_precision_at_k_options("precision_at_k_loss", k, reduction)
    lists = Lists(
        "precision_at_k_loss", scores, labels, mask=mask, weights=weights, offsets=offsets
    )
    is_relevant = (lists.amounts > 0).to(lists.scores.dtype)
    lists.leave_out_unless(lists.shares(is_relevant)[1] > 0)
    chosen = among_first(lists, strength, k)
    # Few weigh anything where the weights of the first k are 0.
    share, _ = lists.shares(chosen.to(widest_dtype(chosen.device)))
    items = lists.sum(lists.counting(torch.ones_like(is_relevant)))
    return lists.reduced(1 - lists.sum(share * is_relevant) * (items / k).clamp(max=1), reduction)


def check_precision_at_k_options(function: str, k: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_places(function, k)
    check_reduction(function, reduction)


class PrecisionAtKLoss(RankingLoss):
    """One minus the share of relevant items among the first k, softly, as a module.

    Args:
        k: As in :func:`precision_at_k_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`precision_at_k_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`precision_at_k_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.PrecisionAtKLoss(k=2, temperature=0.1)
        >>> loss(torch.tensor([0.3, 0.1, 0.9, 0.4]), torch.tensor([0, 0, 1, 1]))
        tensor(0.2069)
    """

    function = staticmethod(precision_at_k_loss)

    def __init__(
        self, *, k: int, temperature: Strength = 0.01, reduction: Reduction = "mean"
    ) -> None:
        check_precision_at_k_options("PrecisionAtKLoss", k, reduction)
        super().__init__(temperature, k=k, reduction=reduction)
