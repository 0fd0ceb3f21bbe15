"""What a function does with its scores before the operators relax them."""

from typing import Any, Literal

import torch
from torch import Tensor

from rank_relax._float64 import has_float64
from rank_relax._sharding import beside
from rank_relax._strength import DTYPES, Strength

Scale = Literal["std"] | None


def result_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """What the operators return for inputs of this dtype: float32 for half ones under autocast."""
    if dtype not in (torch.bfloat16, torch.float16):  # first: some devices have no autocast
        return dtype
    has_autocast = device.type in ("cpu", "cuda") or torch.amp.is_autocast_available(device.type)
    return torch.float32 if has_autocast and torch.is_autocast_enabled(device.type) else dtype


def is_scaled(scores: Tensor, strength: Strength, scale: Scale) -> bool:
    """Whether a call is one of :func:`in_float64`: not of scores that the operators refuse."""
    given = scale is not None or isinstance(strength, Tensor)
    return given and scores.dtype in DTYPES and scores.dim() > 0


def plain(strength: Strength) -> float:
    """The strength as the operators take it; 1 for a tensor, which scales the scores instead."""
    return 1.0 if isinstance(strength, Tensor) else strength


def strength_beside(scores: Tensor, strength: Tensor) -> Tensor:
    """A strength that is a tensor, on the device of the scores, or on all that hold them."""
    if strength.is_meta and not scores.is_meta:
        raise ValueError(
            f"regularization_strength is on meta and has no value, but the scores are on "
            f"{scores.device}; give it one with to_empty or torch.tensor"
        )
    if strength.device != scores.device:
        # Some devices have no float64.
        strength = strength if scores.dtype == torch.float64 else strength.float()
        strength = strength.to(scores.device)
    return beside(scores, strength)


def in_float64(
    function: str,
    scores: Tensor,
    strength: Strength,
    scale: Scale,
    method: str,
    mask: Tensor | None,
    *,
    targets: Tensor | None = None,
    level: Tensor | None = None,
    number: float = 0.0,
) -> Tensor:
    """The function of scores along the last dimension, float64 for float64 and else float32.

    Relaxations are functions of α (x - c), so a strength that is a tensor moves into the scores, as
    a list's standard deviation does. That keeps its gradient, and a compiled graph reads its
    present value. One that is not positive and finite makes NaN of every score: raising would need
    its value on the host. The product is float64, inside of the operator.

    `level` is the q ``[..., L]`` or the k ``[...]`` for each list; or `number` is, for all.
    """
    factor = strength_beside(scores, strength) if isinstance(strength, Tensor) else None
    # What a float64 call is composed of is known to DTensor part by part, the gradient of a
    # strength that all devices share among it.
    dtype = scores.dtype
    if hasattr(scores, "device_mesh") and dtype != torch.float64:
        if not has_float64(scores.device):
            raise NotImplementedError(
                f"{function}: DTensors on {scores.device.type}, which has no float64, take a "
                "number as regularization_strength and no scale; rank their local tensors instead"
            )
        scores, targets = scores.double(), None if targets is None else targets.double()
    call: Any = torch.ops.rank_relax._in_float64.default
    result: Tensor = call(
        scores,
        targets,
        level,
        factor,
        function,
        number,
        scale == "std",
        plain(strength),
        method,
        mask,
    )
    return result if scores.dtype == dtype else result.float()
