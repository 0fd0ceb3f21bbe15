"""Sums over the pairs of a list that its labels order, of any labels, without the pairs."""

import math

import torch
from torch import Tensor

from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists


class OrderedPairs:
    """The pairs (i, j) of each list with y_i > y_j."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists

    def weight(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Σ u_i v_j, one number a list."""
        wide = widest_dtype(lower.device)
        points = torch.zeros_like(lower, dtype=wide)  # F(0) = 1/2
        below = 2 * self._of_lower(points, lower.to(wide), 1.0, 0)
        return self.lists.sum(upper * below)

    def sum(self, strength: Strength, upper: Tensor, lower: Tensor, order: int) -> Tensor:
        """Σ u_i v_j K(α (s_j - s_i)), K of the order of :func:`soft_count`."""
        count = self._of_lower(-self.lists.scores, lower, strength, order)
        return self.lists.sum(upper * count)

    def density_of_each(self, strength: Strength, weights: Tensor) -> Tensor:
        """Σ_j w_k w_j ∂K(α (s_j - s_k)), K' = F', over the pairs that each item k is in."""
        keys = self.lists.keys
        opposite = -keys if keys.is_floating_point() else ~keys
        scores = -self.lists.scores
        below = self._of_lower(scores, weights, strength, 1)
        above = self._of_lower(scores, weights, strength, 1, opposite)
        return weights * (below + above)

    def of_equal_labels(self, strength: Strength, share: Tensor) -> tuple[Tensor, Tensor]:
        """Σ u_i u_j over the pairs of equal labels, and of their logistic losses for a target of ½.

        The mean of log(1 + e^d) and log(1 + e^-d), d = α (s_i - s_j).
        """
        order = self.lists.order(self.lists.keys, descending=False)
        ends = self.lists.ends_of_groups(self.lists.keys.gather(-1, order))
        wide = widest_dtype(share.device)  # as each item is counted with itself and taken off
        scores, share = (items.gather(-1, order).to(wide) for items in (-self.lists.scores, share))
        points = torch.zeros_like(scores)
        weight = 2 * soft_count(points, points, share, offsets=ends) - share
        loss = soft_count(scores, scores, share, strength, order=-1, offsets=ends) * strength
        loss = loss - share * math.log(2)
        return self.lists.sum(share * weight) / 2, self.lists.sum(share * loss) / 2

    def _of_lower(
        self,
        scores: Tensor,
        weights: Tensor,
        strength: Strength,
        order: int,
        keys: Tensor | None = None,
    ) -> Tensor:
        """The soft count at each item of those that have lower labels, or other keys."""
        return soft_count(
            scores,
            scores,
            weights,
            strength,
            order=order,
            offsets=self.lists.offsets,
            keys=self.lists.keys if keys is None else keys,
        )
