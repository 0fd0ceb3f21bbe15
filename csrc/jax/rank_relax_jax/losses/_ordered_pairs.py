"""Sums over the pairs of a list's items that its labels order, without the pairs."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import Strength, widest_dtype
from rank_relax_jax.counts import soft_count
from rank_relax_jax.losses._lists import Lists


class OrderedPairs:
    """The pairs (i, j) of each list with y_i > y_j."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists

    def weight(self, upper: Array, lower: Array) -> Array:
        """Σ u_i v_j, one number per list."""
        lower = lower.astype(widest_dtype())
        points = jnp.zeros_like(lower)  # F(0) = 1/2
        count = soft_count(points, points, lower, keys=self.lists.keys)
        return (upper * 2 * count).sum(-1)

    def sum(self, strength: Strength, upper: Array, lower: Array, order: int) -> Array:
        """Σ u_i v_j K(α (s_j - s_i)), K of the order of :func:`soft_count`."""
        scores = -self.lists.scores
        count = soft_count(scores, scores, lower, strength, order=order, keys=self.lists.keys)
        return (upper * count).sum(-1)
