"""Pairs weighted by what their exchange would change of a list's gain."""

import math
from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import Reduction, check_choice, check_reduction
from rank_relax._strength import NUMBERS, Strength, as_float, checked_temperature, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists
from rank_relax.losses._module import RankingLoss
from rank_relax.losses._options import check_k
from rank_relax.losses._ordered_pairs import OrderedPairs
from rank_relax.losses.ndcg import Gain, gains_of

Scheme = Literal["lambdarank", "ndcg2", "ndcg2++"]

# Pairs whose places differ only below this bit are taken from a table [..., 2^5, n].
BIT_OF_A_BLOCK = 5


@public
def lambda_loss(
    scores: Tensor,
    labels: Tensor,
    *,
    scheme: Scheme = "lambdarank",
    k: int | None = None,
    gain: Gain = "exp2",
    mu: float = 10.0,
    mask: Tensor | None = None,
    weights: Tensor | None = None,
    offsets: Tensor | None = None,
    temperature: Strength = 1.0,
    reduction: Reduction = "mean",
) -> Tensor:
    r"""The logistic loss of ordered pairs, weighted by what NDCG would change (LambdaRank).

    .. math:: L = \frac{1}{Z} \sum_{y_i > y_j} (g_i - g_j) \, \Delta_{ij}
        \log\bigl(1 + e^{-(s_i - s_j) / T}\bigr)

    with g the gains, Z the discounted gain of the best order, and for the places r of the scores,
    through which no gradient passes, and D(r) = 1/log₂(1 + r):

    - ``"lambdarank"``: :math:`\Delta_{ij} = |D(r_i) - D(r_j)|`
    - ``"ndcg2"``: :math:`\Delta_{ij} = D(|r_i - r_j|) - D(|r_i - r_j| + 1)`
    - ``"ndcg2++"``: μ times that of ``"ndcg2"``, and that of ``"lambdarank"``

    Args:
        scores: ``[..., n]``, or ``[N]`` with ``offsets``: float64, float32, bfloat16 or float16.
        labels: Relevance, from 0 up, of the shape of ``scores`` and any real dtype.
        scheme: ``"lambdarank"``, ``"ndcg2"`` or ``"ndcg2++"``.
        k: Only pairs with at least one of the first k places, in O(n k) time and memory, and the
            best order of k. Without it, for ``"lambdarank"`` alone, in O(n log² n) time on the
            CPU, for lists of n items, and O(n log n) memory; elsewhere in time over all pairs.
        gain: ``"exp2"``, :math:`2^y - 1`; ``"linear"``, y; or a function of the labels, rising with
            them, with values from 0 up.
        mu: The μ of ``"ndcg2++"``, from 0 up.
        mask: Bool, of the shape of ``scores``, true where an item counts.
        weights: Of either item, from 0 up, of the shape of ``scores``: a pair has the product.
            Places and the best order are those of all items that the mask lets count.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N.
        temperature: T > 0, in units of the scores; 1/T is the σ of LambdaRank. A 0-dim tensor makes
            it learnable.
        reduction: ``"mean"`` or ``"sum"`` over lists, or ``"none"`` for one loss per list.

    Returns:
        A scalar, or ``[...]`` or ``[L]`` for ``reduction="none"``, of the dtype of ``scores``. A
        list in which all labels are equal has loss 0, gradient 0 and no part in the mean. Equal
        scores have their places in the order in which they are given.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or shape that is not listed here.

    References:
        Burges, "From RankNet to LambdaRank to LambdaMART: an overview", 2010. Wang, Li, Golbandi,
        Bendersky, Najork, "The LambdaLoss framework for ranking metric optimization", 2018.

    Example:
        >>> import torch, rank_relax
        >>> scores, labels = torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2])
        >>> rank_relax.lambda_loss(scores, labels)
        tensor(0.2638)
        >>> rank_relax.lambda_loss(scores, labels, scheme="ndcg2++", k=1)
        tensor(1.8555)
    """
    strength = checked_temperature("lambda_loss", temperature)
    check_lambda_options("lambda_loss", scheme, k, gain, mu, reduction)
    lists = Lists("lambda_loss", scores, labels, mask=mask, weights=weights, offsets=offsets)
    lists.check_steps()
    gains = lists.counting(gains_of(lists, gain))
    best = gains.gather(-1, lists.order(gains)) * _discount(lists.place().to(gains.dtype))
    most = lists.sum(best if k is None else torch.where(lists.place() <= k, best, 0))
    least, _ = lists.ends(-gains, lists.counts())  # of which only differences are asked for
    gains = gains + lists.to_items(torch.where(least.isfinite(), least, 0))
    share, _ = lists.shares(torch.ones_like(lists.scores))
    has_pairs = (OrderedPairs(lists).weight(share, share) > 0) & (most > 0)
    lists.leave_out_unless(has_pairs)
    pairs = _Placed(lists, gains / lists.to_items(torch.where(has_pairs, most, 1)), strength)
    if k is not None:
        losses = pairs.with_the_first(min(k, scores.shape[-1]), scheme, mu)
    else:
        losses = pairs.in_blocks() + pairs.across_blocks()
    return lists.reduced(losses, reduction)


def check_lambda_options(
    function: str, scheme: object, k: object, gain: object, mu: object, reduction: object
) -> None:
    """Raises for what the loss cannot do, whatever its tensors are."""
    check_choice(function, "scheme", scheme, ("lambdarank", "ndcg2", "ndcg2++"))
    check_k(function, k)
    if k is None and scheme != "lambdarank":
        raise ValueError(
            f"{function}: scheme={scheme!r} has no form without all pairs, so it must have a k; "
            "pass k, the largest length of a list for all of them"
        )
    if not callable(gain):
        check_choice(function, "gain", gain, ("exp2", "linear"))
    if isinstance(mu, bool) or not isinstance(mu, NUMBERS):
        raise TypeError(f"{function}: mu must be a number, got {mu!r}")
    if not 0 <= as_float(mu) < math.inf:
        raise ValueError(f"{function}: mu must be finite and from 0 up, got {mu}")
    check_reduction(function, reduction)


def _discount(place: Tensor) -> Tensor:
    return torch.log2(1 + place).reciprocal()


class _Placed:
    """The items of each list by their places, which are those of their scores."""

    def __init__(self, lists: Lists, gains: Tensor, strength: Strength) -> None:
        self.lists = lists
        self.strength = strength
        keys = lists.scores.detach()
        if lists.mask is not None:
            keys = torch.where(lists.mask, keys, -torch.inf)  # they have the last places
        order = lists.order(keys)
        weight = lists.weighted(torch.ones_like(lists.scores))
        self.scores, self.scaled, self.key, self.gain, self.weight = (
            items.gather(-1, order)
            for items in (lists.scores, lists.subtracted(strength), lists.keys, gains, weight)
        )
        self.index = torch.arange(keys.shape[-1], device=keys.device)
        self.place = lists.place() - 1  # 0, 1, ...
        self.begin = self.index - self.place

    def with_the_first(self, k: int, scheme: Scheme, mu: float) -> Tensor:
        """The sum over the pairs of one of the first k items and one after it."""
        return self._sum_of_table(self.begin, k, scheme, mu)

    def in_blocks(self) -> Tensor:
        """LambdaRank's sum over the pairs of which the higher bits of the places are equal."""
        size = 1 << BIT_OF_A_BLOCK
        first = self.begin + (self.place >> BIT_OF_A_BLOCK << BIT_OF_A_BLOCK)
        return self._sum_of_table(first, min(size, self.index.shape[0]), "lambdarank", 0.0)

    def _sum_of_table(self, first: Tensor, size: int, scheme: Scheme, mu: float) -> Tensor:
        """The sum over the pairs of each item with those before it among so many from `first`."""
        before = first + torch.arange(size, device=first.device).unsqueeze(-1)
        # An item makes no pair with itself, as its label is equal.
        before = torch.minimum(before, self.index)
        scaled, key, gain, weight, place = (
            self._pairs(items, before)
            for items in (self.scaled, self.key, self.gain, self.weight, self.place)
        )
        is_upper, is_lower = (key[0] > key[1]), (key[0] < key[1])
        sign = is_upper.to(gain[0].dtype) - is_lower.to(gain[0].dtype)
        loss = -torch.nn.functional.logsigmoid(sign * (scaled[0] - scaled[1]))
        delta = _delta(place[0].to(loss.dtype), place[1].to(loss.dtype), scheme, mu)
        factor = weight[0] * weight[1] * sign * (gain[0] - gain[1]) * delta
        return self.lists.sum((factor * loss).sum(-2))

    @staticmethod
    def _pairs(items: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        items = items.unsqueeze(-2)
        shape = (*items.shape[:-2], *before.shape)
        return items.expand(shape).gather(-1, before.expand(shape)), items

    def across_blocks(self) -> Tensor:
        """LambdaRank's sum over the other pairs.

        The places of two such items have a highest bit in which they differ. For each bit the pairs
        lie in groups, those of equal higher bits, one item in either half of the group, and the
        place m between the halves makes a sum of the difference of discounts:

            |D_i - D_j| = e_i + e_j,  e = |D - D_m|

        with which a pair is made of four weighted counts of items of lower labels.
        """
        wide = widest_dtype(self.gain.device)  # as gains are subtracted
        total = self.gain.new_zeros(())
        for bit in _bits(number_of_places(self.lists, self.place), BIT_OF_A_BLOCK):
            between = (self.place >> bit << bit | 1 << bit) + 1
            places = torch.stack([between, self.place + 1]).to(wide)
            off = _discount(places).diff(dim=0).squeeze(0).abs()
            is_after = (self.place >> bit & 1).bool()
            ends = self.lists.ends_of_groups(self.place >> (bit + 1))
            of_lower = [torch.where(half, self.weight, 0) for half in (is_after, ~is_after)]
            counts = [self._counts_of_lower(weight.to(wide), off, ends) for weight in of_lower]
            total = total + torch.where(is_after, counts[1], counts[0])
        return self.lists.sum(self.weight * total) * self.strength

    def _counts_of_lower(self, weight: Tensor, off: Tensor, ends: Tensor) -> Tensor:
        """Σ_j w_j (g_i - g_j) (e_i + e_j) H over the j of lower labels, in lists that end there."""
        gain = self.gain.to(weight.dtype)
        sets = torch.stack([weight, weight * off, weight * gain, weight * gain * off], -2)
        scores = -self.scores.to(weight.dtype)
        own, of_off, of_gain, of_both = soft_count(
            scores,
            scores,
            sets,
            self.strength,
            order=-1,
            offsets=ends.expand(*scores.shape[:-1], -1),
            keys=self.key,
        ).unbind(-2)
        return gain * (off * own + of_off) - (off * of_gain + of_both)


def _delta(before: Tensor, after: Tensor, scheme: Scheme, mu: float) -> Tensor:
    """What the places 0, 1, ... of two items make of the difference of their gains."""
    lambdarank = _discount(before + 1) - _discount(after + 1)
    if scheme == "lambdarank":
        return lambdarank
    apart = (after - before).clamp(min=1)
    ndcg2 = _discount(apart) - _discount(apart + 1)
    return ndcg2 if scheme == "ndcg2" else mu * ndcg2 + lambdarank


def number_of_places(lists: Lists, place: Tensor) -> int:
    """How many the longest list has: no more than there are items, where it can't be asked."""
    known = lists.offsets is not None and not (
        torch.compiler.is_compiling()
        or place.is_meta
        or place.numel() == 0
        or type(place) is not Tensor  # fake ones above all
        or torch._C._len_torch_dispatch_stack() > 0  # something records what is done
        or torch._C._functorch.is_functorch_wrapped_tensor(place)
    )
    return int(place.max()) + 1 if known else place.shape[-1]


def _bits(number: int, first: int) -> Iterator[int]:
    """The bits that so many places 0, 1, ... may have, from one on."""
    bit = first
    while 1 << bit < number:
        yield bit
        bit += 1


class LambdaLoss(RankingLoss):
    """The logistic loss of ordered pairs, weighted by what NDCG would change, as a module.

    Args:
        scheme: ``"lambdarank"``, ``"ndcg2"`` or ``"ndcg2++"``, as in :func:`lambda_loss`, like all
            that follow.
        k: Only pairs with at least one of the first k places; None for ``"lambdarank"`` alone.
        gain: ``"exp2"``, ``"linear"`` or a function of the labels.
        mu: The μ of ``"ndcg2++"``.
        temperature: A ``nn.Parameter`` is learnt; another 0-dim tensor becomes a buffer.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    Shapes:
        ``scores``, ``labels``, ``mask`` and ``weights`` of one shape; returns a scalar, or one loss
        a list for ``reduction="none"``.

    Raises:
        TypeError, ValueError: for an option that :func:`lambda_loss` would refuse; when called, as
            it does.

    References:
        Those of :func:`lambda_loss`.

    Example:
        >>> import torch, rank_relax
        >>> loss = rank_relax.LambdaLoss(k=2, gain="linear")
        >>> loss(torch.tensor([0.3, 0.1, 0.9]), torch.tensor([1, 0, 2]))
        tensor(0.2322)
    """

    function = staticmethod(lambda_loss)

    def __init__(
        self,
        *,
        scheme: Scheme = "lambdarank",
        k: int | None = None,
        gain: Gain = "exp2",
        mu: float = 10.0,
        temperature: Strength = 1.0,
        reduction: Reduction = "mean",
    ) -> None:
        check_lambda_options("LambdaLoss", scheme, k, gain, mu, reduction)
        super().__init__(temperature, scheme=scheme, k=k, gain=gain, mu=mu, reduction=reduction)
