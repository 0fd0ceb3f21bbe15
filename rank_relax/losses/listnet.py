"""The cross-entropy of a list's softmax."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import LOG_OF_NOTHING, Lists
from rank_relax.losses._module import RankingLoss

Shares = Literal["softmax", "proportional"]

_HIGHEST = 80.0  # exp of it is in the range of float32


@public
def listnet_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    shares: Shares = "softmax",
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The cross-entropy between the shares of the labels and the softmax of the scores (ListNet).

    .. math:: L = -\sum_i p_i \log \frac{e^{s_i / T}}{\sum_j e^{s_j / T}}, \qquad
        p_i = \frac{e^{y_i}}{\sum_j e^{y_j}} \quad\text{or}\quad \frac{y_i}{\sum_j y_j}

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype; for ``"proportional"`` from 0 up.
        shares: ``"softmax"``, as in ListNet, or ``"proportional"``, which for labels of 0 and 1
            shares out among the relevant items, and leaves out lists that have none.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the shares, before they are divided by their sum, from 0 up, of the
            shape of ``scores``.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a share has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Cao, Qin, Liu, Tsai, Li, "Learning to rank: from pairwise approach to listwise approach",
        2007. ``"proportional"`` is the softmax loss of Rax.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2])
        >>> rank_relax.listnet_loss(scores, labels)
        tensor(0.9111)
    """
    strength = checked_temperature("listnet_loss", temperature)
    check_listnet_options("listnet_loss", shares, reduction)
    lists = Lists("listnet_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    amounts = lists.amounts
    if shares == "softmax":
        # Of those that weigh something; others may be far above, and have nothing of the sum.
        weighs = lists.weighted(torch.ones_like(amounts)) > 0
        most = lists.logsumexp(torch.where(weighs, amounts, LOG_OF_NOTHING))
        below = lists.counting(amounts - lists.to_items(most))
        share = lists.weighted(torch.exp(below.clamp(max=_HIGHEST)))
    else:
        share = lists.weighted(amounts)
    total = lists.sum(share)
    has_share = total > 0
    lists.leave_out_unless(has_share)
    scaled = lists.subtracted(strength)
    surprise = lists.to_items(lists.logsumexp(lists.log_counting(scaled))) - scaled
    losses = lists.sum(share * surprise) / torch.where(has_share, total, 1)
    return lists.reduced(losses, reduction)


def check_listnet_options(function: str, shares: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "shares", shares, ("softmax", "proportional"))
    check_reduction(function, reduction)


class ListNetLoss(RankingLoss):
    """The cross-entropy between shares of the labels and the softmax of the scores, as a module.

    Args:
        shares: ``"softmax"`` or ``"proportional"``, as in :func:`listnet_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`listnet_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`listnet_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.ListNetLoss(shares="proportional")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 1]))
        tensor(0.6922)
    """

    function = staticmethod(listnet_loss)

    def __init__(
        self,
        *,
        shares: Shares = "softmax",
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_listnet_options("ListNetLoss", shares, reduction)
        super().__init__(temperature, shares=shares, reduction=reduction)
