"""Recall among the first k as a loss."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    check_bool,
    check_reduction,
    checked_temperature,
)
from rank_relax_jax.losses._lists import Lists
from rank_relax_jax.losses._options import check_place


def recall_at_k_loss(
    scores: Array,
    labels: Array,
    *,
    k: int,
    capped: bool = False,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.01,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the recall at k: the share of the relevant that is among the first k, softly.

    .. math:: L = 1 - \frac{1}{|P|} \sum_{i \in P} m_i, \qquad
        m_i = F\!\left(\frac{s_i - c}{T}\right), \quad c:\ \sum_i m_i = k

    with F the logistic function, T the ``temperature`` and m the mask of :func:`soft_topk`.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        k: How many places count.
        capped: Divide by what the best order has among the first k, min(k, \|P\|), in place of all
            that is relevant.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the relevant items in both sums, from 0 up, of the shape of ``scores``. They are
            in no place; the best order of ``capped`` has the heaviest first.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Those of ``rank_relax.recall_at_k_loss``, whose variant ``"topk"`` this is.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9, 0.4]), jnp.array([1, 0, 1, 1])
        >>> loss = rank_relax_jax.recall_at_k_loss(scores, labels, k=2, temperature=0.1)
        >>> print(f"{loss:.4f}")
        0.3557
    """
    strength = checked_temperature("recall_at_k_loss", temperature)
    check_place("recall_at_k_loss", k)
    check_bool("recall_at_k_loss", "capped", capped)
    check_reduction("recall_at_k_loss", reduction)
    lists = Lists("recall_at_k_loss", scores, labels, mask=mask, weights=weights)
    relevant, total = lists.shares((lists.amounts > 0).astype(lists.scores.dtype))
    lists.leave_out_unless(total > 0)
    recall = (relevant * lists.among_first(strength, k)).sum(-1)
    if capped:
        best = jnp.take_along_axis(relevant, lists.order(relevant), -1)
        most = jnp.where(lists.place() <= lists.first(k), best, 0).sum(-1)
        recall = recall / jnp.where(lists.has_loss, most, 1)
    return lists.reduced(1 - recall, reduction)
