"""How the public functions may be called: with what stands in for a tensor, and in what order."""

import functools
import numbers
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from rank_relax._strength import from_array

P = ParamSpec("P")
R = TypeVar("R")


def public(function: Callable[P, R]) -> Callable[P, R]:
    """Hands the call to an argument that is no tensor but speaks for one, as torch's own do.

    FX records a call by such a stand-in. Subclasses of Tensor and modes are asked by each operator
    within.
    """

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        every: tuple[Any, ...] = (*args, *kwargs.values())
        if has_torch_function(every):
            others = [
                value
                for value in every
                if not isinstance(value, Tensor) and hasattr(type(value), "__torch_function__")
            ]
            if others:
                recorded: R = handle_torch_function(call, others, *args, **kwargs)
                return recorded
        return function(*args, **kwargs)

    return call


def no_dim_at(place: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Refuses an integer at the position where torch's function of this name takes ``dim``.

    It would be taken for the strength, silently: that is a float there, or has its name.
    """

    def decorated(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            if len(args) > place and _is_integer(args[place]):
                raise TypeError(
                    f"{function.__name__}: argument {place + 1} is regularization_strength, where "
                    f"torch has dim, so it must not be an int by position, got {args[place]}; "
                    f"write regularization_strength={args[place]} or dim={args[place]}"
                )
            return function(*args, **kwargs)

        return call

    return decorated


def _is_integer(value: object) -> bool:
    if isinstance(value, (float, bool)):
        return False
    value = from_array(value)
    if isinstance(value, Tensor):
        return not (value.is_floating_point() or value.is_complex() or value.dtype == torch.bool)
    return isinstance(value, (numbers.Integral, torch.SymInt))
