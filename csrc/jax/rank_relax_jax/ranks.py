"""Soft ranks."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    Method,
    Scale,
    Strength,
    check_bool,
    plain,
    warn_of_single_items,
)
from rank_relax_jax._kernel import Kernel, is_zero, like_first, total
from rank_relax_jax._library import max_order
from rank_relax_jax._relaxed import RelaxedLists

# Every derivative of a soft rank is one kernel, k times linear: for a smooth CDF
#
#     D(v_1..v_k; x)_m = α^k/(n-1) Σ_j Π_l (v_l[m] - v_l[j]) F^(k)(α (x_m - x_j)),
#
# D(; x) = R - 1/2, and for a projection the like. <w, D(v_1..v_k; x)> is symmetric in w and the v_l
# together (csrc/torch/autograd/soft_rank.cpp says why), so that with w the cotangent of D, or the
# tangent of one argument,
#
#     with respect to v_l:   D(v_1 .. w for v_l .. v_k; x)
#     with respect to x:     D(v_1 .. v_k, w; x)


_rank = Kernel("soft_rank", like_first)  # x [, mask]
_derivative = Kernel("soft_rank_derivative", like_first)  # x [, mask], v_1, ..., v_k


def rank(items: Array, mask: Array | None, strength: float, method: str) -> Array:
    """R of lists along the last dimension, of float32 or float64."""
    operands = () if mask is None else (mask,)
    return _rank(items, *operands, regularization_strength=strength, method=method)  # type: ignore[no-any-return]


def derivative(
    items: Array, mask: Array | None, directions: tuple[Array, ...], strength: float, method: str
) -> Array:
    """D along the directions; without any, the centred rank R - 1/2."""
    if len(directions) > max_order(method):
        raise ValueError(
            f"soft_rank: directions must be at most {max_order(method)} arrays (method '{method}' "
            f"has no derivatives of a higher order), got {len(directions)}"
        )
    given = () if mask is None else (mask,)
    return _derivative(  # type: ignore[no-any-return]
        items,
        *given,
        *directions,
        regularization_strength=strength,
        method=method,
        has_mask=mask is not None,
    )


def _jvp_of_rank(
    primals: Any, tangents: Any, *, regularization_strength: float, method: str
) -> Any:
    items, *masks = primals
    mask = masks[0] if masks else None
    tangent = None
    if not is_zero(tangents[0]):
        tangent = derivative(items, mask, (tangents[0],), regularization_strength, method)
    return [rank(items, mask, regularization_strength, method)], [tangent]


def _split(operands: Any, has_mask: bool) -> tuple[Any, Any, tuple[Any, ...]]:
    first = 1 + has_mask
    return operands[0], operands[1] if has_mask else None, tuple(operands[first:])


def _jvp_of_derivative(
    primals: Any, tangents: Any, *, regularization_strength: float, method: str, has_mask: bool
) -> Any:
    items, mask, directions = _split(primals, has_mask)
    of_items, _, of_directions = _split(tangents, has_mask)

    def along(changed: tuple[Array, ...]) -> Array:
        return derivative(items, mask, changed, regularization_strength, method)

    terms = [] if is_zero(of_items) else [along((*directions, of_items))]
    for place, tangent in enumerate(of_directions):
        if not is_zero(tangent):
            terms.append(along((*directions[:place], tangent, *directions[place + 1 :])))
    return [along(directions)], [total(terms)]


_rank.has_jvp(_jvp_of_rank)
_derivative.has_jvp(_jvp_of_derivative)
_derivative.is_own_transpose_in(lambda *operands, has_mask, **_: range(1 + has_mask, len(operands)))


def soft_rank(
    input: Array,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    descending: bool = False,
    normalize: bool = True,
    mask: Array | None = None,
    scale: Scale = None,
    temperature: Strength | None = None,
) -> Array:
    r"""Soft rank of every item among the items of its list.

    .. math:: R_i = \frac{1}{n-1} \sum_{j \neq i} F(\alpha (x_i - x_j))

    with F a smooth CDF and α the ``regularization_strength``: nearest 0 for the smallest item,
    nearest 1 for the largest, and the hard ranks, divided by n - 1, as α grows. Sixteen times
    differentiable. Or the projection of α x onto the permutahedron: piecewise linear (``"l2"``), or
    smooth between kinks (``"kl"``, with derivatives up to the eighth).

    Args:
        input: Scores, of any shape, float64, float32, bfloat16 or float16.
        regularization_strength: Sharpness α > 0, in units of 1/score: larger is closer to the hard
            ranks. A number is a constant of the compiled function; a 0-dim array may be traced, so
            that it can be learnt or scheduled, and makes NaN of ranks where it is not positive and
            finite.
        method: ``"sigmoid"``, ``"gaussian"``, ``"laplace"`` or ``"cauchy"``; or a projection,
            ``"l2"`` or ``"kl"``.
        dim: The dimension that holds a list.
        descending: Rank -x instead: the largest item gets 0.
        normalize: If false, ranks are soft counts of smaller items, from 0 to n - 1.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of every comparison and of n; their rank and gradient are 0.
        scale: ``"std"`` divides the scores by their list's own standard deviation (the
            population's, over finite items that count), gradient included.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Ranks of the shape and dtype of ``input``. Equal items have equal ranks; a constant list has
        ½ everywhere; a list of one item has 0; infinities rank first and last with gradient 0; NaN
        gives NaN at its own place and is left out elsewhere.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or a mask of another shape.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of ``rank_relax.soft_rank``.

    Example:
        >>> import jax.numpy as jnp, rank_relax_jax
        >>> x = jnp.array([0.3, 2.0, -1.0])
        >>> [f"{each:.4f}" for each in rank_relax_jax.soft_rank(x)]
        ['0.4702', '0.8991', '0.1308']
        >>> rank_relax_jax.soft_rank(x, 100.0, normalize=False)
        Array([1., 2., 0.], dtype=float32)
    """
    lists = RelaxedLists(
        "soft_rank", input, regularization_strength, temperature, method, dim, mask, scale
    )
    check_bool("soft_rank", "descending", descending)
    check_bool("soft_rank", "normalize", normalize)
    warn_of_single_items("soft_rank", "input", lists.input, lists.dim)
    scores, mask = lists.values, lists.mask
    values, _ = lists.scaled(-scores if descending else scores)
    ranks = rank(values, mask, plain(lists.strength), method)
    if not normalize:
        counted = ~jnp.isnan(scores) if mask is None else mask & ~jnp.isnan(scores)
        ranks = ranks * jnp.maximum(counted.sum(-1, keepdims=True) - 1, 0).astype(ranks.dtype)
    return lists.as_given(ranks)
