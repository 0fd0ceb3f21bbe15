"""Points at levels of a smoothed count, and products with their Jacobian."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax._cdf import log_density
from rank_relax_jax._checks import Strength, plain
from rank_relax_jax._kernel import BITS, Kernel, is_zero, unknown
from rank_relax_jax._scaled import centered

# By the implicit function theorem on Σ_j F(α (b_l - x_j)) = level_l
#
#     db_l/dx_j = W_lj = F'(α (b_l - x_j)) / Σ_i F'(α (b_l - x_i))
#                      = softmax_j(log F'(α (b_l - x_j))).
#
# Products with W have a kernel. Where one is differentiated in turn it is a formula with the points
# functions of x again, in O(n) memory a level: as a softmax the weights have their limit even in a
# gap so wide that every F' is 0.

CONSTANT = (
    "levels of a smoothed count, such as q of soft_quantile and k of soft_topk, have no "
    "derivative: put them through jax.lax.stop_gradient"
)


def _points(items: Any, levels: Any, *_: Any, **__: Any) -> list[Any]:
    size = levels.shape[-1]
    return [((size,), items.dtype), ((size, 2), BITS)]


def _products(items: Any, levels: Any, *_: Any, transposed: bool, **__: Any) -> list[Any]:
    return [(((items if transposed else levels).shape[-1],), items.dtype)]


_at_levels = Kernel("quantile_at_levels", _points, is_single=False)  # x, levels [, mask]
# x, levels, points, densities, vector [, mask]; the levels are for the formula alone, and points
# that are not from_centers have no densities.
product = Kernel("quantile_product", _products)


def results_at(
    kernel: Kernel,
    items: Array,
    levels: float | Array,
    mask: Array | None,
    strength: Strength,
    method: str,
) -> Any:
    """What a kernel says of lists at levels of each, [*, L], or at a number for all of them."""
    each = (levels,) if isinstance(levels, Array) else ()
    masks = () if mask is None else (mask,)
    return kernel(
        items,
        *each,
        *masks,
        regularization_strength=plain(strength),
        method=method,
        level=0.0 if isinstance(levels, Array) else levels,
        has_levels=isinstance(levels, Array),
        has_mask=mask is not None,
    )


def points_at_levels(
    items: Array, levels: Array, mask: Array | None, strength: float, method: str
) -> Array:
    """The points where the smoothed count is what `levels` [*, L] say, in the items' dtype."""
    operands = () if mask is None else (mask,)
    return _at_levels(items, levels, *operands, regularization_strength=strength, method=method)[0]  # type: ignore[no-any-return]


def _jvp_of_points(primals: Any, tangents: Any, **attributes: Any) -> Any:
    items, levels, *masks = primals
    if not is_zero(tangents[1]):
        raise ValueError(CONSTANT)
    rounded, points = _at_levels(*primals, **attributes)
    tangent = None
    if not is_zero(tangents[0]):
        tangent = product(
            items,
            levels,
            points,
            points,
            tangents[0],
            *masks,
            transposed=False,
            from_centers=False,
            **attributes,
        )
    return [rounded, points], [tangent, None]


_at_levels.has_jvp(_jvp_of_points)
product.is_own_transpose_in(lambda *_, **__: (4,))


def _product_by_weights(
    items: Array,
    levels: Array,
    _points: Array,
    _densities: Array,
    vector: Array,
    mask: Array | None = None,
    *,
    regularization_strength: float,
    method: str,
    transposed: bool,
    from_centers: bool,
) -> Array:
    """What the kernel of products returns, as a formula that is differentiable in the items."""
    values, _ = centered(items, mask)
    points = points_at_levels(values, levels, mask, regularization_strength, method)
    counted = jnp.isfinite(items)
    if mask is not None:
        counted = counted & mask
    weights = _weights(values, points, counted, regularization_strength, method)
    of_list = jnp.where(counted, items, 0).sum(-1, keepdims=True)
    of_unknown = unknown(jnp.isnan(points).any(-1, keepdims=True), of_list)
    if transposed:
        factors = jnp.where(jnp.isfinite(points), vector, 0)
        sums = (weights * factors[..., None]).sum(-2)
        undefined = jnp.isnan(points).any(-1, keepdims=True) & counted
        return jnp.where(counted, jnp.where(undefined, of_unknown, sums), 0)
    sums = (weights * jnp.where(counted, vector, 0)[..., None, :]).sum(-1)
    return jnp.where(jnp.isnan(points), of_unknown, sums)


product.has_derivative_by(_product_by_weights, vector=4, items=0)


def _weights(values: Array, points: Array, counted: Array, strength: float, method: str) -> Array:
    """W, [*, L, n]."""
    known = jnp.isfinite(points) & counted.any(-1, keepdims=True)
    x = jnp.where(counted, values, 0)[..., None, :]
    b = jnp.where(known, points, 0)[..., None]
    # So that no difference, nor its square, overflows: the limit is the same.
    farthest = 1e150 if values.dtype == jnp.float64 else 1e18
    largest = jnp.maximum(jnp.abs(stop_gradient(x)).max(-1, keepdims=True), 1 / farthest)
    d = (b - x) * jnp.minimum(farthest / largest, strength)
    items = counted[..., None, :]
    logits = jnp.where(items, log_density(d, method, items), -jnp.inf)
    # Of a list in which nothing counts all weights are 0, and not NaN.
    logits = jnp.where(known[..., None], logits, 0)
    largest_logit = stop_gradient(logits.max(-1, keepdims=True))
    shares = jnp.where(items & known[..., None], jnp.exp(logits - largest_logit), 0)
    sums = shares.sum(-1, keepdims=True)
    return shares / jnp.where(sums > 0, sums, 1)
