"""The mean reciprocal rank as a loss."""

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

Relevant = Literal["first", "all"]


def mrr_loss(
    scores: Array,
    labels: Array,
    *,
    relevant: Relevant = "first",
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.1,
    reduction: Reduction = "mean",
) -> Array:
    r"""One minus the reciprocal rank, at soft positions (ApproxMRR).

    .. math:: L = 1 - \max_{i:\, y_i > 0} \frac{1}{r_i} \quad\text{or}\quad
        1 - \frac{\sum_i y_i / r_i}{\sum_i y_i}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function and T the ``temperature``.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Relevant above 0, of the shape of ``scores`` and any real dtype.
        relevant: ``"first"``, the highest of the relevant items, as the metric has it; or
            ``"all"``, the mean over them, weighted by their labels.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the labels, from 0 up, of the shape of ``scores``.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a relevant item has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Qin, Liu, Li, "A general approximation framework for direct optimization of information
        retrieval measures", 2010.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores = jnp.array([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = jnp.array([[1, 0, 0], [0, 1, 0]])
        >>> losses = rank_relax_jax.mrr_loss(scores, labels, reduction="none")
        >>> [f"{each:.4f}" for each in losses]
        ['0.5276', '0.0513']
    """
    strength = checked_temperature("mrr_loss", temperature)
    check_choice("mrr_loss", "relevant", relevant, ("first", "all"))
    check_reduction("mrr_loss", reduction)
    lists = Lists("mrr_loss", scores, labels, mask=mask, weights=weights)
    relevance = lists.weighted(lists.amounts)
    total = relevance.sum(-1)
    lists.leave_out_unless(total > 0)
    position = 1 + lists.above(strength)
    if relevant == "first":
        reciprocal = lists.largest(jnp.where(relevance > 0, 1 / position, 0))
    else:
        reciprocal = (relevance / position).sum(-1) / jnp.where(lists.has_loss, total, 1)
    return lists.reduced(1 - reciprocal, reduction)
