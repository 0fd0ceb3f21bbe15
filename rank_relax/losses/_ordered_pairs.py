"""Sums over pairs of a list's items, those that its labels order above all, without the pairs."""

import torch
from torch import Tensor

from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import in_opposite_order, soft_count
from rank_relax.losses._lists import Lists


class OrderedPairs:
    """The pairs (i, j) of each list with y_i > y_j; no item makes one with itself."""

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.keys = lists.keys
        self.offsets = lists.offsets

    def weight(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Σ u_i v_j, one number per list."""
        upper, lower = self._placed(upper), self._placed(lower)
        lower = lower.to(widest_dtype(lower.device))
        points = torch.zeros_like(lower)  # F(0) = 1/2
        return self.lists.sum(upper * 2 * self._of_smaller(self.keys, points, lower, 1.0, 0))

    def sum(self, strength: Strength, upper: Tensor, lower: Tensor, order: int) -> Tensor:
        """Σ u_i v_j K(α (s_j - s_i)), K of the order of :func:`soft_count`."""
        scores, lower = self._placed(-self.lists.scores), self._placed(lower)
        count = self._of_smaller(self.keys, scores, lower, strength, order)
        return self.lists.sum(self._placed(upper) * count)

    def density_of_each(self, strength: Strength, weights: Tensor) -> Tensor:
        """Σ_j w_k w_j ∂K(α (s_j - s_k)), K' = F', over the pairs that each item k is in."""
        return self._back(self._of_both(strength, weights, 1))

    def _of_both(self, strength: Strength, weights: Tensor, order: int) -> Tensor:
        """Σ_j w_k w_j K(α (s_j - s_k)) over the other items of the pairs of each, as they lie."""
        scores, weights = self._placed(-self.lists.scores), self._placed(weights)
        below, above = (
            self._of_smaller(keys, scores, weights, strength, order)
            for keys in (self.keys, in_opposite_order(self.keys))
        )
        return weights * (below + above)

    def _of_smaller(
        self, keys: Tensor, scores: Tensor, weights: Tensor, strength: Strength, order: int
    ) -> Tensor:
        """The soft count, at each item, of those of smaller keys."""
        return soft_count(
            scores, scores, weights, strength, order=order, offsets=self.offsets, keys=keys
        )

    def _placed(self, items: Tensor) -> Tensor:
        """The items as keys and offsets have them."""
        return items

    def _back(self, items: Tensor) -> Tensor:
        """Items that lie so as the list has them."""
        return items


class EqualPairs(OrderedPairs):
    """The pairs of each list with y_i = y_j, each once: of the item that comes first as j."""

    def __init__(self, lists: Lists) -> None:
        super().__init__(lists)
        self.order = lists.order(lists.keys, descending=False)
        labels = lists.keys.gather(-1, self.order)
        self.offsets = lists.ends_of_groups(labels)
        place = torch.arange(labels.shape[-1], device=labels.device)
        self.keys = place.expand(labels.shape)

    def mean_of_both_orders(self, strength: Strength, share: Tensor) -> Tensor:
        """Σ u_i u_j (K(d) + K(-d)) / 2, d = α (s_j - s_i), K of order -1."""
        return self.lists.sum(self._of_both(strength, share, -1)) / 2

    def _placed(self, items: Tensor) -> Tensor:
        return items.gather(-1, self.order)

    def _back(self, items: Tensor) -> Tensor:
        return torch.zeros_like(items).scatter(-1, self.order, items)
