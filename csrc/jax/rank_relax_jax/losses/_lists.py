"""The lists that a loss is about, along the last dimension.

A loss is written once, in what a list can be asked for here.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax._checks import (
    Strength,
    check_same_shape,
    checked_items,
    checked_mask,
    checked_scores,
    widest_dtype,
)
from rank_relax_jax._kernel import sharded_alike
from rank_relax_jax.counts import in_dtype_of_keys, soft_count
from rank_relax_jax.ranks import soft_rank
from rank_relax_jax.topk import soft_topk

# Below every logarithm, and a difference of two is still finite: the gradient of -inf would be NaN.
LOG_OF_NOTHING = -1e37


class Lists:
    """Scores ``[..., n]``, their labels, and what each item weighs.

    Labels are `amounts`, floating numbers, and `keys`, which have their order, exactly. What
    doesn't count has 0 for each, whatever it was given. A list with an item of which anything is
    NaN has the loss NaN.
    """

    def __init__(
        self,
        function: str,
        scores: Array,
        labels: Array,
        *,
        mask: Array | None,
        weights: Array | None,
    ) -> None:
        given = checked_scores(function, "scores", scores)
        of_items = checked_items(function, "labels", labels)
        check_same_shape(function, "labels", of_items, "scores", given)
        mask = checked_mask(function, mask, "scores", given)
        self.dtype = given.dtype
        precision = jnp.promote_types(given.dtype, jnp.float32)
        if weights is not None:
            weights = checked_scores(function, "weights", weights)
            check_same_shape(function, "weights", weights, "scores", given)
            precision = jnp.promote_types(precision, weights.dtype)
        there = [each for each in (given, of_items, mask, weights) if each is not None]
        alike = iter(sharded_alike(there, given.ndim - 1))
        given, of_items = next(alike), next(alike)
        self.mask = None if mask is None else next(alike)
        weights = None if weights is None else next(alike)
        self.given = given.astype(precision)
        self.scores = self.counting(self.given)
        self.amounts = self.counting(of_items.astype(_dtype_of_amounts(of_items, precision)))
        self.keys = self.counting(stop_gradient(in_dtype_of_keys(of_items)))
        unknown = jnp.isnan(self.scores) | jnp.isnan(self.amounts)
        self.weights: Array | None = None
        if weights is not None:
            self.weights = self.counting(weights.astype(precision))
            unknown = unknown | ~jnp.isfinite(self.weights)
        self.unknown = unknown.any(-1)

    def subtracted(self, strength: Strength) -> Array:
        """The scaled scores, whose differences are the loss; NaN where one is infinite."""
        self.refuse_infinite()
        return self.scaled(strength)

    def scaled(self, strength: Strength) -> Array:
        """The scores from the middle of their list, in units of the temperature."""
        finite = jnp.isfinite(self.scores)
        scores = jnp.where(finite, self.scores, 0)
        middle = self.to_items(self._middle(stop_gradient(scores)))
        return jnp.where(finite, self.counting(scores - middle) * strength, self.scores)

    def refuse_infinite(self) -> None:
        """Makes NaN of lists with an infinite score, whose differences would be."""
        finite = jnp.isfinite(self.scores)
        self.unknown = self.unknown | (~finite).any(-1)
        self.scores = jnp.where(finite, self.scores, 0)

    def _middle(self, scores: Array) -> Array:
        """Half way between the largest and the smallest that count, 0 where nothing does."""
        counts = jnp.ones_like(scores, dtype=bool) if self.mask is None else self.mask
        high = jnp.where(counts, scores, -jnp.inf).max(-1, initial=-jnp.inf)
        low = jnp.where(counts, scores, jnp.inf).min(-1, initial=jnp.inf)
        return jnp.where(high >= low, high / 2 + low / 2, 0)

    def leave_out_unless(self, has_loss: Array) -> None:
        """Gives lists without a loss scores whose loss is finite, so that their gradient is 0."""
        self.has_loss = has_loss
        self.scores = jnp.where(self.to_items(has_loss & ~self.unknown), self.scores, 0)

    def counting(self, items: Array) -> Array:
        """The items that count, 0 in place of the others."""
        return items if self.mask is None else jnp.where(self.mask, items, 0)

    def weighted(self, items: Array) -> Array:
        """What the items that count weigh together with a factor of each."""
        return self.counting(items if self.weights is None else items * self.weights)

    def shares(self, items: Array) -> tuple[Array, Array]:
        """What each item weighs of its list, and what the list weighs."""
        weight = self.weighted(items).astype(widest_dtype())
        total = weight.sum(-1)
        share = weight / self.to_items(jnp.where(total > 0, total, 1))
        return share.astype(items.dtype), total

    def largest(self, items: Array) -> Array:
        """The largest item of each list that is above 0, or 0."""
        return items.max(-1, initial=0)

    def to_items(self, one_a_list: Array) -> Array:
        """The number of its list for each item."""
        return one_a_list[..., None]

    def order(self, keys: Array, descending: bool = True) -> Array:
        """Where the items are that come first, second, ... by their keys."""
        return jnp.argsort(stop_gradient(keys), axis=-1, descending=descending, stable=True)

    def place(self) -> Array:
        """1, 2, ... within each list."""
        return 1 + jnp.arange(self.scores.shape[-1])

    def before(self, items: Array) -> Array:
        """The item before each, 0 before the first of a list."""
        return jnp.concatenate([jnp.zeros_like(items[..., :1]), items[..., :-1]], -1)

    def running_sum(self, items: Array) -> Array:
        """The sum of a list's items up to each, in the widest precision."""
        if not jnp.issubdtype(items.dtype, jnp.floating):
            return items.astype(jnp.int32).cumsum(-1)
        return items.astype(widest_dtype()).cumsum(-1)

    def running_logsumexp(self, items: Array) -> Array:
        """Log Σ exp of a list's items up to each, in the widest precision."""
        if items.shape[-1] == 0:
            return items.astype(widest_dtype())
        return jax.lax.associative_scan(  # type: ignore[no-any-return]
            log_of_sum, items.astype(widest_dtype()), axis=items.ndim - 1
        )

    def log_counting(self, items: Array) -> Array:
        """The logarithms of what counts, and of nothing in place of the others."""
        return items if self.mask is None else jnp.where(self.mask, items, LOG_OF_NOTHING)

    def logsumexp(self, items: Array) -> Array:
        """Log Σ exp of each list's items."""
        one_more = [(0, 0)] * (items.ndim - 1) + [(0, 1)]  # if there are none
        padded = jnp.pad(items, one_more, constant_values=LOG_OF_NOTHING)
        return jax.nn.logsumexp(padded, axis=-1)

    def begins_equals(self, keys: Array) -> Array:
        """Which items of sorted lists are the first of their list or of their key."""
        first = jnp.ones_like(keys[..., :1], dtype=bool)
        return jnp.concatenate([first, keys[..., 1:] != keys[..., :-1]], -1)

    def before_equals(self, keys: Array, up_to_each: Array, nothing: float) -> Array:
        """Of sorted lists what runs up to each item, up to the last item of a smaller key."""
        index = jnp.broadcast_to(jnp.arange(keys.shape[-1]), keys.shape)
        first = jax.lax.cummax(jnp.where(self.begins_equals(keys), index, 0), axis=keys.ndim - 1)
        last_before = jnp.take_along_axis(up_to_each, jnp.maximum(first - 1, 0), -1)
        return jnp.where(first > 0, last_before, nothing)

    def hard_rank(self, keys: Array) -> Array:
        """1 for the highest that counts of each list, 2, ...; equal keys share their average."""
        counts = jnp.ones_like(self.scores, dtype=jnp.int32)
        counts = self.counting(counts)
        order = self.order(keys)
        key = jnp.take_along_axis(keys, order, -1)
        one = jnp.take_along_axis(counts, order, -1)
        above = self.before_equals(key, self.running_sum(one), 0)
        of_equals = sum_of_equals(self.begins_equals(key), one)
        rank = above + (of_equals + 1).astype(widest_dtype()) / 2
        return jnp.take_along_axis(rank, jnp.argsort(order, axis=-1), -1)

    def above(
        self, strength: Strength, among: Array | None = None, *, weighted: bool = False
    ) -> Array:
        """How many others are above each item, softly, or what they weigh.

        `among` asks for those alone that it holds, and only they need know.
        """
        mask = self.mask
        if among is not None:
            mask = among if mask is None else mask & among
        weights = self.weights if weighted else None
        if weights is None:
            return soft_rank(
                self.scores, strength, descending=True, normalize=False, mask=mask
            ).astype(self.scores.dtype)
        return self.weight_above(strength, weights, mask) - weights / 2

    def first(self, k: int) -> int:
        """A number of places that counts as many as k, and is no larger than it need be."""
        return min(int(k), self.scores.shape[-1] + 1)

    def among_first(self, strength: Strength, k: int) -> Array:
        """How far each item is among the first k of its list, or among all if there are fewer."""
        number = jnp.asarray(self.first(k))
        chosen = soft_topk(self.scores, number, strength, mask=self.mask)
        return chosen.astype(self.scores.dtype)

    def weight_above(
        self, strength: Strength, weights: Array | None, mask: Array | None, order: int = 0
    ) -> Array:
        """Σ_j w_j K(α (s_j - s_i)) of the items j of the mask, the item itself too."""
        negated = -self.scores
        return soft_count(negated, negated, weights, strength, mask=mask, order=order)

    def reduced(self, losses: Array, reduction: str) -> Array:
        """One loss a list, their sum or mean; those that have none are 0 and in no mean."""
        losses = jnp.where(self.has_loss, losses, 0)
        # NaN, and so the gradient of their scores; that of a temperature is left to the others.
        unknown = self.to_items(self.unknown)
        none = jnp.where(unknown, self.given, 0) * jnp.where(unknown, jnp.nan, 0)
        losses = losses + none.sum(-1) + jnp.where(self.unknown, jnp.nan, 0)
        if reduction == "mean":
            losses = losses.sum() / jnp.maximum((self.has_loss | self.unknown).sum(), 1)
        elif reduction == "sum":
            losses = losses.sum()
        return losses.astype(self.dtype)


def sum_of_equals(begins: Array, items: Array) -> Array:
    """For each item of sorted lists the sum over its equals, which begin where it is said.

    Added from both ends, and not as a difference of sums over the list, which would cancel.
    """
    from_first, from_last = _from_both_ends(jnp.add, begins, items)
    return from_first + from_last - items


def largest_of_equals(begins: Array, items: Array) -> Array:
    """For each item of sorted lists the largest of its equals."""
    return jnp.maximum(*_from_both_ends(jnp.maximum, begins, items))


def _from_both_ends(
    combine: Callable[[Array, Array], Array], begins: Array, items: Array
) -> tuple[Array, Array]:
    """What the equals up to each item come to, and those from it on."""
    if items.shape[-1] == 0:
        return items, items

    def add(left: tuple[Array, Array], right: tuple[Array, Array]) -> tuple[Array, Array]:
        return left[0] | right[0], jnp.where(right[0], right[1], combine(left[1], right[1]))

    ends = jnp.concatenate([begins[..., 1:], jnp.ones_like(begins[..., :1])], -1)
    axis = items.ndim - 1
    _, up_to = jax.lax.associative_scan(add, (begins, items), axis=axis)
    _, from_on = jax.lax.associative_scan(add, (ends, items), axis=axis, reverse=True)
    return up_to, from_on


def _dtype_of_amounts(labels: Array, precision: jnp.dtype) -> jnp.dtype:
    """A dtype that holds labels: integers in the widest one."""
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return jnp.promote_types(labels.dtype, precision)
    return widest_dtype()


def log_of_sum(a: Array, b: Array) -> Array:
    """jnp.logaddexp, also for what stands for the logarithm of nothing."""
    most = stop_gradient(jnp.maximum(a, b))
    return most + jnp.log(jnp.exp(a - most) + jnp.exp(b - most))
