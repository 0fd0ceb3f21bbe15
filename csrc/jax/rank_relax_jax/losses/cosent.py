"""The exponential loss of all ordered pairs, under a logarithm."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import Reduction, Strength, check_reduction, checked_temperature
from rank_relax_jax.losses._lists import LOG_OF_NOTHING, Lists


def cosent_loss(
    scores: Array,
    labels: Array,
    *,
    mask: Array | None = None,
    weights: Array | None = None,
    temperature: Strength = 0.05,
    reduction: Reduction = "mean",
) -> Array:
    r"""The logarithm of one and the exponentials of all pairs in the wrong order (CoSENT).

    .. math:: L = \log\Bigl(1 + \sum_{y_i > y_j} e^{-(s_i - s_j) / T}\Bigr)

    In O(n log n) time and in memory for the items.

    Args:
        scores: ``[..., n]``: float64, float32, bfloat16 or float16.
        labels: Of the shape of ``scores`` and any real dtype.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product.
        temperature: T > 0, in units of the scores. A 0-dim array may be traced.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` for ``reduction="none"``, of the dtype of ``scores``. A list without
        a pair has loss 0, gradient 0 and no part in the mean.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Those of ``rank_relax.cosent_loss``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> similarities, labels = jnp.array([0.3, 0.1, 0.4]), jnp.array([0.5, 0.0, 1.0])
        >>> print(f"{rank_relax_jax.cosent_loss(similarities, labels):.4f}")
        0.1451
    """
    strength = checked_temperature("cosent_loss", temperature)
    check_reduction("cosent_loss", reduction)
    lists = Lists("cosent_loss", scores, labels, mask=mask, weights=weights)
    order = lists.order(lists.keys, descending=False)
    key = jnp.take_along_axis(lists.keys, order, -1)
    weight = jnp.take_along_axis(lists.weighted(jnp.ones_like(lists.scores)), order, -1)
    lower = lists.before_equals(key, lists.running_sum(weight), 0)
    lists.leave_out_unless((weight * lower).sum(-1) > 0)
    scaled = jnp.take_along_axis(lists.subtracted(strength), order, -1)
    counts = weight > 0
    log_weight = jnp.where(counts, jnp.log(jnp.where(counts, weight, 1)), LOG_OF_NOTHING)
    below = lists.running_logsumexp(jnp.where(counts, scaled + log_weight, LOG_OF_NOTHING))
    below = lists.before_equals(key, below, LOG_OF_NOTHING)
    pairs = lists.logsumexp(jnp.where(counts, below - scaled + log_weight, LOG_OF_NOTHING))
    return lists.reduced(-jax.nn.log_sigmoid(-pairs), reduction)
