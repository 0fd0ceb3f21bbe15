"""The lists that a loss is about: rows of a batch, or one behind the other in one row.

A loss is written once, in what a list can be asked for here.
"""

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
from rank_relax._scores import result_dtype
from rank_relax._strength import DTYPES, Strength, name_of, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.ranks import soft_rank


class Lists:
    """Scores ``[..., n]``, or ``[N]`` with ``offsets``, their labels, and what each item weighs.

    What doesn't count has score 0, label 0 and weight 0, whatever it was given.
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
    ) -> None:
        _check(function, scores, labels, mask, weights, offsets)
        self.dtype = result_dtype(scores.dtype, scores.device)
        self.mask = mask
        self.offsets = offsets
        precision = torch.promote_types(scores.dtype, torch.float32)
        self.scores = self.counting(scores.to(precision))
        self.labels = self.counting(labels.to(precision))
        self.weights = None if weights is None else self.counting(weights.to(precision))
        if offsets is not None:
            # Of offsets that do not end with the items, soft_count has more to say.
            item = torch.arange(scores.shape[-1], device=scores.device)
            of_item = torch.searchsorted(offsets[1:].contiguous(), item, right=True)
            self.of_item = of_item.clamp(max=offsets.shape[0] - 2)

    def counting(self, items: Tensor) -> Tensor:
        """The items that count, 0 in place of the others."""
        return items if self.mask is None else torch.where(self.mask, items, 0)

    def weighted(self, items: Tensor) -> Tensor:
        """What the items that count weigh together with a factor of each."""
        return self.counting(items if self.weights is None else items * self.weights)

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

    def order(self, keys: Tensor) -> Tensor:
        """Where the items are that come first, second, ... by falling key, list by list."""
        order = torch.argsort(keys, dim=-1, descending=True, stable=True)
        if self.offsets is not None:
            order = order[torch.argsort(self.of_item[order], stable=True)]
        return order

    def place(self) -> Tensor:
        """1, 2, ... within each list."""
        item = torch.arange(self.scores.shape[-1], device=self.scores.device)
        return 1 + (item if self.offsets is None else item - self.offsets[self.of_item])

    def running_sum(self, items: Tensor) -> Tensor:
        """The sum of a list's items up to each, in the widest precision of the device."""
        sums = items.to(widest_dtype(items.device))
        if self.offsets is None:
            return sums.cumsum(-1)
        # By doubling, in O(n log n): the difference of two sums over everything would bring what
        # one list is rounded to, or its NaN, into the next.
        place, step = self.place(), 1
        while step < items.shape[-1]:
            before = torch.nn.functional.pad(sums[..., :-step], (step, 0))
            sums = sums + torch.where(place > step, before, 0)
            step *= 2
        return sums

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
        return soft_count(
            -self.scores,
            -self.scores,
            weights,
            strength,
            mask=mask,
            order=order,
            offsets=self.offsets,
        )

    def reduced(self, losses: Tensor, has_loss: Tensor, reduction: str) -> Tensor:
        """One loss a list, their sum or mean; those that have none are 0 and in no mean."""
        losses = torch.where(has_loss, losses, 0)
        if reduction == "mean":
            losses = losses.sum() / has_loss.sum().clamp(min=1)
        elif reduction == "sum":
            losses = losses.sum()
        return losses.to(self.dtype)

    def _one_a_list(self, value: float, dtype: torch.dtype) -> Tensor:
        assert self.offsets is not None
        lists = self.offsets.shape[0] - 1
        return torch.full((lists,), value, dtype=dtype, device=self.scores.device)


def _check(function: str, scores: Any, labels: Any, mask: Any, weights: Any, offsets: Any) -> None:
    check_scores(function, "scores", scores)
    check_items(function, "labels", labels)
    check_same_device(function, "labels", labels, "scores", scores)
    check_same_shape(function, "labels", labels, "scores", scores)
    check_mask_of(function, mask, "scores", scores)
    if weights is not None:
        check_tensor(function, "weights", weights)
        if weights.dtype not in DTYPES:
            raise TypeError(
                f"{function}: weights must be float64, float32, bfloat16 or float16, got "
                f"{name_of(weights.dtype)}; convert it, with weights.float() for example"
            )
        check_same_device(function, "weights", weights, "scores", scores)
        check_same_shape(function, "weights", weights, "scores", scores)
    if offsets is not None:
        _check_offsets(function, scores, offsets)


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
