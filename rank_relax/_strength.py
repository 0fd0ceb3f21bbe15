"""The strength of a relaxation: a number, or a tensor of one to learn or to schedule."""

import math
import numbers
from typing import Any

import torch
from torch import Tensor, nn

from rank_relax._float64 import has_float64

Strength = float | Tensor

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
NUMBERS = (numbers.Real, torch.SymFloat, torch.SymInt)  # NumPy's numbers too


def checked_strength(
    function: str,
    strength: Strength,
    name: str = "regularization_strength",
    meaning: str = "larger is closer to the hard ranks",
) -> Strength:
    """The strength as a positive and finite float, or as a 0-dim tensor; raises for others.

    The value of a tensor is not looked at. One with a single element may have one dimension,
    which is what ``fully_shard`` can shard.
    """
    if type(strength) is float and 0 < strength < math.inf:  # quickly, as most are
        return strength
    strength = from_array(strength, torch.float64)
    if isinstance(strength, Tensor):
        if strength.dim() > 1 or (strength.dim() == 1 and strength.shape[0] != 1):
            raise ValueError(
                f"{function}: {name} must be a float or a 0-dim tensor, got shape "
                f"{list(strength.shape)}; to give each list its own, scale the scores instead"
            )
        if strength.dtype not in DTYPES:
            raise TypeError(
                f"{function}: {name} must be float64, float32, bfloat16 or "
                f"float16, got {name_of(strength.dtype)}; "
                f"convert it with {name}.float()"
            )
        return strength.reshape(()) if strength.dim() == 1 else strength
    if isinstance(strength, bool) or not isinstance(strength, NUMBERS):
        raise TypeError(f"{function}: {name} must be a float or a 0-dim tensor, got {strength!r}")
    value = as_float(strength)
    if not 0 < value < math.inf:
        # The sentence of csrc/torch/declaration/argument_checks.cpp, which modules need before
        # there is a tensor.
        raise ValueError(
            f"{function}: {name} must be positive and finite, got {value:g}; {meaning}"
        )
    return value


def strength_given(function: str, strength: Strength, temperature: Strength | None) -> Strength:
    """The strength, or 1 / temperature in its place; raises where both are given."""
    if temperature is None:
        return strength
    if isinstance(strength, Tensor) or strength != 1.0:
        raise ValueError(
            f"{function}: regularization_strength and temperature are one number and its inverse: "
            "give one of them"
        )
    return checked_temperature(function, temperature)


def checked_temperature(function: str, temperature: Strength) -> Strength:
    """The strength 1 / temperature, NaN for a tensor of no temperature; raises for others."""
    meaning = "smaller is closer to the hard ranks"
    checked = checked_strength(function, temperature, "temperature", meaning)
    if not isinstance(checked, Tensor):
        return checked_strength(function, 1 / checked, "1 / temperature", meaning)
    checked = checked.to(widest_dtype(checked.device))
    sound = (checked > 0) & torch.isfinite(checked)
    return torch.where(sound, checked.reciprocal(), torch.nan)


def name_of(kind: torch.dtype | torch.layout) -> str:
    """A dtype or layout as the operators' errors write it: "int64"."""
    return str(kind).removeprefix("torch.")


def from_array(value: Any, dtype: torch.dtype | None = None) -> Any:
    """A NumPy scalar of a compiled function, where it is an array of no dimension, as a tensor."""
    if (
        torch.compiler.is_compiling()
        and not isinstance(value, (Tensor, *NUMBERS))
        and hasattr(value, "__array__")
        and value.ndim == 0
    ):
        tensor = torch.as_tensor(value)
        return tensor if dtype is None or tensor.dtype == torch.bool else tensor.to(dtype)
    return value


def as_float(number: Any) -> float:
    """A real number of any type in double precision: infinite beyond its range."""
    if isinstance(number, (torch.SymFloat, torch.SymInt)):
        return number  # type: ignore[return-value]
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def widest_dtype(device: torch.device) -> torch.dtype:
    """The dtype of a number on a device: float64 where there is one."""
    return torch.float64 if has_float64(device) else torch.float32


def set_strength(
    module: nn.Module, function: str, strength: Strength, temperature: Strength | None
) -> None:
    """Gives a module its strength or its temperature, once checked; a tensor as it is."""
    checked = checked_strength(function, strength_given(function, strength, temperature))
    module.temperature = None  # type: ignore[assignment]
    if temperature is None:
        is_tensor = isinstance(strength, Tensor)
        set_number(module, "regularization_strength", strength if is_tensor else checked)
        return
    module.regularization_strength = 1.0  # type: ignore[assignment]
    del module.temperature
    is_tensor = isinstance(temperature, Tensor)
    set_number(module, "temperature", temperature if is_tensor else as_float(temperature))


def set_number(module: nn.Module, name: str, value: float | Tensor) -> None:
    """Gives a module a parameter, a buffer for another tensor, or a plain number."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value)


def set_level(module: nn.Module, function: str, name: str, value: float | Tensor) -> None:
    """As set_number, for a number that has no derivative: it cannot be learnt."""
    if isinstance(value, Tensor) and value.requires_grad:
        raise ValueError(
            f"{function}: {name} has no derivative, so it must not require a gradient: detach it"
        )
    set_number(module, name, value)


def describe_strength(module: Any) -> str:
    """The strength or the temperature as a module's ``extra_repr`` shows it."""
    if module.temperature is not None:
        return describe_number("temperature", module.temperature)
    return describe_number("regularization_strength", module.regularization_strength)


def describe_number(name: str, value: float | Tensor) -> str:
    """A number that may be a tensor, in the same way; one without data by its kind."""
    if not isinstance(value, Tensor):
        return f"{name}={value}"
    if value.is_meta:
        return f"{name}=meta"
    try:
        return f"{name}={value.tolist()}"
    except RuntimeError:  # of a fake tensor, or inside of a transform
        return f"{name}={type(value).__name__}"
