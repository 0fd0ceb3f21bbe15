"""What a function does to its scores before the operators rank them."""

from typing import Literal

import torch
from torch import Tensor

from rank_relax._sharding import beside
from rank_relax._strength import DTYPES, Strength

Scale = Literal["std"] | None


def result_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """What the operators return for inputs of this dtype: float32 for half ones under autocast."""
    half = dtype in (torch.bfloat16, torch.float16)
    # Half first: the meta device knows nothing of autocast.
    if half and device.type != "meta" and torch.is_autocast_enabled(device.type):
        return torch.float32
    return dtype


def scaled(
    scores: Tensor, strength: Strength, scale: Scale, mask: Tensor | None
) -> tuple[Tensor, float]:
    """Scores and a plain strength whose soft ranks along the last dimension are those asked for.

    Ranks depend on α·x alone, so a strength that is a tensor moves into the scores. That keeps its
    gradient, and a compiled graph reads its present value. One that is not positive and finite
    makes NaN of every score: raising would need its value on the host.

    Scaled scores are float64: a product rounded to the scores' own dtype would move the ranks of
    near neighbours in a wide list. Where even float64 would overflow or lose the product, the list
    is as sharp, or as linear, as it gets.
    """
    tensor_strength = strength if isinstance(strength, Tensor) else None
    plain_strength = 1.0 if isinstance(strength, Tensor) else strength
    if scale is None and tensor_strength is None:
        return scores, plain_strength
    if scores.dtype not in DTYPES or scores.dim() == 0:
        return scores, plain_strength  # for the operators to refuse
    values = scores.double()
    if tensor_strength is not None:
        if tensor_strength.is_meta and not scores.is_meta:
            raise ValueError(
                f"regularization_strength is on meta and has no value, but the scores are on "
                f"{scores.device}; give it one with to_empty or torch.tensor"
            )
        tensor_strength = _valid(tensor_strength, values)
    if scores.shape[-1] > 0:
        counts = _finite_items(scores, mask)
        others = values
        values = _standardized(values, counts) if scale == "std" else _centered(values, counts)
        # Infinities keep their place, and 0·inf stays out of the strength's gradient.
        if tensor_strength is not None:
            others = torch.where(torch.isnan(tensor_strength), torch.nan, others)
            values = values * _factor(values, tensor_strength)
        values = torch.where(counts, values, others)
    elif tensor_strength is not None:
        values = values * tensor_strength  # empty, and part of the strength's graph
    return values, plain_strength


def restored(points: Tensor, scores: Tensor, strength: Strength, mask: Tensor | None) -> Tensor:
    """Points ``[..., L]`` among the scores, from those among what :func:`scaled` made of them.

    For functions of the scores' own unit: the y of α (y - centre). Infinities and NaN are what they
    are in either unit, and send nothing to the strength.
    """
    if not isinstance(strength, Tensor) or scores.shape[-1] == 0:
        return points
    values, counts = scores.double(), _finite_items(scores, mask)
    factor = _factor(_centered(values, counts), _valid(strength, values))
    finite = torch.isfinite(points)
    return torch.where(
        finite, torch.where(finite, points, 0) / factor + _centre(values, counts), points
    )


def _valid(strength: Tensor, values: Tensor) -> Tensor:
    """The strength where the values are, in their dtype; NaN if it is not positive and finite."""
    strength = beside(values, strength).to(values)
    return torch.where((strength > 0) & torch.isfinite(strength), strength, torch.nan)


def _finite_items(scores: Tensor, mask: Tensor | None) -> Tensor:
    finite = torch.isfinite(scores.detach())
    return finite & mask if mask is not None and _fits(mask, scores) else finite


def _fits(mask: Tensor, scores: Tensor) -> bool:
    """Whether the operators will take this mask; if not, they say why."""
    return mask.dtype == torch.bool and mask.shape == scores.shape and mask.device == scores.device


def _centre(values: Tensor, counts: Tensor) -> Tensor:
    """The middle of each list, as a constant; 0 where nothing counts."""
    fixed = values.detach()
    low = fixed.masked_fill(~counts, torch.inf).amin(-1, keepdim=True)
    high = fixed.masked_fill(~counts, -torch.inf).amax(-1, keepdim=True)
    return torch.where(low <= high, low / 2 + high / 2, 0)


def _centered(values: Tensor, counts: Tensor) -> Tensor:
    """Values around the middle of their list, zero where they don't count.

    A strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
    """
    return torch.where(counts, values - _centre(values, counts), 0)


def _factor(values: Tensor, strength: Tensor) -> Tensor:
    """The strength, such that the largest product stays within float64's range."""
    largest = values.detach().abs().amax(-1, keepdim=True)
    largest = largest.masked_fill(largest == 0, 1)
    return (largest * strength).clamp(1e-290, 1e290) / largest


def _standardized(values: Tensor, counts: Tensor) -> Tensor:
    """Centred values divided by the population standard deviation of those that count."""
    values = _centered(values, counts)
    largest = values.detach().abs().amax(-1, keepdim=True)
    # Within [-1, 1], so that no square overflows or vanishes.
    values = values / largest.masked_fill(largest == 0, 1)
    number = counts.sum(-1, keepdim=True).clamp(min=1)
    values = torch.where(counts, values - values.sum(-1, keepdim=True) / number, 0)
    variance = (values * values).sum(-1, keepdim=True) / number
    return values / variance.masked_fill(variance == 0, 1).sqrt()
