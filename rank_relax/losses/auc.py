"""The area under the ROC curve as a loss."""

import math
import numbers
from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import check_choice
from rank_relax._strength import Strength
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._options import Reduction, check_reduction, checked_temperature

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

    over positive and negative items, in O(n) time (``"squared_hinge"``: O(n log n), as it sorts),
    not over the pairs.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Positive above 0, of the shape of ``scores`` and any real dtype.
        surrogate: ``"sigmoid"``, :math:`\ell(d) = 1 / (1 + e^d)`, one minus the area itself as T
            falls; ``"logistic"``, :math:`\log(1 + e^{-d})`; ``"squared"``,
            :math:`(m - d)^2`; or ``"squared_hinge"``, :math:`\max(0, m - d)^2`.
        margin: The m of the squared ones.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either side's items, from 0 up, of the shape of ``scores``: a pair has the
            product, |P| and |N| are sums.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores. A 0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss a list.

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
    one = torch.ones_like(lists.scores)
    positive = lists.weighted(torch.where(lists.labels > 0, one, 0))
    negative = lists.weighted(torch.where(lists.labels > 0, 0, one))
    positives, negatives = lists.sum(positive), lists.sum(negative)
    has_pairs = (positives > 0) & (negatives > 0)
    pairs = torch.where(has_pairs, positives * negatives, 1)
    if surrogate == "sigmoid":
        above = lists.weight_above(strength, negative, lists.mask)
        losses = lists.sum(positive * above) / pairs
    elif surrogate == "logistic":
        above = lists.weight_above(strength, negative, lists.mask, order=-1) * strength
        losses = lists.sum(positive * above) / pairs
    else:
        scaled = _Sides(lists, strength, positive, negative)
        losses = scaled.squared(margin) if surrogate == "squared" else scaled.squared_hinge(margin)
    return lists.reduced(losses, has_pairs, reduction)


def check_auc_options(function: str, surrogate: object, margin: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(
        function, "surrogate", surrogate, ("sigmoid", "logistic", "squared", "squared_hinge")
    )
    if isinstance(margin, bool) or not isinstance(margin, numbers.Real):
        raise TypeError(f"{function}: margin must be a number, got {margin!r}")
    if not math.isfinite(margin):
        raise ValueError(f"{function}: margin must be finite, got {margin}")
    check_reduction(function, reduction)


class _Sides:
    """Positive and negative items in units of the temperature, each weight over its side's."""

    def __init__(
        self, lists: Lists, strength: Strength, positive: Tensor, negative: Tensor
    ) -> None:
        self.lists = lists
        self.positive, self.negative = self._share(positive), self._share(negative)
        scaled = lists.scores * strength
        # Sums of squares of a list far from 0 would cancel.
        centre = lists.sum(self.positive * scaled) / 2 + lists.sum(self.negative * scaled) / 2
        self.scores = scaled - lists.to_items(centre)

    def _share(self, weight: Tensor) -> Tensor:
        total = self.lists.sum(weight)
        return weight / self.lists.to_items(torch.where(total > 0, total, 1))

    def squared(self, margin: float) -> Tensor:
        """E (m - (p - n))², which is (m - E p + E n)² + Var p + Var n."""
        gap = torch.full((), margin, dtype=self.scores.dtype, device=self.scores.device)
        spread = torch.zeros_like(gap)
        for share, sign in ((self.positive, -1), (self.negative, 1)):
            mean = self.lists.sum(share * self.scores)
            deviation = self.scores - self.lists.to_items(mean)
            gap = gap + sign * mean
            spread = spread + self.lists.sum(share * deviation**2)
        return gap**2 + spread

    def squared_hinge(self, margin: float) -> Tensor:
        """E max(0, m - (p - n))²: in falling order of p - m and n, each p has the n before it."""
        lists = self.lists
        is_positive = lists.labels > 0
        key = torch.where(is_positive, self.scores - margin, self.scores)
        order = lists.order(key)
        share = self.negative.gather(-1, order)
        score = self.scores.gather(-1, order)
        count, first, second = (
            lists.running_sum(moment) for moment in (share, share * score, share * score**2)
        )
        short = margin - score.to(count.dtype)
        squares = count * short**2 + 2 * first * short + second
        return lists.sum(self.positive.gather(-1, order) * squares.to(score.dtype))


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
