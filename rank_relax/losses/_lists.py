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
    is_tracing,
)
from rank_relax._integers import in_int64
from rank_relax._ragged import RaggedLists, check_offsets, have_ends, in_one_row
from rank_relax._scores import result_dtype, strength_beside
from rank_relax._sharding import beside
from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.ranks import soft_rank

# Below every logarithm, and a difference of two is still finite: the gradient of -inf would be NaN.
LOG_OF_NOTHING = -1e37


class Lists:
    """Scores ``[..., n]``, or ``[N]`` with ``offsets``, their labels, and what each item weighs.

    Without labels the scores are their own.

    Labels are `amounts`, floating numbers, and `keys`, which have their order, exactly. What
    doesn't count has 0 for each, whatever it was given. A list with an item of which anything is
    NaN has the loss NaN.
    """

    def __init__(
        self,
        function: str,
        scores: Tensor,
        labels: Tensor | None,
        *,
        mask: Tensor | None,
        weights: Tensor | None,
        offsets: Tensor | None,
        scores_name: str = "scores",
        labels_name: str = "labels",
    ) -> None:
        check_tensor(function, scores_name, scores)
        if labels is not None:
            check_tensor(function, labels_name, labels)
        scores, labels, mask, weights, offsets = in_one_row(
            function,
            offsets,
            **{scores_name: scores, labels_name: labels, "mask": mask, "weights": weights},
        )
        labels = scores if labels is None else labels
        _check(function, scores_name, scores, labels_name, labels, mask, weights, offsets)
        self.function = function
        self.dtype = result_dtype(scores.dtype, scores.device)
        self.mask = mask
        self.offsets = offsets
        precision = torch.promote_types(scores.dtype, torch.float32)
        if weights is not None:
            precision = torch.promote_types(precision, weights.dtype)
        self.given = scores.to(precision)
        self.scores = self.counting(self.given)
        self.amounts = self.counting(labels.to(_dtype_of_amounts(labels, precision)))
        self.keys = labels if labels.is_floating_point() else in_int64(labels)
        self.keys = self.counting(self.keys)
        unknown = self.scores.isnan() | self.amounts.isnan()
        self.weights = None
        if weights is not None:
            self.weights = self.counting(weights.to(precision))
            unknown = unknown | ~self.weights.isfinite()
        self.ragged = None
        if offsets is not None:
            self.ragged = RaggedLists(offsets, scores.shape[-1])
            unknown = unknown | ~have_ends(function, offsets, self.scores)
        self.unknown = self.sum(unknown.to(precision)) > 0

    def subtracted(self, strength: Strength) -> Tensor:
        """The scaled scores, whose differences are the loss; NaN where one is infinite."""
        self.refuse_infinite()
        return self.scaled(strength)

    def scaled(self, strength: Strength) -> Tensor:
        """The scores from the middle of their list, in units of the temperature."""
        if isinstance(strength, Tensor):
            strength = strength_beside(self.scores, strength)
        finite = self.scores.isfinite()
        scores = torch.where(finite, self.scores, 0)
        middle = self.to_items(self._middle(scores.detach()))
        return torch.where(finite, self.counting(scores - middle) * strength, self.scores)

    def refuse_infinite(self) -> None:
        """Makes NaN of lists with an infinite score, whose differences would be."""
        finite = self.scores.isfinite()
        self.unknown = self.unknown | (self.sum((~finite).to(self.scores.dtype)) > 0)
        self.scores = torch.where(finite, self.scores, 0)

    def _middle(self, scores: Tensor) -> Tensor:
        """Half way between the largest and the smallest that count, 0 where nothing does."""
        high, low = self.ends(scores, self.counts())
        return torch.where(high >= low, high / 2 + low / 2, 0)

    def ends(self, items: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """The largest and the smallest that count, -∞ and ∞ where nothing does."""
        high = self._largest(torch.where(counts, items, -torch.inf), -torch.inf)
        low = -self._largest(torch.where(counts, -items, -torch.inf), -torch.inf)
        return high, low

    def leave_out_unless(self, has_loss: Tensor) -> None:
        """Gives lists without a loss scores whose loss is finite, so that their gradient is 0."""
        self.has_loss = has_loss
        self.scores = torch.where(self.to_items(has_loss & ~self.unknown), self.scores, 0)

    def counts(self) -> Tensor:
        """True where an item counts."""
        return torch.ones_like(self.scores, dtype=torch.bool) if self.mask is None else self.mask

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
        weight = self.weighted(items).to(widest_dtype(items.device))
        total = self.sum(weight)
        share = weight / self.to_items(torch.where(total > 0, total, 1))
        return share.to(items.dtype), total

    def sum(self, items: Tensor) -> Tensor:
        """A number per list."""
        return items.sum(-1) if self.ragged is None else self.ragged.sum(items)

    def largest(self, items: Tensor) -> Tensor:
        """The largest item of each list that is above 0, or 0."""
        return self._largest(items, 0)

    def _largest(self, items: Tensor, least: float) -> Tensor:
        if self.ragged is None:
            return torch.nn.functional.pad(items, (0, 1), value=least).amax(-1)
        of_lists = self.ragged.full(least, items.dtype)
        return of_lists.scatter_reduce(0, self.ragged.of_item, items, "amax")

    def to_items(self, one_a_list: Tensor) -> Tensor:
        """The number of its list for each item."""
        if self.ragged is None:
            return one_a_list.unsqueeze(-1)
        return self.ragged.to_items(one_a_list)

    def order(self, keys: Tensor, descending: bool = True) -> Tensor:
        """Where the items are that come first, second, ... by their keys, list by list."""
        order = torch.argsort(keys, dim=-1, descending=descending, stable=True)
        if self.ragged is not None:
            order = order[torch.argsort(self.ragged.of_item[order], stable=True)]
        return order

    def place(self) -> Tensor:
        """1, 2, ... within each list."""
        if self.ragged is not None:
            return 1 + self.ragged.place()
        item = torch.arange(self.scores.shape[-1], device=self.scores.device)
        return 1 + beside(self.scores, item)

    def before(self, items: Tensor) -> Tensor:
        """The item before each, 0 before the first of a list."""
        return torch.where(self.place() == 1, 0, torch.nn.functional.pad(items, (1, 0))[..., :-1])

    def running_sum(self, items: Tensor) -> Tensor:
        """The sum of a list's items up to each, in the widest precision of the device."""
        if not items.is_floating_point():  # counts: exact, and so is a difference of two
            sums = items.cumsum(-1)
            before = torch.where(self.place() == 1, sums - items.to(sums.dtype), 0)
            return sums if self.offsets is None else sums - before.cummax(-1).values
        sums = items.to(widest_dtype(items.device))
        return sums.cumsum(-1) if self.ragged is None else self._by_doubling(torch.add, sums, 0)

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
        self.check_steps()
        place, step = self.place(), 1
        while step < items.shape[-1]:
            before = torch.nn.functional.pad(items[..., :-step], (step, 0))
            items = add(items, torch.where(place > step, before, nothing))
            step *= 2
        return items

    def check_steps(self) -> None:
        """Raises where the steps that lists of one size need can't be taken, or not by all."""
        if hasattr(self.scores, "device_mesh"):
            raise NotImplementedError(
                f"{self.function}: DTensors can't be put in the order of their labels; give the "
                "local tensors of whole lists"
            )
        if is_tracing():
            raise NotImplementedError(
                f"{self.function}: torch.jit.trace would fix the number of steps, which depends on "
                "the lists; use torch.compile or torch.export"
            )

    def log_counting(self, items: Tensor) -> Tensor:
        """The logarithms of what counts, and of nothing in place of the others."""
        return items if self.mask is None else torch.where(self.mask, items, LOG_OF_NOTHING)

    def logsumexp(self, items: Tensor) -> Tensor:
        """Log Σ exp of each list's items."""
        if self.ragged is None:
            nothing = items.new_full((*items.shape[:-1], 1), LOG_OF_NOTHING)  # if there are none
            return torch.cat([items, nothing], -1).logsumexp(-1)
        most = self.ragged.full(LOG_OF_NOTHING, items.dtype)
        most = most.scatter_reduce(0, self.ragged.of_item, items.detach(), "amax")
        total = self.sum(torch.exp(items - self.to_items(most)))
        return most + torch.log(torch.where(total == 0, 1, total))

    def begins_equals(self, keys: Tensor) -> Tensor:
        """Which items of sorted lists are the first of their list or of their key."""
        differs = torch.nn.functional.pad(keys[..., 1:] != keys[..., :-1], (1, 0))
        return differs[..., : keys.shape[-1]] | (self.place() == 1)

    def dense_rank(self, keys: Tensor) -> Tensor:
        """0 for the items of the lowest key of their list, 1 for the next, ..."""
        order = self.order(keys, descending=False)
        rank = self.dense_rank_of_sorted(keys.gather(-1, order))
        return torch.zeros_like(rank).scatter(-1, order, rank)

    def dense_rank_of_sorted(self, keys: Tensor) -> Tensor:
        """The same of sorted lists."""
        rank = self.begins_equals(keys).cumsum(-1)
        return rank - torch.where(self.place() == 1, rank, 0).cummax(-1).values

    def ends_of_groups(self, keys: Tensor) -> Tensor:
        """Where equal keys of sorted lists end, and as many empty groups as make one an item."""
        group = self.begins_equals(keys).cumsum(-1)  # from 1 on
        ends = torch.nn.functional.pad(torch.zeros_like(group), (1, 0))
        return ends.scatter_add(-1, group, torch.ones_like(group)).cumsum(-1)

    def before_equals(self, keys: Tensor, up_to_each: Tensor, nothing: float) -> Tensor:
        """Of sorted lists what runs up to each item, up to the last item of a smaller key."""
        index = beside(keys, torch.arange(keys.shape[-1], device=keys.device))
        first = torch.where(self.begins_equals(keys), index, 0).cummax(-1).values
        last_before = up_to_each.gather(-1, (first - 1).clamp(min=0))
        return torch.where(first > index - self.place() + 1, last_before, nothing)

    def hard_rank(self, keys: Tensor) -> Tensor:
        """1 for the highest that counts of each list, 2, ...; equal keys share their average."""
        one = self.counting(torch.ones_like(self.scores, dtype=torch.int64))
        above, equal = self.hard_above(keys, one)
        return above + (equal + 1).to(widest_dtype(keys.device)) / 2

    def hard_above(self, keys: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What weighs above each item of its list, and what weighs beside it, itself too."""
        order = self.order(keys)
        key, weight = keys.gather(-1, order), weight.gather(-1, order)
        above = self.before_equals(key, self.running_sum(weight), 0)
        label = self.begins_equals(key).cumsum(-1) - 1
        equal = torch.zeros_like(above).scatter_add(-1, label, weight.to(above.dtype))
        place = order.expand_as(above)
        return (
            torch.zeros_like(above).scatter(-1, place, above),
            torch.zeros_like(above).scatter(-1, place, equal.gather(-1, label)),
        )

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
        if weights is None:
            return soft_rank(
                self.scores,
                strength,
                descending=True,
                normalize=False,
                mask=mask,
                offsets=self.offsets,
            )
        return self.weight_above(strength, weights, mask) - weights / 2

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
        losses = torch.where(self.has_loss, losses, 0)
        # NaN, and so the gradient of their scores; that of a temperature is left to the others.
        unknown = self.to_items(self.unknown)
        none = torch.where(unknown, self.given, 0) * torch.where(unknown, torch.nan, 0)
        losses = losses + self.sum(none) + torch.where(self.unknown, torch.nan, 0)
        if reduction == "mean":
            losses = losses.sum() / (self.has_loss | self.unknown).sum().clamp(min=1)
        elif reduction == "sum":
            losses = losses.sum()
        return losses.to(self.dtype)


def _dtype_of_amounts(labels: Tensor, precision: torch.dtype) -> torch.dtype:
    """A dtype that holds labels: integers up to 2^53, where the device has float64."""
    if labels.is_floating_point():
        return torch.promote_types(labels.dtype, precision)
    return widest_dtype(labels.device)


def log_of_sum(a: Tensor, b: Tensor) -> Tensor:
    """torch.logaddexp, whose second derivative is NaN where one of the two is nothing."""
    most = torch.maximum(a, b).detach()
    return most + torch.log(torch.exp(a - most) + torch.exp(b - most))


def _check(
    function: str,
    name: str,
    scores: Any,
    labels_name: str,
    labels: Any,
    mask: Any,
    weights: Any,
    offsets: Any,
) -> None:
    check_scores(function, name, scores)
    check_labels(function, labels_name, labels, scores, name)
    check_mask_of(function, mask, name, scores)
    if weights is not None:
        check_scores(function, "weights", weights)
        check_same_device(function, "weights", weights, name, scores)
        check_same_shape(function, "weights", weights, name, scores)
    if offsets is not None:
        check_offsets(function, offsets, name, scores)


def check_labels(
    function: str, name: str, labels: Any, scores: Tensor, scores_name: str = "scores"
) -> None:
    """Raises for what is not one number for each score."""
    check_items(function, name, labels)
    check_same_device(function, name, labels, scores_name, scores)
    check_same_shape(function, name, labels, scores_name, scores)
