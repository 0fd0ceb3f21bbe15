"""Normalised discounted cumulative gain as a loss."""

import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_bool, check_choice, check_reduction
from rank_relax._strength import Strength, checked_temperature
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._options import check_k

_LOG_2 = math.log(2)

Gain = Literal["exp2", "linear"] | Callable[[Tensor], Tensor]


@public
def ndcg_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    k: int | None = None,
    gain: Gain = "exp2",
    normalize: bool = True,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""One minus the normalised discounted cumulative gain, at soft positions (ApproxNDCG).

    .. math:: L = 1 - \frac{1}{Z} \sum_i \frac{g(y_i)}{\log_2(1 + r_i)}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function, T the ``temperature`` and Z the gain of the best order. As T falls
    this is one minus the metric, where no two scores are equal.

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevance, from 0 up, of the shape of ``scores`` and any real dtype.
        k: Count the first k places alone, softly: an item's gain is multiplied by
            :math:`\min(1, \max(0, k + 1 - r_i))`. The best order is that of the first k, exactly.
            Items at soft positions beyond k + 1 have no gradient, and of a list of 2 k + 1 equal
            scores or more none has: a model that begins with those is first trained without k.
        gain: ``"exp2"``, :math:`2^y - 1`; ``"linear"``, y; or a function of the labels, with values
            from 0 up.
        normalize: If false, the loss is minus the discounted cumulative gain itself.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the gains, from 0 up, of the shape of ``scores``.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores: smaller is closer to the metric. A 0-dim tensor
            makes it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list without gain has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Qin, Liu, Li, "A general approximation framework for direct optimization of information
        retrieval measures", 2010. The default temperature is that of TensorFlow Ranking.

    Example:
        >>> import torch, rank_relax
        >>> scores = torch.tensor([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = torch.tensor([[1, 0, 2], [2, 0, 1]])
        >>> rank_relax.ndcg_loss(scores, labels, reduction="none")
        tensor([0.0075, 0.4070])
    """
    strength = checked_temperature("ndcg_loss", temperature)
    check_ndcg_options("ndcg_loss", k, gain, normalize, reduction)
    lists = Lists("ndcg_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    gains, most = gains_and_best(lists, k, gain, normalize)
    lists.leave_out_unless(most > 0)
    total = discounted_gain(lists, gains, 1 + lists.above(strength), k)
    losses = 1 - total / torch.where(lists.has_loss, most, 1) if normalize else -total
    return lists.reduced(losses, reduction)


def check_ndcg_options(
    function: str, k: object, gain: object, normalize: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_k(function, k)
    if not callable(gain):
        check_choice(function, "gain", gain, ("exp2", "linear"))
    check_bool(function, "normalize", normalize)
    check_reduction(function, reduction)


def gains_and_best(
    lists: Lists, k: int | None, gain: Gain, normalize: bool
) -> tuple[Tensor, Tensor]:
    """The gain of each item, and of each list in the best order."""
    gains = lists.weighted(gains_of(lists, gain, normalize))
    order = lists.order(gains)
    place = lists.place()
    best = gains.gather(-1, order) / torch.log2(1 + place.to(gains.dtype))
    if k is not None:
        best = torch.where(place <= k, best, 0)
    return gains, lists.sum(best)


def discounted_gain(lists: Lists, gains: Tensor, position: Tensor, k: int | None) -> Tensor:
    """The gain of each list with its items at these positions."""
    soft = gains / torch.log2(1 + position)
    if k is not None:
        soft = soft * (k + 1 - position).clamp(0, 1)
    return lists.sum(soft)


def gains_of(lists: Lists, gain: Gain, normalize: bool = True) -> Tensor:
    """The gains, or what is proportional to them in each list, where only that matters."""
    labels = lists.amounts
    if callable(gain):
        return gain(labels).to(labels.dtype)
    if gain == "linear":
        return labels
    if not normalize:
        return torch.expm1(labels * _LOG_2)
    # 2^y overflows from labels of 128 on, which large label spaces have.
    most = lists.to_items(lists.largest(labels))
    return torch.exp2(labels - most) * -torch.expm1(-labels * _LOG_2)


class NDCGLoss(RankingLoss):
    """One minus the normalised discounted cumulative gain at soft positions, as a module.

    Args:
        k: As in :func:`ndcg_loss`, like all that follow.
        gain: ``"exp2"``, ``"linear"`` or a function of the labels.
        normalize: If false, the loss is minus the discounted cumulative gain.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`ndcg_loss` would refuse; when called, as it
            does.

    References:
        Those of :func:`ndcg_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.NDCGLoss(k=1)
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2]))
        tensor(0.0048)
    """

    function = staticmethod(ndcg_loss)

    def __init__(
        self,
        *,
        k: int | None = None,
        gain: Gain = "exp2",
        normalize: bool = True,
        temperature: Strength = 0.1,
        reduction: Reduction = "mean",
    ) -> None:
        check_ndcg_options("NDCGLoss", k, gain, normalize, reduction)
        super().__init__(temperature, k=k, gain=gain, normalize=normalize, reduction=reduction)
