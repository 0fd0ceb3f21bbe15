"""The lists that a loss is about: rows of a batch, or one behind the other in one row.

A loss is written once, in what a list can be asked for here.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from rank_relax._checks import (
    check_items,
    check_mask_of,
    check_same_device,
    check_same_shape,
    check_scores,
    check_tensor,
)
from rank_relax._integers import in_int64
from rank_relax._scores import result_dtype, strength_beside
from rank_relax._strength import Strength, name_of, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.ranks import soft_rank

# Below every logarithm, and a difference of two is still finite: the gradient of -inf would be NaN.
LOG_OF_NOTHING = -1e30


class Lists:
    """Scores ``[..., n]``, or ``[N]`` with ``offsets``, their labels, and what each item weighs.

    Labels are `amounts`, floating numbers, and `keys`, which have their order, exactly. What
    doesn't count has 0 for each, whatever it was given. A list with an item of which anything is
    NaN has the loss NaN.
    """

    def __init__(
        self,
        function: str,
        scores: Tensor,
        labels: Tensor,
        *,
        mask: Tensor | None,
        weights: Tensor | None,
        offsets: Tensor | None,
        labels_name: str = "labels",
    ) -> None:
        _check(function, scores, labels, labels_name, mask, weights, offsets)
        self.dtype = result_dtype(scores.dtype, scores.device)
        self.mask = mask
        self.offsets = offsets
        precision = torch.promote_types(scores.dtype, torch.float32)
        if weights is not None:
            precision = torch.promote_types(precision, weights.dtype)
        self.scores = self.counting(scores.to(precision))
        self.amounts = self.counting(labels.to(_dtype_of_amounts(labels)))
        self.keys = labels if labels.is_floating_point() else in_int64(labels)
        self.keys = self.counting(self.keys)
        unknown = self.scores.isnan() | self.amounts.isnan()
        self.weights = None
        if weights is not None:
            self.weights = self.counting(weights.to(precision))
            unknown = unknown | self.weights.isnan()
        if offsets is not None:
            begins = offsets[:-1].clamp(0, scores.shape[-1])
            begun = torch.zeros(scores.shape[-1] + 1, dtype=torch.int64, device=scores.device)
            begun = begun.scatter_add(0, begins, torch.ones_like(begins))
            self.of_item = (begun.cumsum(0)[:-1] - 1).clamp(min=0)
            unknown = unknown | ~_sound(function, self.scores.detach(), offsets)
        self.unknown = self.sum(unknown.to(precision)) > 0

    def scaled(self, strength: Strength) -> Tensor:
        """The scores in units of the temperature."""
        if isinstance(strength, Tensor):
            strength = strength_beside(self.scores, strength)
        return self.scores * strength

    def leave_out_unless(self, has_loss: Tensor) -> None:
        """Gives lists without a loss scores whose loss is finite, so that their gradient is 0."""
        self.has_loss = has_loss
        self.scores = torch.where(self.to_items(has_loss), self.scores, 0)

    def counting(self, items: Tensor) -> Tensor:
        """The items that count, 0 in place of the others."""
        return items if self.mask is None else torch.where(self.mask, items, 0)

    def weighted(self, items: Tensor) -> Tensor:
        """What the items that count weigh together with a factor of each."""
        return self.counting(items if self.weights is None else items * self.weights)

    def shares(self, items: Tensor) -> tuple[Tensor, Tensor]:
        """What each item weighs of its list, and what the list weighs.

        Products of two shares are always in the range of their dtype.
        """
        weight = self.weighted(items)
        total = self.sum(weight)
        return weight / self.to_items(torch.where(total > 0, total, 1)), total

    def sum(self, items: Tensor) -> Tensor:
        """A number a list."""
        if self.offsets is None:
            return items.sum(-1)
        zeros = self._one_a_list(0, widest_dtype(items.device))
        return zeros.index_add(0, self.of_item, items.to(zeros.dtype)).to(items.dtype)

    def largest(self, items: Tensor) -> Tensor:
        """The largest item of each list that is above 0, or 0."""
        if self.offsets is None:
            return items.amax(-1).clamp(min=0) if items.shape[-1] else items.sum(-1)
        zeros = self._one_a_list(0, items.dtype)
        return zeros.scatter_reduce(0, self.of_item, items, "amax")

    def to_items(self, one_a_list: Tensor) -> Tensor:
        """The number of its list for each item."""
        return one_a_list.unsqueeze(-1) if self.offsets is None else one_a_list[self.of_item]

    def order(self, keys: Tensor, descending: bool = True) -> Tensor:
        """Where the items are that come first, second, ... by their keys, list by list."""
        order = torch.argsort(keys, dim=-1, descending=descending, stable=True)
        if self.offsets is not None:
            order = order[torch.argsort(self.of_item[order], stable=True)]
        return order

    def place(self) -> Tensor:
        """1, 2, ... within each list."""
        item = torch.arange(self.scores.shape[-1], device=self.scores.device)
        return 1 + (item if self.offsets is None else item - self.offsets[self.of_item])

    def before(self, items: Tensor) -> Tensor:
        """The item before each, 0 before the first of a list."""
        return torch.where(self.place() == 1, 0, torch.nn.functional.pad(items, (1, 0))[..., :-1])

    def running_sum(self, items: Tensor) -> Tensor:
        """The sum of a list's items up to each, in the widest precision of the device."""
        sums = items.to(widest_dtype(items.device))
        return sums.cumsum(-1) if self.offsets is None else self._by_doubling(torch.add, sums, 0)

    def running_logsumexp(self, items: Tensor) -> Tensor:
        """Log Σ exp of a list's items up to each, in the widest precision of the device."""
        # torch.logcumsumexp has NaN for its second derivative wherever its gradient is 0.
        sums = items.to(widest_dtype(items.device))
        return self._by_doubling(log_of_sum, sums, LOG_OF_NOTHING)

    def _by_doubling(
        self, add: Callable[[Tensor, Tensor], Tensor], items: Tensor, nothing: float
    ) -> Tensor:
        """Up to each item of its list, in O(n log n).

        The difference of two sums over everything would bring what one list is rounded to, or its
        NaN, into the next.
        """
        place, step = self.place(), 1
        while step < items.shape[-1]:
            before = torch.nn.functional.pad(items[..., :-step], (step, 0))
            items = add(items, torch.where(place > step, before, nothing))
            step *= 2
        return items

    def log_counting(self, items: Tensor) -> Tensor:
        """The logarithms of what counts, and of nothing in place of the others."""
        return items if self.mask is None else torch.where(self.mask, items, LOG_OF_NOTHING)

    def logsumexp(self, items: Tensor) -> Tensor:
        """Log Σ exp of each list's items."""
        if self.offsets is None:
            nothing = items.new_full((*items.shape[:-1], 1), LOG_OF_NOTHING)  # if there are none
            return torch.cat([items, nothing], -1).logsumexp(-1)
        most = self._one_a_list(LOG_OF_NOTHING, items.dtype)
        most = most.scatter_reduce(0, self.of_item, items.detach(), "amax")
        total = self.sum(torch.exp(items - most[self.of_item]))
        return most + torch.log(torch.where(total == 0, 1, total))

    def begins_equals(self, keys: Tensor) -> Tensor:
        """Which items of sorted lists are the first of their list or of their key."""
        differs = torch.nn.functional.pad(keys[..., 1:] != keys[..., :-1], (1, 0))
        return differs[..., : keys.shape[-1]] | (self.place() == 1)

    def dense_rank(self, keys: Tensor) -> Tensor:
        """Integers in the order of the keys of each list, equal for equal ones."""
        order = self.order(keys, descending=False)
        rank = self.begins_equals(keys.gather(-1, order)).cumsum(-1)
        return torch.zeros_like(rank).scatter(-1, order, rank)

    def before_equals(self, keys: Tensor, up_to_each: Tensor, nothing: float) -> Tensor:
        """Of sorted lists what runs up to each item, up to the last item of a smaller key."""
        index = torch.arange(keys.shape[-1], device=keys.device)
        first = torch.where(self.begins_equals(keys), index, 0).cummax(-1).values
        last_before = up_to_each.gather(-1, (first - 1).clamp(min=0))
        return torch.where(first > index - self.place() + 1, last_before, nothing)

    def above(
        self, strength: Strength, among: Tensor | None = None, *, weighted: bool = False
    ) -> Tensor:
        """How many others are above each item, softly, or what they weigh.

        `among` asks for those alone that it holds, and only they need know.
        """
        mask = self.mask
        if among is not None:
            mask = among if mask is None else mask & among
        weights = self.weights if weighted else None
        if self.offsets is None and weights is None:
            return soft_rank(self.scores, strength, descending=True, normalize=False, mask=mask)
        own = 0.5 if weights is None else weights / 2
        return self.weight_above(strength, weights, mask) - own

    def weight_above(
        self, strength: Strength, weights: Tensor | None, mask: Tensor | None, order: int = 0
    ) -> Tensor:
        """Σ_j w_j K(α (s_j - s_i)) of the items j of the mask, the item itself too."""
        negated = -self.scores
        return soft_count(
            negated,
            negated,
            weights,
            strength,
            mask=mask,
            order=order,
            offsets=self.offsets,
        )

    def reduced(self, losses: Tensor, reduction: str) -> Tensor:
        """One loss a list, their sum or mean; those that have none are 0 and in no mean."""
        losses = torch.where(self.has_loss, losses, 0) + torch.where(self.unknown, torch.nan, 0)
        if reduction == "mean":
            losses = losses.sum() / (self.has_loss | self.unknown).sum().clamp(min=1)
        elif reduction == "sum":
            losses = losses.sum()
        return losses.to(self.dtype)

    def _one_a_list(self, value: float, dtype: torch.dtype) -> Tensor:
        assert self.offsets is not None
        lists = self.offsets.shape[0] - 1
        return torch.full((lists,), value, dtype=dtype, device=self.scores.device)


def _dtype_of_amounts(labels: Tensor) -> torch.dtype:
    """A dtype that holds labels: integers up to 2^53, where the device has float64."""
    if labels.is_floating_point():
        return torch.promote_types(labels.dtype, torch.float32)
    return widest_dtype(labels.device)


def _sound(function: str, scores: Tensor, offsets: Tensor) -> Tensor:
    """Whether offsets rise from 0 to the end; an error if not, where their values can be read."""
    no_points = torch.zeros_like(offsets)
    try:  # Asked about no point at all, soft_count says what is wrong with them.
        soft_count(scores[:0], scores, offsets=offsets, point_offsets=no_points)
    except ValueError as error:
        raise ValueError(str(error).replace("soft_count", function, 1)) from None
    rise = offsets.diff() >= 0
    return (offsets[0] == 0) & rise.all() & (offsets[-1] == scores.shape[-1])


def log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """torch.logaddexp, whose second derivative is NaN where one of the two is nothing."""
    most = torch.maximum(a, b).detach()
    return most + torch.log(torch.exp(a - most) + torch.exp(b - most))


def _check(
    function: str,
    scores: Any,
    labels: Any,
    labels_name: str,
    mask: Any,
    weights: Any,
    offsets: Any,
) -> None:
    check_scores(function, "scores", scores)
    check_labels(function, labels_name, labels, scores)
    check_mask_of(function, mask, "scores", scores)
    if weights is not None:
        check_scores(function, "weights", weights)
        check_same_device(function, "weights", weights, "scores", scores)
        check_same_shape(function, "weights", weights, "scores", scores)
    if offsets is not None:
        _check_offsets(function, scores, offsets)


def check_labels(function: str, name: str, labels: Any, scores: Tensor) -> None:
    """Raises for what is not one number for each score."""
    check_items(function, name, labels)
    check_same_device(function, name, labels, "scores", scores)
    check_same_shape(function, name, labels, "scores", scores)


def _check_offsets(function: str, scores: Tensor, offsets: Any) -> None:
    check_tensor(function, "offsets", offsets)
    if offsets.dtype != torch.int64:
        raise TypeError(
            f"{function}: offsets must be int64, got {name_of(offsets.dtype)}; convert it with "
            "offsets.long()"
        )
    check_same_device(function, "offsets", offsets, "scores", scores)
    if offsets.dim() != 1 or offsets.shape[0] < 2:
        raise ValueError(
            f"{function}: offsets must be [L + 1], where each of L lists begins and the last ends, "
            f"got shape {list(offsets.shape)}"
        )
    if scores.dim() != 1:
        raise ValueError(
            f"{function}: with offsets, scores must be [N], all lists one behind the other, got "
            f"shape {list(scores.shape)}; flatten them"
        )
