"""What is checked in Python: what the operators could not even be asked about."""

import math
import numbers
import operator
import sys
import warnings
from typing import Literal, get_args

import torch
from torch import Tensor

from rank_relax._strength import DTYPES, from_array, name_of

# The dtypes of items that are only compared.
INTEGERS = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
REAL_DTYPES = (*DTYPES, *INTEGERS, torch.bool)

SmoothCdf = Literal["sigmoid", "gaussian", "laplace", "cauchy"]
SplitCdf = Literal["sigmoid", "gaussian"]  # of lists over several processes
Method = Literal["sigmoid", "gaussian", "laplace", "cauchy", "l2", "kl"]

Reduction = Literal["mean", "sum", "none"]

SMOOTH_CDFS: tuple[str, ...] = get_args(SmoothCdf)
SPLIT_CDFS: tuple[str, ...] = get_args(SplitCdf)
METHODS: tuple[str, ...] = get_args(Method)
REDUCTIONS: tuple[str, ...] = get_args(Reduction)


def check_tensor(function: str, name: str, value: object) -> None:
    """Raises the TypeError for an argument that is not a tensor at all."""
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{function}: {name} must be a torch.Tensor, got {type(value).__name__}; "
            f"convert it with torch.as_tensor({name})"
        )


def check_scores(function: str, name: str, value: object) -> None:
    """Raises the operators' errors for scores, where they would call them by another name."""
    check_tensor(function, name, value)
    assert isinstance(value, Tensor)
    if value.dtype not in DTYPES:
        raise TypeError(
            f"{function}: {name} must be float64, float32, bfloat16 or float16, got "
            f"{name_of(value.dtype)}; convert it, with {name}.float() for example"
        )
    _check_dense(function, name, value)
    _check_has_lists(function, name, value)


def _check_has_lists(function: str, name: str, value: Tensor) -> None:
    if value.dim() == 0:
        raise ValueError(
            f"{function}: {name} must have at least one dimension, the last of which is ranked, "
            "got a 0-dim tensor"
        )


def check_items(function: str, name: str, value: object) -> None:
    """As check_scores, for items of any real dtype, which are only compared."""
    check_tensor(function, name, value)
    assert isinstance(value, Tensor)
    if value.dtype not in REAL_DTYPES:
        raise TypeError(
            f"{function}: {name} must be float64, float32, bfloat16, float16, of an integer dtype "
            f"or bool, got {name_of(value.dtype)}"
        )
    _check_dense(function, name, value)
    _check_has_lists(function, name, value)


def _check_dense(function: str, name: str, value: Tensor) -> None:
    if value.layout != torch.strided:
        raise TypeError(
            f"{function}: {name} must be a dense tensor, got layout {name_of(value.layout)}; "
            "convert it with to_dense()"
        )


def check_same_device(
    function: str, other_name: str, other: Tensor, name: str, values: Tensor
) -> None:
    """Raises the operators' ValueError, for tensors that they would meet one by one."""
    if other.device != values.device:
        raise ValueError(
            f"{function}: {other_name} is on {other.device} but {name} is on {values.device}; move "
            "them to one device"
        )


def check_mask_of(function: str, mask: object, name: str, values: Tensor) -> None:
    """Raises the operators' errors for a mask of values that they would call by another name."""
    if mask is None:
        return
    check_tensor(function, "mask", mask)
    assert isinstance(mask, Tensor)
    if mask.dtype != torch.bool:
        raise TypeError(
            f"{function}: mask must be bool, true where an item counts, got "
            f"{name_of(mask.dtype)}; convert it with mask.bool()"
        )
    _check_dense(function, "mask", mask)
    check_same_device(function, "mask", mask, name, values)
    check_same_shape(function, "mask", mask, name, values)


def check_mask(function: str, mask: object) -> None:
    """As check_tensor, for an argument that may be absent."""
    if mask is not None:
        check_tensor(function, "mask", mask)


def check_same_shape(
    function: str, other_name: str, other: Tensor, name: str, values: Tensor
) -> None:
    """Raises the operators' ValueError, for shapes that they would see rearranged."""
    if other.shape != values.shape:
        raise ValueError(
            f"{function}: {other_name} must have the shape of {name}, {list(values.shape)}, got "
            f"{list(other.shape)}; {_hint(other_name, other, name, values)}"
        )


def _hint(other_name: str, other: Tensor, name: str, values: Tensor) -> str:
    """What to do about two shapes; a column is a list that has not been squeezed."""
    for longer_name, longer, shorter in ((name, values, other), (other_name, other, values)):
        if longer.shape == (*shorter.shape, 1):
            return f"use {longer_name}.squeeze(-1)"
    return "use expand_as to repeat one over a batch"


def check_choice(function: str, name: str, value: object, choices: tuple[str | None, ...]) -> None:
    """Raises the ValueError for an option that is none of its choices."""
    if not (value is None or isinstance(value, str)) or value not in choices:
        listed = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{function}: {name} must be one of {listed}, got {value!r}")


def check_reduction(function: str, reduction: object) -> None:
    """Raises for a reduction that there is not."""
    check_choice(function, "reduction", reduction, REDUCTIONS)


def check_method(function: str, method: object, methods: tuple[str, ...] = METHODS) -> None:
    """Raises for a method that is no string, or that the function does not have."""
    if not isinstance(method, str):
        raise TypeError(f"{function}: method must be a string, got {method!r}")
    check_choice(function, "method", method, methods)


def checked_dim(function: str, dim: object) -> int:
    """The dimension as an int; raises for what is none. Torch knows whether a tensor has it."""
    if type(dim) is int:  # quickly, as most are
        return dim
    number = None if isinstance(dim, Tensor) else from_array(dim)
    if isinstance(number, Tensor) and number.dtype in INTEGERS:
        return int(number)
    if isinstance(number, bool) or not isinstance(number, (numbers.Integral, torch.SymInt)):
        raise TypeError(f"{function}: dim must be an int, got {dim!r}")
    return number if isinstance(number, torch.SymInt) else operator.index(number)  # type: ignore


def check_bool(function: str, name: str, value: object) -> None:
    """Raises for what only has a truth value, as torch does: "no" has one too."""
    if not isinstance(value, (bool, torch.SymBool)):
        raise TypeError(f"{function}: {name} must be a bool, got {value!r}")


def is_tracing() -> bool:
    """Whether TorchScript records a trace, which warns of a question about a size."""
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined, no-untyped-call]


def warn_of_single_items(
    function: str, name: str, scores: Tensor, dim: int = -1, length: int | None = None
) -> None:
    """Warns of a batch whose lists have one item each: its result is a constant.

    Not where sizes are symbols, or recorded: a graph does not depend on them.
    """
    if torch.compiler.is_compiling() or is_tracing():
        return
    if scores.dim() < 2 or scores.is_meta:
        return
    if type(scores) is Tensor and length is None and scores.shape[dim] != 1:  # quickly
        return
    shape = list(scores.shape)
    if not all(isinstance(size, int) for size in shape):
        return
    of_each = shape.pop(dim) if length is None else length
    if of_each != 1:
        return
    lists = math.prod(shape if length is None else shape[:-1])
    if lists < 2:
        return
    warnings.warn(
        f"{function}: {name} of shape {list(scores.shape)} has {lists} lists of one item each "
        f"along dimension {dim}, so that the result is a constant and trains nothing; if it is "
        f"one list, use {name}.squeeze({dim}), and dim= if lists lie along another dimension",
        UserWarning,
        stacklevel=_level_of_the_caller(),
    )


def _level_of_the_caller() -> int:
    """The stacklevel, for the caller of this function's caller, of the first frame of a user."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None:
        package = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if package not in ("rank_relax", "torch"):
            break
        level, frame = level + 1, frame.f_back
    return level
