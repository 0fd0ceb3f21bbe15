"""What a function does to its scores before the operators rank them."""

from typing import Literal

import torch
from torch import Tensor, nn

Strength = float | Tensor
Scale = Literal["std"] | None

NUMBERS = (float, int, torch.SymFloat, torch.SymInt)


def check_tensor(function: str, name: str, value: object) -> None:
    """Raises the TypeError for an argument that is not a tensor at all."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{function}: {name} must be a torch.Tensor, got {type(value).__name__}; "
            f"convert it with torch.as_tensor({name})"
        )


def check_mask(function: str, mask: object) -> None:
    """As check_tensor, for an argument that may be absent."""
    if mask is not None:
        check_tensor(function, "mask", mask)


def check_strength(function: str, strength: Strength) -> None:
    """Raises for a strength that the operators could not even be asked about."""
    if isinstance(strength, Tensor):
        if strength.dim() > 0:
            raise ValueError(
                f"{function}: regularization_strength must be a float or a 0-dim tensor, got shape "
                f"{list(strength.shape)}; to give each list its own, scale the scores instead"
            )
        if not strength.is_floating_point():
            raise TypeError(
                f"{function}: regularization_strength must be floating-point, got "
                f"{strength.dtype}; convert it with .float()"
            )
    elif isinstance(strength, bool) or not isinstance(strength, NUMBERS):
        raise TypeError(
            f"{function}: regularization_strength must be a float or a 0-dim tensor, got "
            f"{strength!r}"
        )


def check_choice(function: str, name: str, value: object, choices: tuple[str | None, ...]) -> None:
    """Raises the ValueError for an option that is none of its choices."""
    if value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{function}: {name} must be one of {listed}, got {value!r}")


def check_method(function: str, method: object) -> None:
    """Raises the TypeError for a method that is no string; the operators know the names."""
    if not isinstance(method, str):
        raise TypeError(f"{function}: method must be a string, got {method!r}")


def set_strength(module: nn.Module, strength: Strength) -> None:
    """Gives a module its strength: a parameter, a buffer for another tensor, or a plain float."""
    if isinstance(strength, Tensor) and not isinstance(strength, nn.Parameter):
        module.register_buffer("regularization_strength", strength)
    else:
        setattr(module, "regularization_strength", strength)  # noqa: B010  (Module has no such name)


def describe_strength(strength: Strength) -> str:
    """The strength as a module's ``extra_repr`` shows it."""
    if isinstance(strength, Tensor):
        return f"regularization_strength={'meta' if strength.is_meta else strength.item()}"
    return f"regularization_strength={strength}"


def scaled(
    scores: Tensor, strength: Strength, scale: Scale, mask: Tensor | None
) -> tuple[Tensor, float]:
    """Scores and a plain strength whose soft ranks along the last dimension are those asked for.

    Ranks depend on α·x alone, so a strength that is a tensor moves into the scores. That keeps its
    gradient, and a compiled graph reads its present value. One that is not positive and finite
    makes NaN of every score: raising would need its value on the host.
    """
    if scale is None and not isinstance(strength, Tensor):
        return scores, strength
    if not scores.is_floating_point() or scores.dim() == 0 or scores.shape[-1] == 0:
        return scores, 1.0 if isinstance(strength, Tensor) else strength
    counts = torch.isfinite(scores.detach())
    if mask is not None and mask.dtype == torch.bool and mask.shape == scores.shape:
        counts = counts & mask
    values = _centered(scores, counts)
    if scale == "std":
        values = _standardized(values, counts)
    if isinstance(strength, Tensor):
        valid = (strength > 0) & torch.isfinite(strength)
        values = values * torch.where(valid, strength, torch.nan).to(values.device, values.dtype)
        # NaN beside counted values alone would only be left out: a bad strength must show.
        others = torch.where(valid, scores, torch.nan)
        strength = 1.0
    else:
        others = scores
    # Infinities keep their place, and 0·inf stays out of the strength's gradient.
    return torch.where(counts, values, others.to(values.dtype)), strength


def in_dtype(result: Tensor, dtype: torch.dtype) -> Tensor:
    """The result in the dtype of its inputs, unless autocast asks for float32."""
    if result.dtype == dtype or (
        not result.is_meta and torch.is_autocast_enabled(result.device.type)
    ):
        return result
    return result.to(dtype)


def _centered(scores: Tensor, counts: Tensor) -> Tensor:
    """Scores around the middle of their row, at least in float32, zero where they don't count.

    Exact differences survive the product with a strength only if they are not small beside the
    values; and a strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
    """
    values = scores.to(torch.promote_types(scores.dtype, torch.float32))
    fixed = values.detach()
    low = fixed.masked_fill(~counts, torch.inf).amin(-1, keepdim=True)
    high = fixed.masked_fill(~counts, -torch.inf).amax(-1, keepdim=True)
    return torch.where(counts, values - (low / 2 + high / 2), 0)


def _standardized(values: Tensor, counts: Tensor) -> Tensor:
    """Values divided by the population standard deviation of those that count in their row."""
    largest = values.detach().abs().amax(-1, keepdim=True)
    constant = largest == 0
    # Within [-1, 1], so that no square overflows or vanishes.
    values = values / largest.masked_fill(constant, 1)
    number = counts.sum(-1, keepdim=True).clamp(min=1)
    values = torch.where(counts, values - values.sum(-1, keepdim=True) / number, 0)
    variance = (values * values).sum(-1, keepdim=True) / number
    return values / variance.masked_fill(constant, 1).sqrt()
