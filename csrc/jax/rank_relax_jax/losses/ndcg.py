"""Normalised discounted cumulative gain as a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    check_bool,
    check_choice,
    check_reduction,
    checked_temperature,
)
from rank_relax_jax.losses._lists import Lists
from rank_relax_jax.losses._options import check_k

_LOG_2 = math.log(2)

Gain = Literal["exp2", "linear"] | Callable[[Array], Array]


def ndcg_loss(
    scores: Array,
    labels: Array,
    *,
    k: int | None = None,
    gain: Gain = "exp2",
    normalize: bool = True,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the normalised discounted cumulative gain, at soft positions (ApproxNDCG).

    .. math:: L = 1 - \frac{1}{Z} \sum_i \frac{g(y_i)}{\log_2(1 + r_i)}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function, T the ``temperature`` and Z the gain of the best order.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Relevance, from 0 up, of the shape of ``scores`` and any real dtype.
        k: Count the first k places alone, softly: an item's gain is multiplied by
            :math:`\min(1, \max(0, k + 1 - r_i))`. The best order is that of the first k, exactly.
        gain: ``"exp2"``, :math:`2^y - 1`; ``"linear"``, y; or a function of the labels, with values
            from 0 up.
        normalize: If false, the loss is minus the discounted cumulative gain itself.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the gains, from 0 up, of the shape of ``scores``.
        temperature: T > 0, in units of the scores: smaller is closer to the metric. A 0-dim array
            may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        gain has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Qin, Liu, Li, "A general approximation framework for direct optimization of information
        retrieval measures", 2010.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores = jnp.array([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = jnp.array([[1, 0, 2], [2, 0, 1]])
        >>> losses = rank_relax_jax.ndcg_loss(scores, labels, reduction="none")
        >>> [f"{each:.4f}" for each in losses]
        ['0.0075', '0.4070']
    """
    strength = checked_temperature("ndcg_loss", temperature)
    check_k("ndcg_loss", k)
    if not callable(gain):
        check_choice("ndcg_loss", "gain", gain, ("exp2", "linear"))
    check_bool("ndcg_loss", "normalize", normalize)
    check_reduction("ndcg_loss", reduction)
    lists = Lists("ndcg_loss", scores, labels, mask=mask, weights=weights)
    gains = lists.weighted(_gains_of(lists, gain, normalize))
    place = lists.place()
    best = jnp.take_along_axis(gains, lists.order(gains), -1) / jnp.log2(1.0 + place)
    if k is not None:
        best = jnp.where(place <= lists.first(k), best, 0)
    most = best.sum(-1)
    lists.leave_out_unless(most > 0)
    position = 1 + lists.above(strength)
    soft = gains / jnp.log2(1 + position)
    if k is not None:
        left = lists.first(k) + 1 - position  # at both kinks the slope is 1, as torch.clamp has it
        soft = soft * jnp.where(left < 0, 0, jnp.where(left > 1, 1, left))
    total = soft.sum(-1)
    losses = 1 - total / jnp.where(lists.has_loss, most, 1) if normalize else -total
    return lists.reduced(losses, reduction)


def _gains_of(lists: Lists, gain: Gain, normalize: bool) -> Array:
    """The gains, or what is proportional to them in each list, where only that matters."""
    labels = lists.amounts
    if callable(gain):
        return gain(labels).astype(labels.dtype)
    if gain == "linear":
        return labels
    if not normalize:
        return jnp.expm1(labels * _LOG_2)
    # 2^y overflows from labels of 128 on, which large label spaces have.
    most = lists.to_items(lists.largest(labels))
    return jnp.exp2(labels - most) * -jnp.expm1(-labels * _LOG_2)
