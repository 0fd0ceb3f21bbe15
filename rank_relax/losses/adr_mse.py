"""The discounted mean squared error of ranks."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss


@public
def adr_mse_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The squared error of soft ranks, less of it further down (ADR-MSE).

    .. math:: L = \frac{1}{n} \sum_i \frac{(\rho_i - r_i)^2}{\log_2(1 + \rho_i)}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function, T the ``temperature`` and ρ the ranks of the labels: 1 for the
    highest, and the average rank for equal ones, which equal scores reach. Made to learn an order
    from another model's.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Higher is better, of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the terms, in the sum and in the n by which it is divided, from 0 up, of the
            shape of ``scores``. They are in neither rank: an item of weight 0 has no error but is
            still above others.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the hard ranks. A 0-dim
            tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list. (The
            mean over the items of all lists, with which this loss is published, gives long lists
            more weight.)

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list of no items, or of none that weighs anything, has loss 0, gradient 0 and no part in
        the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Schlatt, Fröbe, Scells, Zhuang, Koopman, Zuccon, Stein, Potthast, Hagen, "Rank-DistiLLM:
        closing the effectiveness gap between cross-encoders and LLMs for passage re-ranking",
        2025. The average ranks of equal labels are those of sentence-transformers.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = torch.tensor([[2, 1, 3], [3, 1, 2]])
        >>> rank_relax.adr_mse_loss(scores, labels, temperature=0.1, reduction="none")
        tensor([0.0052, 1.8029])
    """
    strength = checked_temperature("adr_mse_loss", temperature)
    check_reduction("adr_mse_loss", reduction)
    lists = Lists("adr_mse_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    share, total = lists.shares(torch.ones_like(lists.scores))
    lists.leave_out_unless(total > 0)
    rank = lists.hard_rank(lists.keys).to(lists.scores.dtype)
    error = lists.counting(rank - (1 + lists.above(strength))) ** 2
    return lists.reduced(lists.sum(share * error / torch.log2(1 + rank)), reduction)


class ADRMSELoss(RankingLoss):
    """The squared error of soft ranks, less of it further down, as a module.

    Args:
        temperature: As in :func:`adr_mse_loss`. A ``nn.Parameter`` is learnt; another 0-dim tensor
            becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`adr_mse_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`adr_mse_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.ADRMSELoss()
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([2, 1, 3]))
        tensor(0.2454)
    """

    function = staticmethod(adr_mse_loss)

    def __init__(self, *, temperature: Strength = 1.0, reduction: Reduction = "mean") -> None:
        check_reduction("ADRMSELoss", reduction)
        super().__init__(temperature, reduction=reduction)
