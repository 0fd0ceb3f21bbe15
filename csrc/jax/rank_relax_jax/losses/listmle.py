"""The likelihood of the order of the labels."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax._checks import (
    Reduction,
    Strength,
    check_choice,
    check_reduction,
    checked_temperature,
    widest_dtype,
)
from rank_relax_jax.losses._lists import (
    LOG_OF_NOTHING,
    Lists,
    largest_of_equals,
    log_of_sum,
    sum_of_equals,
)

Ties = Literal["efron", "breslow"]
PositionWeights = Literal["uniform", "exp2"]


def listmle_loss(
    scores: Array,
    labels: Array,
    *,
    ties: Ties = "efron",
    position_weights: PositionWeights = "uniform",
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Array:
    r"""Minus the log-likelihood of the labels' order if items are drawn by softmax (ListMLE).

    .. math:: L = \sum_{k=1}^n p_k \Bigl(\log \sum_{j=k}^n e^{s_j / T} - \frac{s_k}{T}\Bigr)

    over the places k in falling order of the labels: the Plackett-Luce model. In O(n log n) time
    and O(n) memory.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        ties: What becomes of equal labels, as for Cox's model: ``"efron"``, the sum at the l-th of
            d places that they share has them less their share (l - 1) / d; or ``"breslow"``, all of
            them, at each.
        position_weights: ``"uniform"``, p = 1, or ``"exp2"``, p-ListMLE's 2^(n-k) - 1 over their
            sum. Equal labels share theirs.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Case weights as in Cox's model, from 0 up, of the shape of ``scores``: factors of
            an item's exponential and of its term; with equal labels, the sums have their mean. An
            item of weight 0 has no place.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list of fewer
        than two items has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Those of ``rank_relax.listmle_loss``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> scores, labels = jnp.array([0.3, 0.1, 0.9]), jnp.array([1, 0, 2])
        >>> print(f"{rank_relax_jax.listmle_loss(scores, labels):.4f}")
        1.2904
    """
    strength = checked_temperature("listmle_loss", temperature)
    check_choice("listmle_loss", "ties", ties, ("efron", "breslow"))
    check_choice("listmle_loss", "position_weights", position_weights, ("uniform", "exp2"))
    check_reduction("listmle_loss", reduction)
    lists = Lists("listmle_loss", scores, labels, mask=mask, weights=weights)
    order = lists.order(lists.keys, descending=False)  # what is drawn from at a place runs up to it

    def sorted_by_label(items: Array) -> Array:
        return jnp.take_along_axis(items, order, -1)

    key = sorted_by_label(lists.keys)
    begins = lists.begins_equals(key)
    precision = widest_dtype()
    weight = lists.weighted(jnp.ones_like(lists.scores))
    weight = sorted_by_label(weight).astype(precision)
    counts = weight > 0
    up_to_each = lists.running_sum(counts).astype(precision)
    number = counts.sum(-1).astype(precision)
    lists.leave_out_unless(number > 1)
    scaled = sorted_by_label(lists.subtracted(strength)).astype(precision)
    logs = scaled + jnp.log(jnp.where(counts, weight, 1))
    logs = jnp.where(counts, logs, LOG_OF_NOTHING)
    below = lists.before_equals(key, lists.running_logsumexp(logs), LOG_OF_NOTHING)
    own = _logsumexp_of_equals(begins, logs)
    members = jnp.maximum(sum_of_equals(begins, counts.astype(precision)), 1)
    if ties == "efron":
        remaining = up_to_each - lists.before_equals(key, up_to_each, 0)
        own = own + jnp.log(jnp.where(counts, remaining / members, 1))
    if position_weights == "exp2":
        of_place = _exp2_weights(lists.to_items(number), up_to_each)
    else:
        of_place = jnp.ones_like(up_to_each)
    of_place = jnp.where(counts, of_place, 0)
    drawn_from = of_place * sum_of_equals(begins, weight) / members * log_of_sum(below, own)
    drawn = sum_of_equals(begins, of_place) / members * weight * scaled
    losses = jnp.where(counts, drawn_from - drawn, 0).sum(-1)
    return lists.reduced(losses, reduction)


def _exp2_weights(number: Array, up_to_each: Array) -> Array:
    """(2^(n-k) - 1) / Σ, at place k from the top, of lists in rising order, without 2^n."""
    least = jnp.exp2(-number)
    weights = jnp.exp2(up_to_each - 1 - number) - least
    total = 1 - (number + 1) * least
    return weights / jnp.where(total > 0, total, 1)


def _logsumexp_of_equals(begins: Array, items: Array) -> Array:
    """Log Σ exp of its equals for each item."""
    most = largest_of_equals(begins, stop_gradient(items))
    return most + jnp.log(sum_of_equals(begins, jnp.exp(items - most)))
