"""The highest of a list, softly, up to shares of what the list weighs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists
from rank_relax.topk import soft_topk

# An interval is cut into 32 and the part kept that holds the threshold: nine times in units of the
# logarithm of its size, so that a score far away costs it no digit, and then four times in its own.
_PARTS, _CUTS_OF_LOGARITHM, _CUTS = 32, 9, 4


def among_first(lists: Lists, strength: Strength, k: int) -> Tensor:
    """How far each item is among the first k of its list, or among all if there are fewer."""
    number = torch.full((), k, device=lists.scores.device)
    return soft_topk(lists.scores, number, strength, mask=lists.mask, offsets=lists.offsets)


def soft_selections(
    lists: Lists, scaled: Tensor, share: Tensor, levels: Sequence[float]
) -> list[Tensor]:
    """How far each item is among the highest, F(s_i - c), where Σ_i w_i F(s_i - c) is the level.

    That is a soft top-k mask of items that weigh w, with Σ w = 1 in every list, and F the logistic
    function. One for each level in (0, 1).
    """
    scaled = scaled.to(widest_dtype(scaled.device))
    thresholds = soft_thresholds(lists, scaled, share, levels)
    return [torch.sigmoid(scaled - lists.to_items(c)) for c in thresholds.unbind(-1)]


def soft_thresholds(lists: Lists, scaled: Tensor, share: Tensor, levels: Sequence[float]) -> Tensor:
    """The thresholds of these selections, ``[..., K]``, in the widest precision of the device."""
    scaled = scaled.to(widest_dtype(scaled.device))
    share = share.to(scaled.dtype)
    level = torch.tensor(levels, dtype=scaled.dtype, device=scaled.device)
    thresholds = _found_thresholds(lists, scaled.detach(), share.detach(), level)
    # Each of Newton's steps, from the threshold itself, gives it the next derivative.
    for _ in range(2):
        thresholds = _newton_step(lists, scaled, share, level, thresholds)
    return thresholds


def _found_thresholds(lists: Lists, scaled: Tensor, share: Tensor, level: Tensor) -> Tensor:
    """The thresholds of each list, ``[..., K]``, as numbers without a derivative.

    In a gap where all of it would do the middle, from both of its ends.
    """
    rounded = torch.minimum(level, 1 - level).div(2).clamp(max=100 * torch.finfo(level.dtype).eps)
    both = _where_it_falls_to(lists, scaled, share, torch.cat([level - rounded, level + rounded]))
    upper, lower = both.chunk(2, -1)
    return (upper + lower) / 2


def _where_it_falls_to(lists: Lists, scaled: Tensor, share: Tensor, level: Tensor) -> Tensor:
    """Where what is above falls to each level."""
    counted = torch.where(share > 0, scaled, 0)
    # If all scores were the highest, or the lowest, a threshold would be at this distance.
    distance = torch.logit(level)
    low = -lists.largest(-counted).unsqueeze(-1) - distance
    high = lists.largest(counted).unsqueeze(-1) - distance

    def narrowed(low: Tensor, high: Tensor, cuts: int, in_logarithms: bool) -> tuple[Tensor, ...]:
        part = (high - low) / _PARTS
        cut = torch.arange(1, _PARTS, device=scaled.device)
        for _ in range(cuts):
            points = low.unsqueeze(-1) + part.unsqueeze(-1) * cut
            places = _of_logarithm(points) if in_logarithms else points
            weight = _weight_above(lists, scaled, share, places.flatten(-2)).reshape(points.shape)
            low = low + part * (weight > level.unsqueeze(-1)).sum(-1)
            part = part / _PARTS
        return low, low + part * _PARTS

    low, high = narrowed(_logarithm(low), _logarithm(high), _CUTS_OF_LOGARITHM, True)
    low, high = _of_logarithm(low), _of_logarithm(high)
    rounded = 1e-12 * (1 + torch.maximum(low.abs(), high.abs()))
    return narrowed(low - rounded, high + rounded, _CUTS, False)[0]


def _logarithm(x: Tensor) -> Tensor:
    """The logarithm of the size of a number that may have any sign."""
    return x.sign() * torch.log1p(x.abs())


def _of_logarithm(x: Tensor) -> Tensor:
    """The number of this logarithm."""
    return x.sign() * torch.expm1(x.abs())


def _newton_step(
    lists: Lists, scaled: Tensor, share: Tensor, level: Tensor, thresholds: Tensor
) -> Tensor:
    excess = _weight_above(lists, scaled, share, thresholds) - level
    density = _weight_above(lists, scaled, share, thresholds, order=1)
    changes = density > 1e-30
    step = excess / torch.where(changes, density, 1)
    # In a gap so wide that nothing changes with the threshold, rounding would carry it away.
    return thresholds + torch.where(changes & (step.abs() < 1e-3), step, 0)


def _weight_above(
    lists: Lists, scaled: Tensor, share: Tensor, points: Tensor, order: int = 0
) -> Tensor:
    """Σ_i w_i F(s_i - t) at points t ``[..., m]``, m a list; its density in s_i for order 1."""
    if lists.offsets is None:
        return soft_count(-points, -scaled, share, order=order)
    ends = torch.arange(points.shape[0] + 1, device=points.device) * points.shape[-1]
    counts = soft_count(
        -points.flatten(),
        -scaled,
        share,
        order=order,
        offsets=lists.offsets,
        point_offsets=ends,
    )
    return counts.reshape(points.shape)
