"""Hard ranks, ties averaged, of items of any real dtype."""

from __future__ import annotations

import contextlib
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from rank_relax_jax._checks import (
    check_bool,
    checked_dim,
    checked_items,
    checked_mask,
    is_floating,
    warn_of_single_items,
    widest_dtype,
)
from rank_relax_jax._kernel import Kernel, is_zero

# cpu/hard_rank.h's RankUnit.
_ITEMS, _FRACTION, _CENTERED = range(3)


def _ranks(items: Any, *_: Any, wide: bool, **__: Any) -> list[Any]:
    return [((items.shape[-1],), jnp.float64 if wide else jnp.float32)]


_hard_rank = Kernel("hard_rank", _ranks)  # items [, mask]


def _jvp(primals: Any, tangents: Any, **attributes: Any) -> Any:
    """Ranks are constant between jumps; targets of a loss are not to be taken for a function."""
    if attributes["unit"] == _CENTERED and not is_zero(tangents[0]):
        raise ValueError(
            "spearman_loss: targets have no gradient with target_ranks='hard': put them through "
            "jax.lax.stop_gradient, or rank them softly with target_ranks='soft'"
        )
    return [_hard_rank(*primals, **attributes)], [None]


_hard_rank.has_jvp(_jvp)


def centered_hard_rank(items: Array, mask: Array | None, dtype: Any) -> Array:
    """Hard ranks less their mean; where they are to have a derivative, an error."""
    operands = () if mask is None else (mask,)
    return _hard_rank(  # type: ignore[no-any-return]
        items, *operands, descending=False, unit=_CENTERED, wide=dtype == jnp.float64
    )


def hard_rank(
    input: Array,
    *,
    dim: int = -1,
    descending: bool = False,
    normalize: bool = True,
    mask: Array | None = None,
    dtype: Any = None,
) -> Array:
    r"""Hard rank of every item among the items of its list: equal items share their average.

    .. math:: R_i = \frac{1}{n-1} \Big(\#\{j : x_j < x_i\} +
        \tfrac12 \#\{j \neq i : x_j = x_i\}\Big)

    What :func:`soft_rank` tends to as its strength grows, found by a sort, O(n). Items are compared
    as they are, in their own dtype, never rounded to another.

    Args:
        input: Items, of any shape and of any real dtype.
        dim: The dimension that holds a list.
        descending: Rank in the other order: the largest item gets 0.
        normalize: If false, ranks are counts of smaller items, from 0 to n - 1.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of every comparison and of n; their rank is 0.
        dtype: Of the ranks: float64, float32, bfloat16 or float16. By default that of ``input`` if
            it is a floating one, and for integers and bools JAX's default dtype.

    Returns:
        Ranks of the shape of ``input``, counted exactly and rounded. A constant list has ½
        everywhere and a list of one item 0; infinities rank first and last; NaN gives NaN at its
        own place and is left out elsewhere. Ranks are constant between jumps: their derivative is
        0.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a mask of another shape, or an ``input`` without dimensions.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        ``scipy.stats.rankdata(method="average")``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> rank_relax_jax.hard_rank(jnp.array([5, 1, 5, 9]))
        Array([0.5, 0. , 0.5, 1. ], dtype=float32)
    """
    items = checked_items("hard_rank", "input", input)
    mask = checked_mask("hard_rank", mask, "input", items)
    dim = checked_dim("hard_rank", dim, "input", items)
    check_bool("hard_rank", "descending", descending)
    check_bool("hard_rank", "normalize", normalize)
    if dtype is None:
        result = items.dtype if is_floating(items) else widest_dtype()
    else:
        result = _checked_dtype(dtype)
    warn_of_single_items("hard_rank", "input", items, dim)
    operands = [jnp.moveaxis(items, dim, -1)]
    if mask is not None:
        operands.append(jnp.moveaxis(mask, dim, -1))
    unit = _FRACTION if normalize else _ITEMS
    wide = result == jnp.float64 and widest_dtype() == jnp.float64
    ranks = _hard_rank(*operands, descending=descending, unit=unit, wide=wide)
    return jnp.moveaxis(ranks, -1, dim).astype(result)


def _checked_dtype(dtype: object) -> np.dtype[Any]:
    """One of those that ranks may have; raises for others."""
    floating = [np.dtype(each) for each in (jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16)]
    with contextlib.suppress(TypeError):  # which says that it is none
        given: np.dtype[Any] = np.dtype(dtype)  # type: ignore[call-overload]
        if given in floating:
            return given
    raise TypeError(
        f"hard_rank: dtype must be float64, float32, bfloat16 or float16, got {dtype!r}"
    )
