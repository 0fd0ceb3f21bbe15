"""Average precision as a loss."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import Reduction, Strength, check_reduction, checked_temperature
from rank_relax_jax.losses._lists import Lists


def average_precision_loss(
    scores: Array,
    labels: Array,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the average precision, at soft positions (Smooth-AP).

    .. math:: L = 1 - \frac{1}{|P|} \sum_{i \in P}
        \frac{1 + \sum_{j \in P,\, j \neq i} F((s_j - s_i) / T)}
        {1 + \sum_{j \neq i} F((s_j - s_i) / T)}

    over the relevant items P, with F the logistic function and T the ``temperature``.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: How many items each one stands for, from 0 up, of the shape of ``scores``.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Brown, Xie, Kalogeiton, Zisserman, "Smooth-AP: smoothing the path towards large-scale image
        retrieval", 2020.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores = jnp.array([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = jnp.array([[1, 0, 1], [1, 0, 0]])
        >>> losses = rank_relax_jax.average_precision_loss(scores, labels, reduction="none")
        >>> [f"{each:.4f}" for each in losses]
        ['0.0000', '0.6667']
    """
    strength = checked_temperature("average_precision_loss", temperature)
    check_reduction("average_precision_loss", reduction)
    lists = Lists("average_precision_loss", scores, labels, mask=mask, weights=weights)
    relevant = lists.amounts > 0
    weight = lists.weighted(relevant.astype(lists.scores.dtype))
    total = weight.sum(-1)
    lists.leave_out_unless(total > 0)
    own = 1 if lists.weights is None else lists.weights
    found = own + lists.above(strength, relevant, weighted=True)
    looked_at = own + lists.above(strength, weighted=True)
    is_placed = relevant & ~(looked_at <= 0)
    precision = jnp.where(is_placed, found, 0) / jnp.where(is_placed, looked_at, 1)
    mean = (weight * precision).sum(-1) / jnp.where(lists.has_loss, total, 1)
    return lists.reduced(1 - mean, reduction)
