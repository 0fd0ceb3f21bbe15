"""Soft counts: sums over the values of a list at points of one's own."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    SMOOTH_CDFS,
    SmoothCdf,
    Strength,
    at_least_float32,
    check_method,
    check_same_shape,
    checked_array,
    checked_items,
    checked_mask,
    checked_scores,
    is_floating,
    plain,
    strength_given,
    widest_dtype,
)
from rank_relax_jax._kernel import Kernel, is_zero, total
from rank_relax_jax._library import max_order
from rank_relax_jax._scaled import middle

# With S_p[w](t; x) = α^p Σ_j w_j K_p(α (t_i - x_j)) for the order p, and since t - x = -x - (-t),
#
#     ∂S_p/∂t:      S_(p+1)[w](t; x) at each point
#     ∂S_p/∂x_j:    the same of the weight -w_j alone
#     <g, S_p[w]>   as a function of w has the gradient S_p[g](-x; -t), points and values exchanged,
#
# so that every derivative is made of the same kernel, at the same order and the next one. Where a
# point counts values of smaller keys, a value is counted by points of larger ones: exchanged, both
# have their keys in the opposite order.

_LOWEST_ORDER = -1

Keys = tuple[Array, Array] | None  # of points and of values


def _sums(points: Any, values: Any, weights: Any, *_: Any, **__: Any) -> list[Any]:
    return [((weights.shape[-2], points.shape[-1]), points.dtype)]


# points [*, m], values [*, n], weights [*, K, n] [, keys of points, keys of values]
_kernel_sum = Kernel("kernel_sum", _sums)


def kernel_sum(
    points: Array,
    values: Array,
    weights: Array,
    strength: float,
    method: str,
    order: int,
    keys: Keys = None,
) -> Array:
    """S_p of sets of weights, [*, K, m]; all of one dtype, float32 or float64."""
    if not _LOWEST_ORDER <= order <= max_order(method):
        raise ValueError(
            f"soft_count: order must be from {_LOWEST_ORDER} to {max_order(method)}, got {order}"
        )
    return _kernel_sum(  # type: ignore[no-any-return]
        points,
        values,
        weights,
        *(keys or ()),
        regularization_strength=strength,
        method=method,
        order=order,
    )


def in_opposite_order(keys: Array) -> Array:
    """Such keys, of which the smaller ones are the larger."""
    return -keys if jnp.issubdtype(keys.dtype, jnp.floating) else ~keys  # -k - 1, always in range


def in_dtype_of_keys(keys: Array) -> Array:
    """Keys in a dtype of the kernel, in which no two are rounded to one."""
    if keys.dtype == jnp.bool_:
        return keys.astype(jnp.int32)
    return at_least_float32(keys) if is_floating(keys) else keys


def _jvp(
    primals: Any, tangents: Any, *, regularization_strength: float, method: str, order: int
) -> Any:
    points, values, weights, *others = primals
    of_points, of_values, of_weights = tangents[:3]
    keys = tuple(others) or None

    def of(of_which: Array, more: int = 0) -> Array:
        return kernel_sum(
            points, values, of_which, regularization_strength, method, order + more, keys
        )

    terms = []
    if not is_zero(of_points):
        terms.append(of(weights, 1) * of_points[..., None, :])
    if not is_zero(of_values):
        terms.append(-of(weights * of_values[..., None, :], 1))
    if not is_zero(of_weights):
        terms.append(of(of_weights))
    return [of(weights)], [total(terms)]


def _transpose(
    place: int,
    cotangent: Array,
    points: Array,
    values: Array,
    _: Any,
    *keys: Array,
    **attributes: Any,
) -> Any:
    turned = tuple(in_opposite_order(each) for each in reversed(keys))
    return _kernel_sum(-values, -points, cotangent, *turned, **attributes)


_kernel_sum.has_jvp(_jvp)
_kernel_sum.is_linear_in(lambda *_, **__: (2,), _transpose)


def soft_count(
    points: Array,
    values: Array,
    weights: Array | None = None,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    mask: Array | None = None,
    order: int = 0,
    keys: Array | None = None,
    point_keys: Array | None = None,
    temperature: Strength | None = None,
) -> Array:
    r"""How much of a list lies below each point, softly: a weighted, smoothed count.

    .. math:: C_i = \sum_j w_j F(\alpha (t_i - x_j))

    at points t of values x, with F a smooth CDF and α the ``regularization_strength``. In O(1) an
    item for orders up to 2 and all methods but ``"cauchy"``, which costs O(m n). Sixteen times
    differentiable, in points, values and weights.

    Args:
        points: Where to count: ``[..., m]``, float64, float32, bfloat16 or float16.
        values: What is counted: ``[..., n]``, the same batch shape. Another floating dtype is
            promoted.
        weights: What each value counts, of either sign: ``[..., n]``, or ``[..., K, n]`` for K
            counts at once. 1 if not given.
        regularization_strength: Sharpness α > 0, in units of 1/value. A 0-dim array may be traced;
            where its value is not positive and finite the counts are NaN.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"`` or ``"cauchy"``.
        mask: Bool, of the shape of ``values``, true where a value counts.
        order: 0 for counts; p > 0 for their p-th derivative in t; -1 for their integral, of
            H(α (t_i - x_j)) / α where H' = F: H(d) = log(1 + e^d) for the sigmoid.
        keys: Numbers by which values are ordered, ``[..., n]`` of any real dtype: each point counts
            values of smaller keys alone, in O(n log n) or less where all values would be counted in
            O(n). Equal keys are not smaller, nor is NaN. Without derivative.
        point_keys: The same of the points, ``[..., m]``; those of the values if not given.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Counts ``[..., m]``, or ``[..., K, m]``, of the dtype that points, values and weights are
        promoted to. NaN at a point that is NaN; values that are NaN count nowhere; equal infinities
        count as equals, with derivative 0.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or a shape that is not listed here.

    References:
        Nadaraya, "Some new estimates for distribution functions", 1964.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> values = jnp.array([1.0, 2.0, 4.0])
        >>> result = rank_relax_jax.soft_count(jnp.array([0.0, 2.0, 9.0]), values)
        >>> [f"{each:.4f}" for each in result]
        ['0.4061', '1.3503', '2.9921']
    """
    t = checked_scores("soft_count", "points", points)
    x = checked_scores("soft_count", "values", values)
    mask = checked_mask("soft_count", mask, "values", x)
    strength = strength_given("soft_count", regularization_strength, temperature)
    check_method("soft_count", method, SMOOTH_CDFS)
    if isinstance(order, bool) or not isinstance(order, numbers.Integral):
        raise TypeError(f"soft_count: order must be an int, got {order!r}")
    if t.shape[:-1] != x.shape[:-1]:
        raise ValueError(
            f"soft_count: points must have the batch shape of values, {list(x.shape[:-1])}, and "
            f"one more dimension, got {list(t.shape)}"
        )
    w = jnp.ones_like(x) if weights is None else _checked_weights(weights, x)
    order_of = _checked_keys(t, x, keys, point_keys)
    dtype = jnp.result_type(t, x, w)
    t, x, w = (at_least_float32(each.astype(dtype)) for each in (t, x, w))
    in_sets = w.ndim > x.ndim
    sets = w if in_sets else w[..., None, :]
    if mask is not None:
        x = jnp.where(mask, x, 0)
        sets = jnp.where(mask[..., None, :], sets, 0)
    factor = _factor(strength)
    if factor is not None:
        # From the middle of the values, which no count depends on: products are rounded.
        counted = jnp.isfinite(x) if mask is None else jnp.isfinite(x) & mask
        center = middle(x, counted)
        t, x = _scaled(t - center, factor, None), _scaled(x - center, factor, mask)
        sets = sets.astype(t.dtype)
    sums = kernel_sum(t, x, sets, plain(strength), method, int(order), order_of)
    if factor is not None and order:
        sums = sums * factor ** int(order)
    return (sums if in_sets else sums[..., 0, :]).astype(dtype)


def _checked_weights(weights: object, values: Array) -> Array:
    given = checked_array("soft_count", "weights", weights)
    if not is_floating(given):
        raise TypeError(
            "soft_count: weights must be float64, float32, bfloat16 or float16, got "
            f"{given.dtype}; convert them, with weights.astype(jnp.float32) for example"
        )
    shape = given.shape
    if given.ndim == values.ndim + 1:
        shape = (*shape[:-2], shape[-1])
    if shape != values.shape:
        raise ValueError(
            f"soft_count: weights must have the shape of values, {list(values.shape)}, or several "
            f"sets of them in one more dimension before the last, got {list(given.shape)}; use "
            "jnp.broadcast_to to repeat one over a batch"
        )
    return given


def _checked_keys(points: Array, values: Array, keys: object, point_keys: object) -> Keys:
    if keys is None:
        if point_keys is not None:
            raise ValueError(
                "soft_count: point_keys are compared with those of values, which need keys too"
            )
        return None
    of_values = in_dtype_of_keys(checked_items("soft_count", "keys", keys))
    check_same_shape("soft_count", "keys", of_values, "values", values)
    if point_keys is None:
        if points.shape[-1] != values.shape[-1]:
            raise ValueError(
                "soft_count: without point_keys points have the keys of the values, so there must "
                f"be {values.shape[-1]} points, got {points.shape[-1]}"
            )
        return of_values, of_values
    of_points = in_dtype_of_keys(checked_items("soft_count", "point_keys", point_keys))
    check_same_shape("soft_count", "point_keys", of_points, "points", points)
    if of_points.dtype != of_values.dtype:
        raise TypeError(
            f"soft_count: point_keys must have the dtype of keys, {of_values.dtype}, got "
            f"{of_points.dtype}; convert one of them"
        )
    return of_points, of_values


def _factor(strength: Strength) -> Array | None:
    """A strength that is an array, NaN where it is none."""
    if not isinstance(strength, Array):
        return None
    factor = strength.astype(widest_dtype())
    return jnp.where((factor > 0) & jnp.isfinite(factor), factor, jnp.nan)


def _scaled(items: Array, factor: Array, mask: Array | None) -> Array:
    """The items by the factor, whose gradient has no part of 0 times infinity or NaN."""
    items = items.astype(factor.dtype)
    counts = jnp.isfinite(items)
    if mask is not None:
        counts = counts & mask
    others = jnp.where(jnp.isnan(factor), jnp.nan, items)
    return jnp.where(counts, jnp.where(counts, items, 0) * factor, others)
