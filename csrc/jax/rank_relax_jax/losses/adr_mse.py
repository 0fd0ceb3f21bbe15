"""The discounted mean squared error of ranks."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import Reduction, Strength, check_reduction, checked_temperature
from rank_relax_jax.losses._lists import Lists


def adr_mse_loss(
    scores: Array,
    labels: Array,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""The squared error of soft ranks, less of it further down (ADR-MSE).

    .. math:: L = \frac{1}{n} \sum_i \frac{(\rho_i - r_i)^2}{\log_2(1 + \rho_i)}, \qquad
        r_i = 1 + \sum_{j \neq i} F\!\left(\frac{s_j - s_i}{T}\right)

    with F the logistic function, T the ``temperature`` and ρ the ranks of the labels: 1 for the
    highest, and the average rank for equal ones.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Higher is better, of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of the terms, in the sum and in the n by which it is divided, from 0 up, of the
            shape of ``scores``. They are in neither rank.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list of no
        items, or of none that weighs anything, has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Schlatt, Fröbe, Scells, Zhuang, Koopman, Zuccon, Stein, Potthast, Hagen, "Rank-DistiLLM",
        2025.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores = jnp.array([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
        >>> labels = jnp.array([[2, 1, 3], [3, 1, 2]])
        >>> losses = rank_relax_jax.adr_mse_loss(scores, labels, temperature=0.1, reduction="none")
        >>> [f"{each:.4f}" for each in losses]
        ['0.0052', '1.8029']
    """
    strength = checked_temperature("adr_mse_loss", temperature)
    check_reduction("adr_mse_loss", reduction)
    lists = Lists("adr_mse_loss", scores, labels, mask=mask, weights=weights)
    share, total = lists.shares(jnp.ones_like(lists.scores))
    lists.leave_out_unless(total > 0)
    rank = lists.hard_rank(lists.keys).astype(lists.scores.dtype)
    error = lists.counting(rank - (1 + lists.above(strength))) ** 2
    return lists.reduced((share * error / jnp.log2(1 + rank)).sum(-1), reduction)
