"""What a function does to its scores before the operators rank them."""

from typing import Literal

import torch
from torch import Tensor

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
        tensor_strength = tensor_strength.to(values)
        valid = (tensor_strength > 0) & torch.isfinite(tensor_strength)
        tensor_strength = torch.where(valid, tensor_strength, torch.nan)
    if scores.shape[-1] > 0:
        counts = torch.isfinite(scores.detach())
        if mask is not None and _fits(mask, scores):
            counts = counts & mask
        others = values
        values = _standardized(values, counts) if scale == "std" else _centered(values, counts)
        # Infinities keep their place, and 0·inf stays out of the strength's gradient.
        if tensor_strength is not None:
            others = torch.where(valid, others, torch.nan)
            values = _times(values, tensor_strength)
        values = torch.where(counts, values, others)
    elif tensor_strength is not None:
        values = values * tensor_strength  # empty, and part of the strength's graph
    return values, plain_strength


def _fits(mask: Tensor, scores: Tensor) -> bool:
    """Whether the operators will take this mask; if not, they say why."""
    return mask.dtype == torch.bool and mask.shape == scores.shape and mask.device == scores.device


def _centered(values: Tensor, counts: Tensor) -> Tensor:
    """Values around the middle of their list, zero where they don't count.

    A strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
    """
    fixed = values.detach()
    low = fixed.masked_fill(~counts, torch.inf).amin(-1, keepdim=True)
    high = fixed.masked_fill(~counts, -torch.inf).amax(-1, keepdim=True)
    return torch.where(counts, values - (low / 2 + high / 2), 0)


def _times(values: Tensor, strength: Tensor) -> Tensor:
    """The product, its largest item kept within float64's range and above its smallest."""
    largest = values.detach().abs().amax(-1, keepdim=True)
    largest = largest.masked_fill(largest == 0, 1)
    return values / largest * (largest * strength).clamp(1e-290, 1e290)


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
