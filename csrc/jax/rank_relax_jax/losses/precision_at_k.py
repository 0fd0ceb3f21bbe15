"""Precision among the first k as a loss."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    as_float,
    check_reduction,
    checked_temperature,
    widest_dtype,
)
from rank_relax_jax.losses._lists import Lists
from rank_relax_jax.losses._options import check_place


def precision_at_k_loss(
    scores: Array,
    labels: Array,
    *,
    k: int,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the precision at k: the share of relevant items among the first k, softly.

    .. math:: L = 1 - \frac{1}{k} \sum_{i:\, y_i > 0} m_i, \qquad
        m_i = F\!\left(\frac{s_i - c}{T}\right), \quad c:\ \sum_i m_i = k

    with F the logistic function, T the ``temperature`` and m the mask of :func:`soft_topk`.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        k: How many places count. A list of fewer items has them all among its first k; the sum is
            divided by k there too, and has no gradient.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the items in the share, from 0 up, of the shape of ``scores``. They are in no
            place: an item of weight 0 takes one.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Those of ``rank_relax.precision_at_k_loss``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9, 0.4]), jnp.array([1, 0, 1, 0])
        >>> loss = rank_relax_jax.precision_at_k_loss(scores, labels, k=2, temperature=0.1)
        >>> print(f"{loss:.4f}")
        0.3289
    """
    strength = checked_temperature("precision_at_k_loss", temperature)
    check_place("precision_at_k_loss", k)
    check_reduction("precision_at_k_loss", reduction)
    lists = Lists("precision_at_k_loss", scores, labels, mask=mask, weights=weights)
    is_relevant = (lists.amounts > 0).astype(lists.scores.dtype)
    lists.leave_out_unless(lists.shares(is_relevant)[1] > 0)
    chosen = lists.among_first(strength, k)
    # Few weigh anything where the weights of the first k are 0.
    share, _ = lists.shares(chosen.astype(widest_dtype()))
    items = lists.counting(jnp.ones_like(is_relevant)).sum(-1)
    found = (share * is_relevant).sum(-1) * jnp.minimum(items / as_float(k), 1)
    return lists.reduced(1 - found, reduction)
