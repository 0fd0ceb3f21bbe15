"""Soft sorted values."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    SMOOTH_CDFS,
    Method,
    Scale,
    Strength,
    check_bool,
    plain,
)
from rank_relax_jax._kernel import (
    BITS,
    Kernel,
    is_zero,
    like_first,
    sharded_alike,
    total,
    unknown,
)
from rank_relax_jax._relaxed import RelaxedLists
from rank_relax_jax._scaled import centered
from rank_relax_jax.counts import kernel_sum

# By a smooth CDF y_k solves Σ_j F(α (y_k - x_j)) = k - 1/2, so that
#
#     dy_k/dx_j = F'(α (y_k - x_j)) / D_k,    D_k = Σ_j F'(α (y_k - x_j)).
#
# Products with that have a kernel; where one is differentiated in turn it is the two sums of a
# formula, with the y_k functions of x again.


def _values_and_points(items: Any, *_: Any, **__: Any) -> list[Any]:
    size = items.shape[-1]
    return [((size,), items.dtype), ((size, 2), BITS), ((size, 2), BITS)]


_sort = Kernel("soft_sort", _values_and_points, is_single=False)  # x [, mask]
_product = Kernel("soft_sort_product", like_first)  # x, points, densities, vector [, mask]


def _jvp_of_sort(
    primals: Any, tangents: Any, *, regularization_strength: float, method: str
) -> Any:
    items, *masks = primals
    _, points, densities = results = _sort(
        *primals, regularization_strength=regularization_strength, method=method
    )
    tangent = None
    if not is_zero(tangents[0]):
        tangent = _product(
            items,
            points,
            densities,
            tangents[0],
            *masks,
            regularization_strength=regularization_strength,
            method=method,
            transposed=False,
        )
    return list(results), [tangent, None, None]


_sort.has_jvp(_jvp_of_sort)
_product.is_own_transpose_in(lambda *_, **__: (3,))


def _product_by_sums(
    items: Array,
    _points: Array,
    _densities: Array,
    vector: Array,
    mask: Array | None = None,
    *,
    regularization_strength: float,
    method: str,
    transposed: bool,
) -> Array:
    """What the kernel of products returns, as a formula that is differentiable in the items."""
    unmasked = jnp.ones_like(items, dtype=bool) if mask is None else mask
    counted = unmasked & jnp.isfinite(items)
    undefined = unmasked & jnp.isnan(items)
    values, _ = centered(items, mask)
    operands = () if mask is None else (mask,)
    points, *_ = _sort(
        values, *operands, regularization_strength=regularization_strength, method=method
    )
    # Between -inf before and inf behind them.
    below = (unmasked & (items == -jnp.inf)).sum(-1, keepdims=True)
    place = jnp.arange(items.shape[-1])
    known = (place >= below) & (place < below + counted.sum(-1, keepdims=True))
    values, points = jnp.where(counted, values, 0), jnp.where(known, points, 0)
    shrink = 1 / max(regularization_strength, 1.0)  # so that α does not make a sum overflow

    def density_sum(targets: Array, sources: Array, weights: Array) -> Array:
        sums = kernel_sum(
            targets, sources, (weights * shrink)[..., None, :], regularization_strength, method, 1
        )
        return sums[..., 0, :] / (regularization_strength * shrink)

    density = density_sum(points, values, counted.astype(items.dtype))
    density = jnp.where(known, density, 1)
    if transposed:
        weights = jnp.where(known, vector, 0) / density
        sums = jnp.where(counted, density_sum(values, points, weights), 0)
        return jnp.where(undefined, unknown(undefined, items), sums)
    sums = density_sum(points, values, jnp.where(counted, vector, 0)) / density
    number = undefined.sum(-1, keepdims=True)
    end = unmasked.sum(-1, keepdims=True)
    last = (place >= end - number) & (place < end)
    of_undefined = jnp.where(undefined, items, 0).sum(-1, keepdims=True)
    return jnp.where(last, unknown(last, of_undefined), jnp.where(known, sums, 0))


_product.has_derivative_by(_product_by_sums, vector=3, items=0)

# By a projection J, the Jacobian of the sorted values, shares out each block of places among its
# items with weights r. It is constant between kinks for l2; for kl the weights r = softmax(-x) of a
# block move by dr = -r ⊙ (dx - <r, dx>), so that, with Pᵀ from places to items,
#
#     d(Jᵀg) = -Jᵀg ⊙ (dx - PᵀJ dx)
#     d(Jv)  = Jv ⊙ J dx - J(v ⊙ dx).


def _values_and_blocks(items: Any, *_: Any, **__: Any) -> list[Any]:
    size = items.shape[-1]
    return [((size,), items.dtype), ((size,), jnp.int32), ((size,), jnp.int32)]


_projection = Kernel("projection_sort", _values_and_blocks, is_single=False)  # x [, mask]
# x, permutation, blocks, vector [, mask]
_projection_product = Kernel("projection_sort_product", like_first)


def _jvp_of_projection(primals: Any, tangents: Any, **attributes: Any) -> Any:
    items, *masks = primals
    values, permutation, blocks = _projection(*primals, **attributes)
    tangent = None
    if not is_zero(tangents[0]):
        tangent = _projection_product(
            items, permutation, blocks, tangents[0], *masks, transposed=False, **attributes
        )
    return [values, permutation, blocks], [tangent, None, None]


def _jvp_of_projection_product(
    primals: Any, tangents: Any, *, transposed: bool, method: str, regularization_strength: float
) -> Any:
    items, permutation, blocks, vector, *masks = primals

    def product(of_which: Array, *, transposed: bool) -> Array:
        return _projection_product(  # type: ignore[no-any-return]
            items,
            permutation,
            blocks,
            of_which,
            *masks,
            transposed=transposed,
            method=method,
            regularization_strength=regularization_strength,
        )

    place_of_item = jnp.argsort(permutation, axis=-1)

    def to_items(places: Array) -> Array:
        return jnp.take_along_axis(places, place_of_item, axis=-1)

    def inside(of_items: Array) -> Array:
        """What stands at items outside of all blocks is ignored."""
        return jnp.where(to_items(blocks) < 0, 0, of_items)

    result = product(vector, transposed=transposed)
    terms = []
    if not is_zero(tangents[3]):
        terms.append(product(tangents[3], transposed=transposed))
    if not is_zero(tangents[0]) and method == "kl":
        direction = tangents[0]
        moved = product(direction, transposed=False)
        if transposed:
            terms.append(-result * inside(inside(direction) - to_items(moved)))
        else:
            both = product(inside(vector) * inside(direction), transposed=False)
            terms.append(result * moved - both)
    return [result], [total(terms)]


_projection.has_jvp(_jvp_of_projection)
_projection_product.has_jvp(_jvp_of_projection_product)
_projection_product.is_own_transpose_in(lambda *_, **__: (3,))


def _sorted(items: Array, mask: Array | None, strength: float, method: str) -> Array:
    operands = () if mask is None else (mask,)
    kernel = _sort if method in SMOOTH_CDFS else _projection
    return kernel(items, *operands, regularization_strength=strength, method=method)[0]  # type: ignore[no-any-return]


def soft_sort(
    input: Array,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    descending: bool = False,
    mask: Array | None = None,
    scale: Scale = None,
    temperature: Strength | None = None,
) -> Array:
    r"""Soft sorted values of every list, ascending.

    .. math:: y_k: \quad \sum_j F(\alpha (y_k - x_j)) = k - \tfrac12, \qquad k = 1, \ldots, n

    with F a smooth CDF and α the ``regularization_strength``: ``jnp.sort`` as α grows. Each value
    is a weighted mean of the items to first order. The outermost lie outside of the data, by up to
    ln(2n - 1)/α. Or the projection of the places onto the permutahedron of the values: piecewise
    linear (``"l2"``), or smooth between kinks (``"kl"``).

    Args:
        input: Values, of any shape, float64, float32, bfloat16 or float16.
        regularization_strength: Sharpness α > 0: larger is closer to the hard sort. In units of
            1/value for the smooth CDFs; for ``"l2"`` in units of the value. A 0-dim array may be
            traced (not for ``"kl"``); where its value is not positive and finite the values that
            count are NaN.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"`` or ``"cauchy"``, whose cost is O(n²);
            or a projection, ``"l2"`` or ``"kl"``.
        dim: The dimension that holds a list.
        descending: Sort -x instead, and negate: the largest comes first. Masked items and NaN stay
            at the end.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't count
            take up the last places, with 0, whatever they hold, and have gradient 0.
        scale: ``"std"`` sorts the values in units of their list's own standard deviation.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Values of the shape and dtype of ``input``: -inf, the soft sorted finite values, inf, NaN,
        and 0 for each masked item. Infinities have gradient 0, NaN has NaN.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or a mask of another shape.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of ``rank_relax.soft_sort``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> x = jnp.array([0.3, 2.0, -1.0])
        >>> [f"{each:.4f}" for each in rank_relax_jax.soft_sort(x)]
        ['-1.6303', '0.4089', '2.5188']
    """
    lists = RelaxedLists(
        "soft_sort", input, regularization_strength, temperature, method, dim, mask, scale
    )
    check_bool("soft_sort", "descending", descending)
    strength, values, mask = lists.strength, lists.values, lists.mask
    if isinstance(strength, Array) and method == "kl":
        raise ValueError(
            "soft_sort: regularization_strength must be a float for method 'kl', whose sorted "
            "values are not those of scaled ones, got an array; give it as a float, or take 'l2'"
        )
    if mask is not None:
        values, mask = sharded_alike([values, mask], values.ndim - 1)
    values = -values if descending else values
    # By l2 a strength is in units of the value.
    factor = 1 / strength if isinstance(strength, Array) and method == "l2" else strength
    values, restored = lists.scaled(values, factor)
    ordered = restored(_sorted(values, mask, plain(strength), method))
    if descending:
        ordered = -ordered
    if mask is not None:  # no points, and no -0
        place = jnp.arange(values.shape[-1])
        ordered = jnp.where(place >= mask.sum(-1, keepdims=True), 0, ordered)
    return lists.as_given(ordered)
