"""The logistic loss of all ordered pairs."""

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

Normalize = Literal["list", "pairs", "sum"]


def pairwise_logistic_loss(
    scores: Array,
    labels: Array,
    *,
    normalize: Normalize = "list",
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""The logistic loss of all pairs that the labels order (RankNet, Bradley-Terry, BPR).

    .. math:: L = \sum_{y_i > y_j} \log\bigl(1 + e^{-(s_i - s_j) / T}\bigr)

    over the number of pairs, in O(n log n) time or less and in memory for the items. Items of equal
    labels make no pair.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        normalize: ``"list"``, the mean over the pairs of each list; ``"sum"``, their sum; or
            ``"pairs"``, their sum, but ``reduction="mean"`` is the mean over all pairs of the
            batch.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product, and
            counts so often.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a pair has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Burges, Shaked, Renshaw, Lazier, Deeds, Hamilton, Hullender, "Learning to rank using
        gradient descent", 2005.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9]), jnp.array([1.5, 0.2, 7.0])
        >>> print(f"{rank_relax_jax.pairwise_logistic_loss(scores, labels):.4f}")
        0.4689
    """
    function = "pairwise_logistic_loss"
    strength = checked_temperature(function, temperature)
    check_choice(function, "normalize", normalize, ("list", "pairs", "sum"))
    check_reduction(function, reduction)
    lists = Lists(function, scores, labels, mask=mask, weights=weights)
    share, total = lists.shares(jnp.ones_like(lists.scores))
    of_labels = OrderedPairs(lists)
    pairs = of_labels.weight(share, share)
    has_pairs = pairs > 0
    lists.leave_out_unless(has_pairs)
    lists.refuse_infinite()
    losses = of_labels.sum(strength, share, share, -1) * strength
    if normalize == "list":
        return lists.reduced(losses / jnp.where(has_pairs, pairs, 1), reduction)
    if normalize == "pairs" and reduction == "mean":
        # Of each list in units of the heaviest, whose square may be in no range.
        heaviest = jnp.where(has_pairs, total, 0).max(initial=0)
        part = total / jnp.where(heaviest > 0, heaviest, 1)
        pairs = jnp.where(has_pairs, pairs * part**2, 0)
        every = pairs.sum()
        losses = losses * part**2 / jnp.where(every > 0, every, 1)
        return lists.reduced(losses, "sum")
    return lists.reduced(losses * total * total, reduction)
