"""What is asked of arguments before any work, in the words of the operators of rank_relax."""

import math
import numbers
import warnings
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

SmoothCdf = Literal["sigmoid", "gaussian", "laplace", "cauchy"]
Method = Literal["sigmoid", "gaussian", "laplace", "cauchy", "l2", "kl"]
Reduction = Literal["mean", "sum", "none"]
Scale = Literal["std"] | None
Strength = float | Array

SMOOTH_CDFS: tuple[str, ...] = get_args(SmoothCdf)
METHODS: tuple[str, ...] = get_args(Method)

_INT32 = np.iinfo(np.int32)


def widest_dtype() -> np.dtype[Any]:
    """float64 where JAX is asked for it, else float32."""
    return np.dtype(jax.dtypes.canonicalize_dtype(np.float64))


def is_floating(items: Array) -> bool:
    """Whether items are of one of the dtypes that are relaxed."""
    return items.dtype in (jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16)


def is_integer(items: Array) -> bool:
    """Whether items are bools, or integers of 8 bits at least."""
    # Those with fewer bits are JAX's alone.
    return items.dtype == jnp.bool_ or bool(np.issubdtype(items.dtype, np.integer))


def checked_array(function: str, name: str, value: object) -> Array:
    """An array of JAX or NumPy as JAX's; raises for others."""
    if not isinstance(value, (Array, np.ndarray, np.generic)):
        raise TypeError(
            f"{function}: {name} must be an array of JAX or NumPy, got {type(value).__name__}; "
            f"convert it with jnp.asarray({name})"
        )
    if not isinstance(value, Array):
        if value.dtype == np.longdouble:
            raise TypeError(
                f"{function}: {name} must be of a dtype that JAX has, got {value.dtype}; convert "
                f"it, with {name}.astype(np.float64) for example"
            )
        _check_integers_fit(function, name, np.asarray(value))
    return jnp.asarray(value)


def _check_integers_fit(function: str, name: str, values: Any) -> None:
    """JAX would cut off their upper half without a word."""
    if values.dtype not in (np.int64, np.uint64) or widest_dtype() == np.float64:
        return
    unsigned = values.dtype == np.uint64
    low, high = (0, 2 * _INT32.max + 1) if unsigned else (_INT32.min, _INT32.max)
    if values.size and (values.min() < low or values.max() > high):
        raise ValueError(
            f"{function}: {name} has integers that JAX holds in its 64-bit mode alone: "
            "jax.config.update('jax_enable_x64', True)"
        )


def checked_scores(function: str, name: str, value: object) -> Array:
    """Lists of floating numbers; raises for others."""
    scores = checked_array(function, name, value)
    if not is_floating(scores):
        raise TypeError(
            f"{function}: {name} must be float64, float32, bfloat16 or float16, got "
            f"{scores.dtype}; convert it, with {name}.astype(jnp.float32) for example"
        )
    _check_has_lists(function, name, scores)
    return scores


def checked_items(function: str, name: str, value: object) -> Array:
    """Lists of any real dtype, which are only compared; raises for others."""
    items = checked_array(function, name, value)
    if not (is_floating(items) or is_integer(items)):
        raise TypeError(
            f"{function}: {name} must be float64, float32, bfloat16, float16, of an integer dtype "
            f"or bool, got {items.dtype}"
        )
    _check_has_lists(function, name, items)
    return items


def _check_has_lists(function: str, name: str, items: Array) -> None:
    if items.ndim == 0:
        raise ValueError(
            f"{function}: {name} must have at least one dimension, the last of which is ranked, "
            "got a 0-dim array"
        )


def checked_mask(function: str, mask: object, name: str, values: Array) -> Array | None:
    """A mask of values of that name, or None; raises for others."""
    if mask is None:
        return None
    given = checked_array(function, "mask", mask)
    if given.dtype != jnp.bool_:
        raise TypeError(
            f"{function}: mask must be bool, true where an item counts, got {given.dtype}; convert "
            "it with mask.astype(bool)"
        )
    check_same_shape(function, "mask", given, name, values)
    return given


def check_same_shape(
    function: str, other_name: str, other: Array, name: str, values: Array
) -> None:
    """Raises for shapes that differ."""
    if other.shape != values.shape:
        raise ValueError(
            f"{function}: {other_name} must have the shape of {name}, {list(values.shape)}, got "
            f"{list(other.shape)}; {_hint(other_name, other, name, values)}"
        )


def _hint(other_name: str, other: Array, name: str, values: Array) -> str:
    """What to do about two shapes; a column is a list that has not been squeezed."""
    for longer_name, longer, shorter in ((name, values, other), (other_name, other, values)):
        if longer.shape == (*shorter.shape, 1):
            return f"use {longer_name}.squeeze(-1)"
    return "use jnp.broadcast_to to repeat one over a batch"


def check_choice(function: str, name: str, value: object, choices: tuple[Any, ...]) -> None:
    """Raises for what is none of the choices."""
    if not any(
        value is choice or (isinstance(value, str) and value == choice) for choice in choices
    ):
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{function}: {name} must be one of {listed}, got {value!r}")


def check_reduction(function: str, reduction: object) -> None:
    """Raises for a reduction that there is not."""
    check_choice(function, "reduction", reduction, get_args(Reduction))


def check_method(function: str, method: object, methods: tuple[str, ...] = METHODS) -> None:
    """Raises for a method that is no string, or that the function does not have."""
    if not isinstance(method, str):
        raise TypeError(f"{function}: method must be a string, got {method!r}")
    check_choice(function, "method", method, methods)


def check_bool(function: str, name: str, value: object) -> None:
    """Raises for what only has a truth value: "no" has one too."""
    if not isinstance(value, bool):
        raise TypeError(f"{function}: {name} must be a bool, got {value!r}")


def checked_dim(function: str, dim: object, name: str, values: Array) -> int:
    """A dimension that the values have, counted from the end; raises for others."""
    if isinstance(dim, bool) or not isinstance(dim, numbers.Integral):
        raise TypeError(f"{function}: dim must be an int, got {dim!r}")
    number = int(dim)
    if not -values.ndim <= number < values.ndim:
        raise IndexError(
            f"{function}: dim must be from {-values.ndim} to {values.ndim - 1} for {name} of shape "
            f"{list(values.shape)}, got {number}"
        )
    return number if number < 0 else number - values.ndim


def checked_strength(
    function: str,
    strength: object,
    name: str = "regularization_strength",
    meaning: str = "larger is closer to the hard ranks",
) -> Strength:
    """The strength as a positive and finite float, or as a 0-dim array; raises for others.

    The value of an array is not looked at: it may be traced.
    """
    if isinstance(strength, (Array, np.ndarray)):
        array = checked_array(function, name, strength)
        if array.size != 1 or array.ndim > 1:
            raise ValueError(
                f"{function}: {name} must be a float or a 0-dim array, got shape "
                f"{list(array.shape)}; to give each list its own, scale the scores instead"
            )
        if not is_floating(array):
            raise TypeError(
                f"{function}: {name} must be float64, float32, bfloat16 or float16, got "
                f"{array.dtype}; convert it with {name}.astype(jnp.float32)"
            )
        return array.reshape(())
    if isinstance(strength, (bool, np.bool_)) or not isinstance(strength, numbers.Real):
        raise TypeError(f"{function}: {name} must be a float or a 0-dim array, got {strength!r}")
    value = as_float(strength)
    if not 0 < value < math.inf:
        raise ValueError(
            f"{function}: {name} must be positive and finite, got {value:g}; {meaning}"
        )
    return value


def strength_given(function: str, strength: object, temperature: object) -> Strength:
    """The strength, or 1 / temperature in its place, checked; raises where both are given."""
    if temperature is None:
        return checked_strength(function, strength)
    if isinstance(strength, (Array, np.ndarray)) or strength != 1.0:
        raise ValueError(
            f"{function}: regularization_strength and temperature are one number and its inverse: "
            "give one of them"
        )
    return checked_temperature(function, temperature)


def checked_temperature(function: str, temperature: object) -> Strength:
    """The strength 1 / temperature, NaN for an array of no temperature; raises for others."""
    meaning = "smaller is closer to the hard ranks"
    checked = checked_strength(function, temperature, "temperature", meaning)
    if not isinstance(checked, Array):
        return checked_strength(function, 1 / checked, "1 / temperature", meaning)
    checked = checked.astype(widest_dtype())
    sound = (checked > 0) & jnp.isfinite(checked)
    return jnp.where(sound, 1 / jnp.where(sound, checked, 1), jnp.nan)


def as_float(number: Any) -> float:
    """A real number of any type in double precision: infinite beyond its range."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def plain(strength: Strength) -> float:
    """The strength as the kernels take it; 1 for an array, which scales the scores instead."""
    return 1.0 if isinstance(strength, Array) else strength


def at_least_float32(items: Array) -> Array:
    """Half precisions in float32, the others as they are."""
    return items.astype(jnp.promote_types(items.dtype, jnp.float32))


def warn_of_single_items(function: str, name: str, scores: Array, dim: int = -1) -> None:
    """Warns of a batch whose lists have one item each: its result is a constant.

    Not where it is traced: a graph may be made for one item, and used for what it is.
    """
    if isinstance(scores, jax.core.Tracer) or scores.ndim < 2 or scores.shape[dim] != 1:
        return
    if scores.size < 2:
        return
    warnings.warn(
        f"{function}: {name} of shape {list(scores.shape)} has {scores.size} lists of one item "
        f"each along dimension {dim}, so that the result is a constant and trains nothing; if it "
        f"is one list, use {name}.squeeze({dim}), and dim= if lists lie along another dimension",
        UserWarning,
        stacklevel=3,
    )
