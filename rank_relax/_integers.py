"""Integer targets as scores, none of which is rounded before it is compared."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor

from rank_relax._float64 import has_float64, on_the_host
from rank_relax._group import gather
from rank_relax._scores import Scale
from rank_relax._strength import Strength


def is_integer(dtype: torch.dtype) -> bool:
    """Whether items of this dtype are integers or bools."""
    return not (dtype.is_floating_point or dtype.is_complex)


def integer_scores(
    integers: Tensor, strength: Strength, scale: Scale, method: str, mask: Tensor | None
) -> Tensor:
    """The integers as float64 scores in their own unit, for what a strength or a scale does next.

    What float64 cannot tell apart are neighbours in a list wider than 2^53. The operator takes
    differences as integers and cuts down the gaps that are beyond a method's reach at a strength.
    For a scale all differences stay as they are: beside a standard deviation of that size
    neighbours are ties at any strength below 1e12.
    """
    if integers.dim() == 0 or integers.shape[-1] == 0 or not fits(mask, integers):
        return integers.double()  # empty, or for the operator to refuse
    sharpness = torch.zeros_like(integers[..., :1], dtype=torch.float64)
    if scale is None and isinstance(strength, Tensor):
        value = strength.detach().to(sharpness)
        sharpness = sharpness + torch.where((value > 0) & torch.isfinite(value), value, torch.nan)
    scores: Tensor = torch.ops.rank_relax._integer_scores.default(integers, sharpness, method, mask)
    return scores


def standardized_ranks(
    integers: Tensor, strength: float, method: str, mask: Tensor | None
) -> Tensor:
    """Their soft ranks less ½, in units of the standard deviation that they have as they are.

    float64; from a device that has none, float32, and computed on the host.
    """
    if not has_float64(integers.device):
        there = standardized_ranks(on_the_host(integers), strength, method, on_the_host(mask))
        return there.float().to(integers.device)
    differences = integer_scores(integers, 1.0, "std", method, mask)
    largest = differences.amax(-1, keepdim=True)
    scaled = differences / largest.masked_fill(largest == 0, 1)
    counts = torch.ones_like(integers, dtype=torch.bool) if mask is None else mask
    number = counts.sum(-1, keepdim=True).clamp(min=1)
    mean = torch.where(counts, scaled, 0).sum(-1, keepdim=True) / number
    variance = torch.where(counts, scaled - mean, 0).square().sum(-1, keepdim=True) / number
    deviation = variance.sqrt() * largest
    sharpness = strength / deviation.masked_fill(deviation == 0, 1)
    scores = torch.ops.rank_relax._integer_scores.default(integers, sharpness, method, mask)
    ranks: Tensor = torch.ops.rank_relax._soft_rank_derivative.default(
        [], scores * sharpness, 1.0, method, mask
    )
    return ranks


def fits(mask: Tensor | None, scores: Tensor) -> bool:
    """Whether the operators will take this mask; if not, they say why."""
    return mask is None or (
        mask.dtype == torch.bool and mask.shape == scores.shape and mask.device == scores.device
    )


def in_int64(integers: Tensor) -> Tensor:
    """Integers of any width in their order: those of uint64 are shifted by 2^63."""
    lowest = torch.iinfo(torch.int64).min
    return integers.to(torch.int64) ^ (lowest if integers.dtype == torch.uint64 else 0)


def split_integers(
    integers: Tensor, mask: Tensor | None, group: dist.ProcessGroup | None
) -> Tensor:
    """This process's part of lists of integers as float64 differences from the lists' minima.

    Exact where a list's range is within 2^53, as nothing passes between processes but the minima.
    """
    highest = torch.iinfo(torch.int64).max
    items = in_int64(integers)  # differences wrap around to what they are
    counted = items if mask is None else torch.where(mask, items, highest)
    largest = items.new_full((*items.shape[:-1], 1), highest)
    own_minimum = torch.cat([counted, largest], -1).amin(-1, keepdim=True)
    minimum = torch.stack(gather(own_minimum, group)).amin(0)
    differences = items - minimum
    unsigned = differences.double() + torch.where(differences < 0, 2.0**64, 0.0)
    return unsigned if mask is None else torch.where(mask, unsigned, 0.0)
