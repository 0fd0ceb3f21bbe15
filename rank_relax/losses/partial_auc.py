"""The area under a part of the ROC curve as a loss."""

from typing import Any, Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature, widest_dtype
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._soft_selection import soft_selections
from rank_relax.losses.auc import Surrogate, check_auc_options, mean_over_pairs

Selection = Literal["hard", "soft"]


@public
def partial_auc_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    fpr: float | tuple[float, float] = 0.2,
    selection: Selection = "hard",
    surrogate: Surrogate = "sigmoid",
    margin: float = 1.0,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the area under the ROC curve over a range of false positive rates, smoothly.

    .. math:: L = \frac{1}{|P|} \sum_{p \in P} \sum_{n \in N} v_n\,
        \ell\!\left(\frac{s_p - s_n}{T}\right), \qquad \sum_{n \in N} v_n = 1

    over positive items and the negative ones that have these rates: for ``fpr=0.2`` the highest
    fifth. The area is divided by the width of the range, so that a perfect order has loss 0 as T
    falls; with ``fpr=(0, 1)`` this is :func:`auc_loss`.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Positive above 0, of the shape of ``scores`` and any real dtype.
        fpr: The highest rate β, or a range (α, β), with 0 <= α < β <= 1.
        selection: ``"hard"``, the α|N|-th to the β|N|-th highest negative, exactly. Where these are
            no whole numbers, the first or last weighs the fraction, so that the loss is continuous
            in the rates; equal scores share. For any surrogate that falls with its d, α = 0 has the
            conditional value at risk, the mean of the worst β of the pairs of each positive.
            Or ``"soft"``, :math:`v_n \propto F((s_n - c_\beta) / T) - F((s_n - c_\alpha) / T)`,
            with F the logistic function and the thresholds of soft top-k masks,
            :math:`\sum_{n \in N} F((s_n - c_\beta) / T) = \beta |N|`, through which the gradient
            goes too; a list with an infinite negative score has the loss NaN.
        surrogate: ``"sigmoid"``, ``"logistic"``, ``"squared"`` or ``"squared_hinge"``: the ℓ of a
            pair, as in :func:`auc_loss`.
        margin: The margin of the squared ones.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either side's items, from 0 up, of the shape of ``scores``: how many each one
            stands for, in the rates too.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without a positive or a negative item has loss 0, gradient 0 and no part in the mean.
        With ``"soft"`` it has derivatives up to the third.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Narasimhan, Agarwal, "A structural SVM based approach for optimizing partial AUC", 2013.
        Zhu, Li, Wang, Wu, Yang, "When AUC meets DRO: optimizing partial AUC for deep learning with
        non-convex convergence guarantee", 2022: ``"hard"`` is the minimum over its variables s.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([0.3, 0.1, 0.9, 0.4, 0.8])
        >>> labels = torch.tensor([0, 0, 1, 1, 0])
        >>> rank_relax.partial_auc_loss(scores, labels, fpr=1 / 3, temperature=0.01)
        tensor(0.5000)
        >>> rank_relax.partial_auc_loss(scores, labels, fpr=0.5, selection="soft", temperature=0.1)
        tensor(0.4526)
    """
    strength = checked_temperature("partial_auc_loss", temperature)
    low, high = checked_fpr("partial_auc_loss", fpr)
    check_partial_auc_options("partial_auc_loss", selection, surrogate, margin, reduction)
    lists = Lists("partial_auc_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    is_positive = lists.amounts > 0
    positive, positives = lists.shares(is_positive.to(lists.scores.dtype))
    negative, negatives = lists.shares((~is_positive).to(widest_dtype(scores.device)))
    lists.leave_out_unless((positives > 0) & (negatives > 0))
    if selection == "hard":
        selected = _hard_selection(lists, negative, low, high)
    else:
        selected = _soft_selection(lists, lists.subtracted(strength), negative, low, high)
    selected = (negative * selected / (high - low)).to(positive.dtype)
    losses = mean_over_pairs(lists, strength, positive, selected, surrogate, margin)
    return lists.reduced(losses, reduction)


def checked_fpr(function: str, fpr: Any) -> tuple[float, float]:
    """The range of false positive rates; raises for what is none."""
    bounds = fpr if isinstance(fpr, (tuple, list)) and len(fpr) == 2 else (0, fpr)
    if any(isinstance(x, bool) or not isinstance(x, NUMBERS) for x in bounds):
        raise TypeError(f"{function}: fpr must be a number or two, (low, high), got {fpr!r}")
    low, high = (as_float(x) for x in bounds)
    if not 0 <= low < high <= 1:
        raise ValueError(f"{function}: fpr must hold 0 <= low < high <= 1, got {fpr!r}")
    return low, high


def check_partial_auc_options(
    function: str, selection: object, surrogate: object, margin: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "selection", selection, ("hard", "soft"))
    check_auc_options(function, surrogate, margin, reduction)


def _hard_selection(lists: Lists, negative: Tensor, low: float, high: float) -> Tensor:
    """How much of each negative is in the range: in falling order they fill [0, 1]."""
    above, equal = lists.hard_above(lists.scores.detach(), negative)
    inside = ((above + equal).clamp(max=high) - above.clamp(min=low)).clamp(min=0)
    # Of nothing all is inside where something would be.
    of_nothing = ((above >= low) & (above < high)).to(inside.dtype)
    return torch.where(equal > 0, inside / torch.where(equal > 0, equal, 1), of_nothing)


def _soft_selection(
    lists: Lists, scaled: Tensor, negative: Tensor, low: float, high: float
) -> Tensor:
    """The same, softly: what is below the one rate, less what is below the other."""
    inner = [level for level in (low, high) if 0 < level < 1]
    below = dict(zip(inner, soft_selections(lists, scaled, negative, inner), strict=True))
    nothing = torch.zeros_like(negative)
    return below.get(high, nothing + 1) - below.get(low, nothing)


class PartialAUCLoss(RankingLoss):
    """One minus the area under the ROC curve over a range of false positive rates, as a module.

    Args:
        fpr: The highest rate, or a range, as in :func:`partial_auc_loss`, like all that follow.
        selection: ``"hard"`` or ``"soft"``.
        surrogate: ``"sigmoid"``, ``"logistic"``, ``"squared"`` or ``"squared_hinge"``.
        margin: The margin of the squared ones.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`partial_auc_loss` would refuse; when
            called, as it does.

    References:
        Those of :func:`partial_auc_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.PartialAUCLoss(fpr=0.5, surrogate="squared_hinge")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 1]))
        tensor(0.1600)
    """

    function = staticmethod(partial_auc_loss)

    def __init__(
        self,
        *,
        fpr: float | tuple[float, float] = 0.2,
        selection: Selection = "hard",
        surrogate: Surrogate = "sigmoid",
        margin: float = 1.0,
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        checked_fpr("PartialAUCLoss", fpr)
        check_partial_auc_options("PartialAUCLoss", selection, surrogate, margin, reduction)
        super().__init__(
            temperature,
            fpr=fpr,
            selection=selection,
            surrogate=surrogate,
            margin=margin,
            reduction=reduction,
        )
