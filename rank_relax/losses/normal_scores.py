"""The correlation of normal scores as a loss."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature, widest_dtype
from rank_relax.losses._correlation import differ, one_minus_correlation
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss

NormalScores = Literal["blom", "numerai"]


@public
def normal_scores_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    variant: NormalScores = "blom",
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus a correlation of ranks that are spread like a normal distribution.

    .. math:: L = 1 - \mathrm{Pearson}(a, b), \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_i - s_j}{T}\right)

    with F the logistic function, T the ``temperature``, and of scores with the soft ranks r and of
    labels with ranks ρ, equal ones averaged,

    .. math:: a_i = \Phi^{-1}\!\left(\frac{r_i - 3/8}{n + 1/4}\right), \qquad
        b_i = \Phi^{-1}\!\left(\frac{\rho_i - 3/8}{n + 1/4}\right)

    or, for ``"numerai"``, with :math:`x^{\langle 3/2 \rangle} = \mathrm{sign}(x) |x|^{3/2}`,

    .. math:: a_i = \Phi^{-1}\!\left(\frac{r_i - 1/2}{n}\right)^{\langle 3/2 \rangle}, \qquad
        b_i = (y_i - \bar y)^{\langle 3/2 \rangle}

    As T falls this is one minus the metric, of equal scores too. The ends of a list weigh more than
    in Spearman's correlation.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        variant: ``"blom"``, the correlation of normal scores, or ``"numerai"``, the one that
            Numerai's tournament is scored by.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the items in the sums of the correlation (and of the mean label), from 0 up, of
            the shape of ``scores``. They are in neither rank.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the hard ranks. A 0-dim
            tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list in which all labels that weigh anything are equal has loss 0, gradient 0 and no part in
        the mean; one in which only the scores are, loss 1 and gradient 0.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Blom, "Statistical estimates and transformed beta-variables", 1958. ``numerai_corr`` of
        numerai-tools.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9, 0.4]), torch.tensor([0.5, 0.25, 1, 0.5])
        >>> rank_relax.normal_scores_loss(scores, labels, temperature=0.1)
        tensor(0.0171)
        >>> rank_relax.normal_scores_loss(scores, labels, variant="numerai", temperature=0.1)
        tensor(0.0085)
    """
    strength = checked_temperature("normal_scores_loss", temperature)
    check_normal_scores_options("normal_scores_loss", variant, reduction)
    lists = Lists("normal_scores_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    share, _ = lists.shares(torch.ones_like(lists.scores, dtype=widest_dtype(scores.device)))
    label_rank = lists.hard_rank(lists.keys)
    lists.leave_out_unless(differ(lists, share, label_rank))
    # Narrow lists have ranks that differ little, and long ones quantiles near 1.
    lists.scores = lists.scores.to(share.dtype)
    rank = 1 + lists.above(strength)
    if variant == "blom":
        ranked = _quantile(lists, rank, 3 / 8)
        wanted = _quantile(lists, label_rank, 3 / 8)
    else:
        labels = lists.amounts.to(share.dtype)
        ranked = _power(_quantile(lists, rank, 1 / 2))
        wanted = _power(
            lists.to_items(lists.sum(share * labels)) - labels
        )  # ranks from the top too
    losses = one_minus_correlation(lists, share, ranked, wanted)
    return lists.reduced(torch.where(differ(lists, share, rank), losses, 1), reduction)


def check_normal_scores_options(function: str, variant: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "variant", variant, ("blom", "numerai"))
    check_reduction(function, reduction)


def _quantile(lists: Lists, rank: Tensor, offset: float) -> Tensor:
    """Of the normal distribution, in the middle for what doesn't count; ranks lie in [1, n]."""
    n = lists.to_items(lists.sum(lists.counting(torch.ones_like(rank))))
    level = (rank - offset) / (n + 1 - 2 * offset).clamp(min=1 - offset)
    quantile: Tensor = torch.special.ndtri(0.5 + lists.counting(level - 0.5))
    return quantile


def _power(items: Tensor) -> Tensor:
    """sign(x) |x|^1.5, with derivative 0 at 0, and a second one of 0 in place of infinity."""
    size = torch.where(items == 0, 1, items).abs()
    return torch.where(items == 0, 0, items * size.sqrt())


class NormalScoresLoss(RankingLoss):
    """One minus a correlation of ranks that are spread like a normal distribution, as a module.

    Args:
        variant: ``"blom"`` or ``"numerai"``, as in :func:`normal_scores_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`normal_scores_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`normal_scores_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.NormalScoresLoss(variant="numerai", temperature=0.01)
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0.5, 0.25, 1.0]))
        tensor(0.0119)
    """

    function = staticmethod(normal_scores_loss)

    def __init__(
        self,
        *,
        variant: NormalScores = "blom",
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_normal_scores_options("NormalScoresLoss", variant, reduction)
        super().__init__(temperature, variant=variant, reduction=reduction)
