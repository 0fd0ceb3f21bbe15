"""The highest of a list, softly, up to shares of what the list weighs."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rank_relax._strength import Strength, widest_dtype
from rank_relax.counts import soft_count
from rank_relax.losses._lists import Lists
from rank_relax.topk import soft_topk

# An interval is cut into 32 and the part kept that holds the threshold: 55 binary digits of it.
_PARTS, _CUTS = 32, 11


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
    share = share.to(scaled.dtype)
    level = torch.tensor(levels, dtype=scaled.dtype, device=scaled.device)
    thresholds = _found_thresholds(lists, scaled.detach(), share.detach(), level)
    # Each of Newton's steps, from the threshold itself, gives it the next derivative.
    for _ in range(2):
        thresholds = _newton_step(lists, scaled, share, level, thresholds)
    return [torch.sigmoid(scaled - lists.to_items(c)) for c in thresholds.unbind(-1)]


def _found_thresholds(lists: Lists, scaled: Tensor, share: Tensor, level: Tensor) -> Tensor:
    """The thresholds of each list, ``[..., K]``, as numbers without a derivative."""
    counted = torch.where(share > 0, scaled, 0)
    # If all scores were the highest, or the lowest, a threshold would be at this distance.
    distance = torch.logit(level)
    low = -lists.largest(-counted).unsqueeze(-1) - distance
    part = (lists.largest(counted).unsqueeze(-1) - distance - low) / _PARTS
    cut = torch.arange(1, _PARTS, device=scaled.device)
    for _ in range(_CUTS):
        points = low.unsqueeze(-1) + part.unsqueeze(-1) * cut
        weight = _weight_above(lists, scaled, share, points.flatten(-2)).reshape(points.shape)
        low = low + part * (weight > level.unsqueeze(-1)).sum(-1)
        part = part / _PARTS
    return low


def _newton_step(
    lists: Lists, scaled: Tensor, share: Tensor, level: Tensor, thresholds: Tensor
) -> Tensor:
    excess = _weight_above(lists, scaled, share, thresholds) - level
    density = _weight_above(lists, scaled, share, thresholds, order=1)
    step = excess / torch.where(density > 0, density, 1)
    # In a gap so wide that nothing changes with the threshold, rounding would carry it away.
    return thresholds + torch.where((density > 0) & (step.abs() < 1e-3), step, 0)


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
