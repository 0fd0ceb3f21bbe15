"""Kendall's rank correlation as a loss."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._ordered_pairs import OrderedPairs

Variant = Literal["a", "b"]


@public
def kendall_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    variant: Variant = "b",
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus Kendall's rank correlation τ, with soft comparisons of the scores.

    .. math:: L = 1 - \frac{1}{Z} \sum_{y_i > y_j} \bigl(2 F((s_i - s_j) / T) - 1\bigr)

    with F the logistic function, T the ``temperature``, and Z all pairs n(n-1)/2 (``"a"``), or the
    geometric mean of these and of the pairs with unequal labels (``"b"``). As T falls this is one
    minus τ, where no two scores are equal. On the CPU in O(n log n) time or less and in
    memory for the items; elsewhere the sums go over all pairs, in bounded memory.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        variant: ``"a"`` or ``"b"``.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the hard correlation. A
            0-dim tensor makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list in which all labels are equal has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Kendall, "The treatment of ties in ranking problems", 1945.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1.5, 0.2, 7.0])
        >>> rank_relax.kendall_loss(scores, labels, temperature=0.1)
        tensor(0.0813)
    """
    strength = checked_temperature("kendall_loss", temperature)
    check_kendall_options("kendall_loss", variant, reduction)
    lists = Lists("kendall_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    share, _ = lists.shares(torch.ones_like(lists.scores))
    of_labels = OrderedPairs(lists)
    ordered = of_labels.weight(share, share)
    has_pairs = ordered > 0
    lists.leave_out_unless(has_pairs)
    wrong = of_labels.sum(strength, share, share, 0)
    scale = share_of_pairs(lists, share, ordered, variant)
    return lists.reduced(
        1 - scale * (1 - 2 * wrong / torch.where(has_pairs, ordered, 1)), reduction
    )


def check_kendall_options(function: str, variant: object, reduction: object) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "variant", variant, ("a", "b"))
    check_reduction(function, reduction)


def share_of_pairs(lists: Lists, share: Tensor, ordered: Tensor, variant: Variant) -> Tensor:
    """What the ordered pairs are of Z, for each list; 1 where there are none."""
    has_pairs = ordered > 0
    every = lists.sum(share * lists.before(lists.running_sum(share)))  # no item with itself
    ratio = torch.where(has_pairs, ordered, 1) / torch.where(has_pairs, every, 1)
    return ratio if variant == "a" else ratio.sqrt()


class KendallLoss(RankingLoss):
    """One minus Kendall's rank correlation with soft comparisons of the scores, as a module.

    Args:
        variant: ``"a"`` or ``"b"``, as in :func:`kendall_loss`.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`kendall_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`kendall_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.KendallLoss(variant="a", temperature=0.01)
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([0, 0, 1]))
        tensor(0.3333)
    """

    function = staticmethod(kendall_loss)

    def __init__(
        self,
        *,
        variant: Variant = "b",
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_kendall_options("KendallLoss", variant, reduction)
        super().__init__(temperature, variant=variant, reduction=reduction)
