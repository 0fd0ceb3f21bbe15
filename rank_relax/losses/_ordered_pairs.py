"""Sums over the pairs of a list that its labels order, of any labels, without the pairs."""

from collections.abc import Iterator

import torch
from torch import Tensor

from rank_relax._strength import Strength
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists


class OrderedPairs:
    """The pairs (i, j) of each list with y_i > y_j.

    Two different labels differ in a highest bit of their places 0, 1, ... among the labels of a
    list. The pairs of which this is one bit lie in groups, those of equal higher bits, and in each
    the items with the bit are ordered above all without: one soft count of ragged lists, for each
    bit. No pair of equal labels is in any, and every other in one.
    """

    def __init__(self, lists: Lists) -> None:
        lists.check_steps()
        self.lists = lists
        self.order = lists.order(lists.keys, descending=False)
        self.key = lists.keys.gather(-1, self.order)

    def weight(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Σ u_i v_j, one number a list."""
        below = self.lists.running_sum(self._sorted(lower))
        below = self.lists.before_equals(self.key, below, 0)
        return self.lists.sum(self._sorted(upper) * below)

    def sum(self, strength: Strength, upper: Tensor, lower: Tensor, order: int) -> Tensor:
        """Σ u_i v_j K(α (s_j - s_i)), K of the order of :func:`soft_count`."""
        scores, upper, lower = (self._sorted(x) for x in (-self.lists.scores, upper, lower))
        total = torch.zeros_like(scores)
        for above, offsets in self._bits():
            weights = torch.where(above, 0, lower)
            count = soft_count(scores, scores, weights, strength, order=order, offsets=offsets)
            total = total + torch.where(above, upper * count, 0)
        return self.lists.sum(total)

    def density_of_each(self, strength: Strength, weights: Tensor) -> Tensor:
        """Σ_j w_k w_j ∂K(α (s_j - s_k)), K' = F', over the pairs that each item k is in."""
        scores, weights = self._sorted(-self.lists.scores), self._sorted(weights)
        total = torch.zeros_like(scores)
        for above, offsets in self._bits():
            sides = torch.stack([torch.where(above, 0, weights), torch.where(above, weights, 0)])
            below, over = soft_count(scores, scores, sides, strength, order=1, offsets=offsets)
            total = total + weights * torch.where(above, below, over)
        return torch.zeros_like(total).scatter(-1, self.order, total)

    def _bits(self) -> Iterator[tuple[Tensor, Tensor]]:
        """For each bit which items have it, and where the groups of equal higher bits end."""
        place = self.lists.dense_rank_of_sorted(self.key)
        labels, bit = number_of_places(place), 0
        while bit == 0 or 1 << bit < labels:
            yield (place >> bit) % 2 == 1, self.lists.ends_of_groups(place >> (bit + 1))
            bit += 1

    def _sorted(self, items: Tensor) -> Tensor:
        return items.gather(-1, self.order)


def number_of_places(place: Tensor) -> int:
    """How many there may be: no more than items, where their values are not known."""
    known = not (
        torch.compiler.is_compiling()
        or place.is_meta
        or place.numel() == 0
        or type(place) is not Tensor  # fake ones above all
        or torch._C._len_torch_dispatch_stack() > 0  # something records what is done
        or torch._C._functorch.is_functorch_wrapped_tensor(place)
    )
    return int(place.max()) + 1 if known else place.shape[-1]
