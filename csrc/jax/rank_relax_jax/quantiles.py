"""Soft quantiles."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from rank_relax_jax import _levels
from rank_relax_jax._checks import (
    SMOOTH_CDFS,
    Scale,
    SmoothCdf,
    Strength,
    as_float,
    at_least_float32,
    checked_array,
    is_floating,
)
from rank_relax_jax._kernel import BITS, Kernel, is_zero
from rank_relax_jax._relaxed import RelaxedLists


def _quantiles_and_points(items: Any, *others: Any, has_levels: bool, **_: Any) -> list[Any]:
    size = others[0].shape[-1] if has_levels else 1
    return [((size,), items.dtype), ((size, 2), BITS), ((size, 2), BITS)]


_quantile = Kernel("soft_quantile", _quantiles_and_points, is_single=False)  # x [, q] [, mask]


def _jvp(
    primals: Any,
    tangents: Any,
    *,
    has_levels: bool,
    has_mask: bool,
    level: float,
    **softness: Any,
) -> Any:
    items = primals[0]
    mask = primals[-1] if has_mask else None
    if has_levels and not is_zero(tangents[1]):
        raise ValueError(_levels.CONSTANT)
    quantiles, points, densities = _quantile(
        *primals, has_levels=has_levels, has_mask=has_mask, level=level, **softness
    )
    tangent = None
    if not is_zero(tangents[0]):
        shares = primals[1].astype(items.dtype) if has_levels else jnp.full_like(quantiles, level)
        tangent = _levels.product(
            items,
            _levels_of(items, shares, mask),
            points,
            densities,
            tangents[0],
            *(() if mask is None else (mask,)),
            transposed=False,
            from_centers=True,
            **softness,
        )
    return [quantiles, points, densities], [tangent, None, None]


_quantile.has_jvp(_jvp)


def _levels_of(items: Array, shares: Array, mask: Array | None) -> Array:
    """The levels of shares of the lists, q (n - 1) + 1/2; NaN where there is no quantile."""
    undefined = jnp.isnan(items)
    counted = ~undefined
    if mask is not None:
        undefined, counted = undefined & mask, counted & mask
    is_none = ~((shares >= 0) & (shares <= 1)) | undefined.any(-1, keepdims=True)
    others = counted.sum(-1, keepdims=True).astype(items.dtype) - 1
    return jnp.where(is_none, jnp.nan, shares * others + 0.5)


def soft_quantile(
    input: Array,
    q: float | Array,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    dim: int = -1,
    mask: Array | None = None,
    scale: Scale = None,
    temperature: Strength | None = None,
) -> Array:
    r"""Soft quantiles of every list.

    .. math:: y: \quad \sum_j F(\alpha (y - x_j)) = q (n - 1) + \tfrac12

    with F a smooth CDF and α the ``regularization_strength``: the point of the same level among the
    soft sorted values of :func:`soft_sort` as ``jnp.quantile`` has among the sorted ones. To first
    order a weighted mean of the items, with weights F' that add up to 1.

    Args:
        input: Values, of any shape, float64, float32, bfloat16 or float16, with at least one item
            along ``dim``.
        q: A number in [0, 1]; or an array of a floating dtype, 0-dim or ``[L]``, in which an
            element outside of [0, 1] gives NaN. It has no derivative.
        regularization_strength: Sharpness α > 0, in units of 1/value. A 0-dim array may be traced;
            where its value is not positive and finite the quantiles are NaN.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"`` or ``"cauchy"``.
        dim: The dimension that holds a list.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of the sum and of n; their gradient is 0.
        scale: ``"std"`` takes the values in units of their list's own standard deviation.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        As ``jnp.quantile``: the shape of ``input`` without ``dim``, and with ``[L]`` in front if
        ``q`` has it; of the dtype of ``input``. Infinite where the level falls among infinities,
        NaN for a list that holds a NaN that counts, or nothing that counts.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, a mask of another shape, no items along
            ``dim``, or a ``q`` whose derivative is asked for.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of ``rank_relax.soft_sort``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> x = jnp.array([4.0, 1.0, 2.0, 9.0])
        >>> print(f"{rank_relax_jax.soft_quantile(x, 0.5):.4f}")
        3.2376
        >>> result = rank_relax_jax.soft_quantile(x, jnp.array([0.0, 0.5, 1.0]), 100.0)
        >>> [f"{each:.4f}" for each in result]
        ['1.0000', '3.0000', '9.0000']
    """
    lists = RelaxedLists(
        "soft_quantile",
        input,
        regularization_strength,
        temperature,
        method,
        dim,
        mask,
        scale,
        SMOOTH_CDFS,
    )
    level = _checked_q(q)
    if lists.values.shape[-1] == 0:
        raise ValueError(
            "soft_quantile: input must have at least one item in its last dimension, got shape "
            f"{list(lists.values.shape)}"
        )
    values, restored = lists.scaled(lists.values)
    shares = level
    if isinstance(level, Array):
        of_all = at_least_float32(level).ravel()
        shares = jnp.broadcast_to(of_all, (*values.shape[:-1], of_all.size))
    quantiles: Array = _levels.results_at(
        _quantile, values, shares, lists.mask, lists.strength, method
    )[0]
    quantiles = restored(quantiles).astype(lists.input.dtype)
    if isinstance(level, Array) and level.ndim == 1:
        return jnp.moveaxis(quantiles, -1, 0)
    return quantiles[..., 0]


def _checked_q(q: object) -> float | Array:
    """A quantile as a float or an array, whose elements are not looked at; raises for others."""
    if isinstance(q, (Array, np.ndarray)):
        array = checked_array("soft_quantile", "q", q)
        if array.ndim > 1:
            raise ValueError(
                "soft_quantile: q must be a number, or an array of no dimension or one, got shape "
                f"{list(array.shape)}"
            )
        if not is_floating(array):
            raise TypeError(
                f"soft_quantile: q must be float64, float32, bfloat16 or float16, got {array.dtype}"
            )
        return array
    if isinstance(q, (bool, np.bool_)) or not isinstance(q, numbers.Real):
        raise TypeError(f"soft_quantile: q must be a float or an array, got {q!r}")
    number = as_float(q)
    if not 0 <= number <= 1:
        raise ValueError(f"soft_quantile: q must lie between 0 and 1, got {number}")
    return number
