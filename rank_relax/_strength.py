"""The strength of a relaxation: a number, or a 0-dim tensor to learn or to schedule."""

import numbers

import torch
from torch import Tensor, nn

Strength = float | Tensor

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
NUMBERS = (numbers.Real, torch.SymFloat, torch.SymInt)  # NumPy's numbers too


def check_strength(function: str, strength: Strength) -> None:
    """Raises for what is no strength; its value is for the operators to check."""
    if isinstance(strength, Tensor):
        if strength.dim() > 0:
            raise ValueError(
                f"{function}: regularization_strength must be a float or a 0-dim tensor, got shape "
                f"{list(strength.shape)}; to give each list its own, scale the scores instead"
            )
        if strength.dtype not in DTYPES:
            raise TypeError(
                f"{function}: regularization_strength must be float64, float32, bfloat16 or "
                f"float16, got {strength.dtype}; convert it with .float()"
            )
    elif isinstance(strength, bool) or not isinstance(strength, NUMBERS):
        raise TypeError(
            f"{function}: regularization_strength must be a float or a 0-dim tensor, got "
            f"{strength!r}"
        )


def set_strength(module: nn.Module, function: str, strength: Strength) -> None:
    """Gives a module its strength, once it has been checked."""
    check_strength(function, strength)
    set_number(module, "regularization_strength", strength)


def set_number(module: nn.Module, name: str, value: float | Tensor) -> None:
    """Gives a module a parameter, a buffer for another tensor, or a plain number."""
    if isinstance(value, Tensor) and not isinstance(value, nn.Parameter):
        module.register_buffer(name, value)
    else:
        setattr(module, name, value)


def describe_strength(strength: Strength) -> str:
    """The strength as a module's ``extra_repr`` shows it."""
    return describe_number("regularization_strength", strength)


def describe_number(name: str, value: float | Tensor) -> str:
    """A number that may be a tensor, in the same way."""
    if isinstance(value, Tensor):
        return f"{name}={'meta' if value.is_meta else value.tolist()}"
    return f"{name}={value}"
