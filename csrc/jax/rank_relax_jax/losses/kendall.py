"""Kendall's rank correlation as a loss."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    check_choice,
    check_reduction,
    checked_temperature,
)
from rank_relax_jax.losses._lists import Lists
from rank_relax_jax.losses._ordered_pairs import OrderedPairs

Variant = Literal["a", "b"]


def kendall_loss(
    scores: Array,
    labels: Array,
    *,
    variant: Variant = "b",
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus Kendall's rank correlation τ, with soft comparisons of the scores.

    .. math:: L = 1 - \frac{1}{Z} \sum_{y_i > y_j} \bigl(2 F((s_i - s_j) / T) - 1\bigr)

    with F the logistic function, T the ``temperature``, and Z all pairs n(n-1)/2 (``"a"``), or the
    geometric mean of these and of the pairs with unequal labels (``"b"``). In O(n log n) time or
    less and in memory for the items.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        variant: ``"a"`` or ``"b"``.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list in which
        all labels are equal has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Kendall, "The treatment of ties in ranking problems", 1945.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9]), jnp.array([1.5, 0.2, 7.0])
        >>> print(f"{rank_relax_jax.kendall_loss(scores, labels, temperature=0.1):.4f}")
        0.0813
    """
    strength = checked_temperature("kendall_loss", temperature)
    check_choice("kendall_loss", "variant", variant, ("a", "b"))
    check_reduction("kendall_loss", reduction)
    lists = Lists("kendall_loss", scores, labels, mask=mask, weights=weights)
    share, _ = lists.shares(jnp.ones_like(lists.scores))
    of_labels = OrderedPairs(lists)
    ordered = of_labels.weight(share, share)
    has_pairs = ordered > 0
    lists.leave_out_unless(has_pairs)
    wrong = of_labels.sum(strength, share, share, 0)
    every = (share * lists.before(lists.running_sum(share))).sum(-1)  # no item with itself
    scale = jnp.where(has_pairs, ordered, 1) / jnp.where(has_pairs, every, 1)
    if variant == "b":
        scale = jnp.sqrt(scale)
    losses = 1 - scale * (1 - 2 * wrong / jnp.where(has_pairs, ordered, 1))
    return lists.reduced(losses, reduction)
