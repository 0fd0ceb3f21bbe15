"""The cross-entropy of a list's softmax."""

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
from rank_relax_jax.losses._lists import LOG_OF_NOTHING, Lists

Shares = Literal["softmax", "proportional"]

_HIGHEST = 80.0  # exp of it is in the range of float32


def listnet_loss(
    scores: Array,
    labels: Array,
    *,
    shares: Shares = "softmax",
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""The cross-entropy between the shares of the labels and the softmax of the scores (ListNet).

    .. math:: L = -\sum_i p_i \log \frac{e^{s_i / T}}{\sum_j e^{s_j / T}}, \qquad
        p_i = \frac{e^{y_i}}{\sum_j e^{y_j}} \quad\text{or}\quad \frac{y_i}{\sum_j y_j}

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype; for ``"proportional"`` from 0 up.
        shares: ``"softmax"``, as in ListNet, or ``"proportional"``, which for labels of 0 and 1
            shares out among the relevant items, and leaves out lists that have none.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Factors of the shares, before they are divided by their sum, from 0 up, of the
            shape of ``scores``.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a share has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Cao, Qin, Liu, Tsai, Li, "Learning to rank: from pairwise approach to listwise approach",
        2007.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9]), jnp.array([1, 0, 2])
        >>> print(f"{rank_relax_jax.listnet_loss(scores, labels):.4f}")
        0.9111
    """
    strength = checked_temperature("listnet_loss", temperature)
    check_choice("listnet_loss", "shares", shares, ("softmax", "proportional"))
    check_reduction("listnet_loss", reduction)
    lists = Lists("listnet_loss", scores, labels, mask=mask, weights=weights)
    amounts = lists.amounts
    if shares == "softmax":
        # Of those that weigh something; others may be far above, and have nothing of the sum.
        weighs = lists.weighted(jnp.ones_like(amounts)) > 0
        most = lists.logsumexp(jnp.where(weighs, amounts, LOG_OF_NOTHING))
        below = lists.counting(amounts - lists.to_items(most))
        share = lists.weighted(jnp.exp(jnp.minimum(below, _HIGHEST)))
    else:
        share = lists.weighted(amounts)
    total = share.sum(-1)
    has_share = total > 0
    lists.leave_out_unless(has_share)
    scaled = lists.subtracted(strength)
    surprise = lists.to_items(lists.logsumexp(lists.log_counting(scaled))) - scaled
    losses = (share * surprise).sum(-1) / jnp.where(has_share, total, 1)
    return lists.reduced(losses, reduction)
