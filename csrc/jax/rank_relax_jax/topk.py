"""Soft top-k masks."""

from __future__ import annotations

import numbers
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax import _levels
from rank_relax_jax._cdf import cdf, density
from rank_relax_jax._checks import (
    SMOOTH_CDFS,
    Scale,
    SmoothCdf,
    Strength,
    as_float,
    at_least_float32,
    check_bool,
    checked_array,
    is_floating,
    is_integer,
    warn_of_single_items,
)
from rank_relax_jax._kernel import BITS, Kernel, is_zero, like_first, unknown
from rank_relax_jax._relaxed import RelaxedLists

# A mask m_i = F(α (x_i - c)) with c such that Σ_i m_i = k, and densities f_i = F'(α (x_i - c)): by
# the implicit function theorem
#
#     dm_i/dx_j = α f_i (δ_ij - f_j / Σ_l f_l),
#
# which is symmetric. Products with that have a kernel; where one is differentiated in turn it is a
# formula, with the densities functions of x.


def _shares(items: Any, *_: Any, **__: Any) -> list[Any]:
    size = items.shape[-1]
    return [((size,), items.dtype), ((size, 2), BITS)]


_topk = Kernel("soft_topk", _shares, is_single=False)  # x [, k] [, mask]
# vector, densities, x, k [, mask]; the last ones are for the formula alone.
_product = Kernel("soft_topk_product", like_first)


def _jvp_of_topk(
    primals: Any,
    tangents: Any,
    *,
    has_levels: bool,
    has_mask: bool,
    level: float,
    **softness: Any,
) -> Any:
    items = primals[0]
    if has_levels and not is_zero(tangents[1]):
        raise ValueError(_levels.CONSTANT)
    chosen, densities = _topk(
        *primals, has_levels=has_levels, has_mask=has_mask, level=level, **softness
    )
    tangent = None
    if not is_zero(tangents[0]):
        number = primals[1] if has_levels else jnp.full_like(items[..., :1], level)
        tangent = _product(
            tangents[0],
            densities,
            items,
            number.astype(items.dtype),
            *((primals[-1],) if has_mask else ()),
            **softness,
        )
    return [chosen, densities], [tangent, None]


_topk.has_jvp(_jvp_of_topk)
_product.is_own_transpose_in(lambda *_, **__: (0,))


def _product_by_densities(
    vector: Array,
    _: Array,
    items: Array,
    number: Array,
    mask: Array | None = None,
    *,
    regularization_strength: float,
    method: str,
) -> Array:
    """What the kernel of products returns, as a formula that is differentiable in the items."""
    f = _densities(items, number, mask, regularization_strength, method)
    without = ~(stop_gradient(f) > 0)
    undefined = jnp.isnan(stop_gradient(f))
    f = jnp.where(without, 0, f)
    v = jnp.where(without, 0, vector)
    sums = f.sum(-1, keepdims=True)
    mean = (f * v).sum(-1, keepdims=True) / jnp.where(sums == 0, 1, sums)
    products = (v - mean) * f * regularization_strength
    return jnp.where(undefined, unknown(undefined, items), products)


_product.has_derivative_by(_product_by_densities, vector=0, items=2)


def _densities(
    items: Array, number: Array, mask: Array | None, strength: float, method: str
) -> Array:
    """The f_i; 0 at infinite and masked items, NaN at NaN."""
    unmasked = jnp.ones_like(items, dtype=bool) if mask is None else mask
    undefined = unmasked & jnp.isnan(items)
    counted = unmasked & ~jnp.isnan(items)
    ordinary = counted & jnp.isfinite(items)
    count = counted.sum(-1, keepdims=True).astype(items.dtype)
    tops = (unmasked & (items == jnp.inf)).sum(-1, keepdims=True)
    share = jnp.minimum(jnp.where(number < 0, jnp.nan, number), count)
    level = count - share
    around = _around_threshold(items, level, ordinary, mask, strength, method)
    # The point at level n - k, whose exact derivatives make those of the sum 0.
    threshold = _levels.points_at_levels(around, level, mask, strength, method)
    all_or_none = jnp.isinf(threshold)
    values = jnp.where(ordinary, around, 0)
    d = (values - jnp.where(all_or_none, 0, threshold)) * strength
    d = d - _step(d, ordinary, share - tops, method)
    f = jnp.where(ordinary & ~all_or_none, density(d, method), 0)
    return jnp.where(undefined, jnp.nan, f)


def _around_threshold(
    items: Array, level: Array, ordinary: Array, mask: Array | None, strength: float, method: str
) -> Array:
    """The values around the item that is nearest to where the threshold is.

    A rounded threshold may be too coarse; differences of items near it are exact.
    """
    fixed = stop_gradient(items)
    threshold = _levels.points_at_levels(fixed, level, mask, strength, method)
    point = jnp.where(jnp.isfinite(threshold), threshold, 0)
    after = jnp.where((fixed >= point) & ordinary, fixed, jnp.inf)
    after = after.min(-1, keepdims=True, initial=jnp.inf)
    before = jnp.where((fixed <= point) & ordinary, fixed, -jnp.inf)
    before = before.max(-1, keepdims=True, initial=-jnp.inf)
    nearest = jnp.where(after - point <= point - before, after, before)
    center = jnp.where(jnp.isfinite(nearest), nearest, 0)
    return jnp.where(jnp.isfinite(fixed), items - center, items)


def _step(d: Array, ordinary: Array, wanted: Array, method: str) -> Array:
    """A step of Newton's method, which takes the rounding of the threshold out of the sum.

    It is a constant, since the threshold has the derivatives of the exact one.
    """
    fixed = stop_gradient(d)

    def over_list(values: Array) -> Array:
        return jnp.where(ordinary, values, 0).sum(-1, keepdims=True)

    slope = over_list(density(fixed, method))
    excess = over_list(cdf(fixed, method)) - stop_gradient(wanted)
    # In a gap there is nothing to take out, nor within the rounding of the sum.
    rounding = 4 * np.finfo(d.dtype).eps * ordinary.sum(-1, keepdims=True)
    worth_it = (slope > 1e-6) & (jnp.abs(excess) > rounding)
    return jnp.where(worth_it, excess / jnp.where(slope > 0, slope, 1), 0)


def soft_topk(
    input: Array,
    k: float | Array,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    dim: int = -1,
    largest: bool = True,
    mask: Array | None = None,
    scale: Scale = None,
    temperature: Strength | None = None,
) -> Array:
    r"""Soft mask of the k largest items of every list, which adds up to k.

    .. math:: m_i = F(\alpha (x_i - c)), \qquad c: \quad \sum_i m_i = k

    with F a smooth CDF and α the ``regularization_strength``: in [0, 1], larger for larger items,
    and as α grows 1 at those that ``jax.lax.top_k`` returns, 0 at the others. The threshold c is
    found exactly, and differentiated exactly.

    Args:
        input: Scores, of any shape, float64, float32, bfloat16 or float16.
        k: How many, not necessarily a whole number: a number between 0 and the size of ``dim``; or
            an array of an integer or floating dtype, 0-dim, or of the shape of ``input`` without
            ``dim`` for a k of each list's own, in which a negative element or NaN gives NaN, and
            one above the number of items that count takes all of them. It has no derivative.
        regularization_strength: Sharpness α > 0, in units of 1/score. A 0-dim array may be traced;
            where its value is not positive and finite the mask is NaN.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"`` or ``"cauchy"``.
        dim: The dimension that holds a list.
        largest: If false, the k smallest: those of -x.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are never
            chosen: theirs is 0, and their gradient 0.
        scale: ``"std"`` divides the scores by their list's own standard deviation.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        A mask of the shape and dtype of ``input``. Equal items have equal shares. Infinities come
        first and last, with gradient 0; NaN gives NaN at its own place and is left out elsewhere.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, a mask or ``k`` of another shape, or a
            ``k`` whose derivative is asked for.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of ``rank_relax.soft_sort``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> result = rank_relax_jax.soft_topk(jnp.array([4.0, 1.0, 2.0, 9.0]), 2)
        >>> [f"{each:.4f}" for each in result]
        ['0.6819', '0.0964', '0.2248', '0.9969']
    """
    lists = RelaxedLists(
        "soft_topk",
        input,
        regularization_strength,
        temperature,
        method,
        dim,
        mask,
        scale,
        SMOOTH_CDFS,
    )
    check_bool("soft_topk", "largest", largest)
    warn_of_single_items("soft_topk", "input", lists.input, lists.dim)
    number = _checked_k(k, lists.values, lists.dim)
    values, _ = lists.scaled(lists.values if largest else -lists.values)
    chosen, _ = _levels.results_at(_topk, values, number, lists.mask, lists.strength, method)
    return lists.as_given(chosen)


def _checked_k(k: object, values: Array, dim: int) -> float | Array:
    """A number of items, or an array [*, 1], whose elements are not looked at."""
    if isinstance(k, (Array, np.ndarray)):
        array = checked_array("soft_topk", "k", k)
        batch = values.shape[:-1]
        if not (is_floating(array) or (is_integer(array) and array.dtype != jnp.bool_)):
            raise TypeError(
                f"soft_topk: k must be of an integer or a floating dtype, got {array.dtype}"
            )
        if array.shape not in ((), batch):
            raise ValueError(
                "soft_topk: k must be one number or have the batch shape of input, "
                f"{list(batch)}, got {list(array.shape)}"
            )
        number = at_least_float32(array)
        if not is_floating(array):
            # In its own dtype, which may be narrower than n or wider than the kernel's.
            limits = np.iinfo(array.dtype)
            within = jnp.clip(array, max(limits.min, -1), min(limits.max, values.shape[-1]))
            number = within.astype(jnp.int32)
        return jnp.broadcast_to(number, batch)[..., None]
    if isinstance(k, (bool, np.bool_)) or not isinstance(k, numbers.Real):
        raise TypeError(f"soft_topk: k must be a number or an array, got {k!r}")
    number_of = as_float(k)
    if not number_of >= 0:
        raise ValueError(f"soft_topk: k must not be negative, got {k}")
    if number_of > values.shape[-1]:
        raise ValueError(
            f"soft_topk: k must not exceed the size of input's dimension {dim}, "
            f"{values.shape[-1]}, got {k}"
        )
    return number_of
