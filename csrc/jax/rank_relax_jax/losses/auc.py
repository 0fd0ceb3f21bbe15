"""The area under the ROC curve as a loss."""

from __future__ import annotations

import math
import numbers
from typing import Literal

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    as_float,
    check_choice,
    check_reduction,
    checked_temperature,
    widest_dtype,
)
from rank_relax_jax.losses._lists import Lists

Surrogate = Literal["sigmoid", "logistic", "squared", "squared_hinge"]


def auc_loss(
    scores: Array,
    labels: Array,
    *,
    surrogate: Surrogate = "sigmoid",
    margin: float = 1.0,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the area under the ROC curve, with a smooth loss of each pair.

    .. math:: L = \frac{1}{|P| |N|} \sum_{p \in P} \sum_{n \in N}
        \ell\!\left(\frac{s_p - s_n}{T}\right)

    over positive and negative items, in O(n) time, with ``"squared_hinge"``, which sorts, in
    O(n log n).

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Positive above 0, of the shape of ``scores`` and any real dtype.
        surrogate: ``"sigmoid"``, :math:`\ell(d) = 1 / (1 + e^d)`; ``"logistic"``,
            :math:`\log(1 + e^{-d})`; ``"squared"``, :math:`(m - d)^2`; or ``"squared_hinge"``,
            :math:`\max(0, m - d)^2`.
        margin: The m of the squared ones.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either side's items, from 0 up, of the shape of ``scores``: a pair has the
            product, |P| and |N| are sums.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a positive or a negative item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Those of ``rank_relax.auc_loss``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9, 0.4]), jnp.array([0, 0, 1, 1])
        >>> print(f"{rank_relax_jax.auc_loss(scores, labels):.4f}")
        0.3912
    """
    strength = checked_temperature("auc_loss", temperature)
    check_choice(
        "auc_loss", "surrogate", surrogate, ("sigmoid", "logistic", "squared", "squared_hinge")
    )
    if isinstance(margin, bool) or not isinstance(margin, numbers.Real):
        raise TypeError(f"auc_loss: margin must be a number, got {margin!r}")
    if not -math.inf < as_float(margin) < math.inf:
        raise ValueError(f"auc_loss: margin must be finite, got {margin}")
    check_reduction("auc_loss", reduction)
    lists = Lists("auc_loss", scores, labels, mask=mask, weights=weights)
    is_positive = lists.amounts > 0
    positive, positives = lists.shares(is_positive.astype(lists.scores.dtype))
    negative, negatives = lists.shares((~is_positive).astype(lists.scores.dtype))
    lists.leave_out_unless((positives > 0) & (negatives > 0))
    if surrogate == "squared":
        losses = _squared(lists.subtracted(strength), positive, negative, as_float(margin))
        return lists.reduced(losses, reduction)
    if surrogate == "squared_hinge":
        scaled = lists.subtracted(strength)
        of_item = _squared_hinge(lists, scaled, is_positive, negative, as_float(margin))
    elif surrogate == "logistic":
        of_item = lists.weight_above(strength, negative, lists.mask, order=-1) * strength
    else:
        of_item = lists.weight_above(strength, negative, lists.mask)
    losses = (positive * jnp.where(is_positive, of_item, 0)).sum(-1)
    return lists.reduced(losses, reduction)


def _squared(scaled: Array, positive: Array, negative: Array, margin: float) -> Array:
    """E (m - (p - n))², which is (m - E p + E n)² + Var p + Var n."""
    gap = jnp.full(scaled.shape[:-1], margin, scaled.dtype)
    spread = jnp.zeros_like(gap)
    for share, sign in ((positive, -1), (negative, 1)):
        mean = (share * scaled).sum(-1)
        gap = gap + sign * mean
        spread = spread + (share * (scaled - mean[..., None]) ** 2).sum(-1)
    return gap**2 + spread


def _squared_hinge(
    lists: Lists, scaled: Array, is_positive: Array, negative: Array, margin: float
) -> Array:
    """E max(0, m - (p - n))² over the n, for each p.

    In falling order of p - m and n, each p has the n before it. What they weigh, with their
    distance and with its square, is summed from gap to gap: all terms are positive, so that a score
    far away takes no digit from the others.
    """
    key = scaled.astype(widest_dtype())
    key = jnp.where(is_positive, key - margin, key)
    order = lists.order(key)
    key = jnp.take_along_axis(key, order, -1)
    gap = jnp.where(lists.place() == 1, 0, lists.before(key) - key)
    count = lists.before(lists.running_sum(jnp.take_along_axis(negative, order, -1)))
    first = lists.before(lists.running_sum(gap * count))
    second = lists.running_sum(2 * gap * first + gap**2 * count)
    return jnp.take_along_axis(second, jnp.argsort(order, axis=-1), -1)
