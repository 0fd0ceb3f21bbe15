"""Sums over the pairs of a list that its labels order, of any labels, without the pairs."""

import torch
from torch import Tensor

from rank_relax._strength import Strength
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists


class LabelTree:
    """The items of lists in the order of their labels.

    Two different labels differ in a highest bit of their places 0, 1, ... among the labels of a
    list. The pairs of which this is one bit lie in groups, those of equal higher bits, and in each
    the items with the bit are ordered above all without: one soft count of ragged lists, for each
    bit. No pair of equal labels is in any, and every other in one.
    """

    def __init__(self, lists: Lists) -> None:
        self.lists = lists
        self.order = lists.order(lists.labels, descending=False)
        self.label = lists.labels.gather(-1, self.order)
        self.begins = (lists.place() == 1).expand(self.label.shape)
        self.rises = torch.nn.functional.pad(self.label[..., 1:] != self.label[..., :-1], (1, 0))
        self.rises = self.rises[..., : self.label.shape[-1]] & ~self.begins

    def sorted(self, items: Tensor) -> Tensor:
        """The items in the order of their labels."""
        return items.gather(-1, self.order)

    def pairs(self, upper: Tensor, lower: Tensor) -> Tensor:
        """Σ u_i v_j over the pairs of each list with y_i > y_j."""
        below = self.lists.before_equals(self.label, self.lists.running_sum(self.sorted(lower)), 0)
        return self.lists.sum(self.sorted(upper) * below)

    def sum(self, strength: Strength, upper: Tensor, lower: Tensor, order: int) -> Tensor:
        """Σ u_i v_j K(α (s_j - s_i)) over them, K of the order of :func:`soft_count`."""
        scores, upper, lower = (self.sorted(x) for x in (-self.lists.scores, upper, lower))
        place = self._place_of_label()
        total = torch.where(self.begins & ~self.begins, scores, 0)  # 0, of which they have a graph
        bit = 0
        while 1 << bit < self._labels(place):
            above = (place >> bit) % 2 == 1
            group = place >> (bit + 1)
            count = soft_count(
                scores,
                scores,
                torch.where(above, 0, lower),
                strength,
                order=order,
                offsets=self._offsets(group),
            )
            total = total + torch.where(above, upper * count, 0)
            bit += 1
        return self.lists.sum(total)

    def _place_of_label(self) -> Tensor:
        """0 for the items of the lowest label of their list, 1 for the next, ..."""
        rises = self.rises.cumsum(-1)
        at_begin = torch.where(self.begins, rises, 0).cummax(-1).values
        return rises - at_begin

    def _labels(self, place: Tensor) -> int:
        """How many labels a list may have: no more than items, where their values are not known."""
        known = not (
            torch.compiler.is_compiling()
            or place.is_meta
            or place.numel() == 0
            or torch._C._functorch.is_functorch_wrapped_tensor(place)
        )
        return int(place.max()) + 1 if known else place.shape[-1]

    def _offsets(self, group: Tensor) -> Tensor:
        """Where groups of equal numbers end, and as many empty lists as make one for each item."""
        changes = torch.nn.functional.pad(group[..., 1:] != group[..., :-1], (1, 0))
        group = (changes[..., : group.shape[-1]] | self.begins).cumsum(-1) - 1
        ends = torch.nn.functional.pad(torch.zeros_like(group), (1, 0))
        return ends.scatter_add(-1, group + 1, torch.ones_like(group)).cumsum(-1)
