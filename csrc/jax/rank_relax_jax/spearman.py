"""Spearman's rank correlation as a loss."""

from __future__ import annotations

from typing import Any, Literal

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax import ranks
from rank_relax_jax._checks import (
    Method,
    Reduction,
    Scale,
    Strength,
    at_least_float32,
    check_choice,
    check_method,
    check_reduction,
    check_same_shape,
    checked_dim,
    checked_items,
    checked_mask,
    checked_scores,
    is_integer,
    plain,
    strength_given,
    warn_of_single_items,
)
from rank_relax_jax._kernel import Kernel, is_zero, like_first, tangent_of, total, unknown
from rank_relax_jax._library import linear_spread
from rank_relax_jax._scaled import ScaledList, is_scaled
from rank_relax_jax.hard_ranks import centered_hard_rank

TargetRanks = Literal["hard", "soft"]


def _losses(predictions: Any, *_: Any, **__: Any) -> list[Any]:
    of_items = ((predictions.shape[-1],), predictions.dtype)
    return [((), predictions.dtype), of_items, of_items]


_loss = Kernel("spearman_loss", _losses, is_single=False)  # predictions, targets [, mask]
# One side, the other, the loss's gradient with respect to the ranks of the one [, mask].
_gradient = Kernel("spearman_gradient", like_first)


def _jvp_of_loss(
    primals: Any, tangents: Any, *, are_ranks: bool, regularization_strength: float, method: str
) -> Any:
    predictions, targets, *masks = primals
    attributes = {"regularization_strength": regularization_strength, "method": method}
    losses, of_predictions, of_targets = _loss(*primals, are_ranks=are_ranks, **attributes)
    sides = [(predictions, targets, of_predictions, tangents[0])]
    if not are_ranks:
        sides.append((targets, predictions, of_targets, tangents[1]))
    terms = []
    for side, other, of_ranks, tangent in sides:
        if is_zero(tangent):
            continue
        gradient = _gradient(side, other, of_ranks, *masks, are_ranks=are_ranks, **attributes)
        # Infinite and masked items have gradient 0, whatever their tangent holds.
        ignored = jnp.isinf(side)
        if masks:
            ignored = ignored | ~masks[0]
        terms.append(jnp.where(ignored, 0, gradient * tangent).sum(-1))
    return [losses, of_predictions, of_targets], [total(terms), None, None]


def _jvp_of_gradient(primals: Any, tangents: Any, **attributes: Any) -> Any:
    side, other, _, *masks = primals

    def of_sides(side: Array, other: Array) -> Array:
        return _gradient_by_ranks(side, other, masks[0] if masks else None, **attributes)

    return [_gradient(*primals, **attributes)], [
        tangent_of(of_sides, [side, other], list(tangents[:2]))
    ]


_loss.has_jvp(_jvp_of_loss)
_gradient.has_jvp(_jvp_of_gradient)


def _stretched(
    side: Array, mask: Array | None, strength: float, method: str
) -> tuple[Array, Array, Array]:
    """A side with narrow lists stretched as core/correlation.h does.

    The point at which its soft ranks are taken, and the factors by which each list was stretched:
    two, since their product may overflow.
    """
    fixed = stop_gradient(side)
    finite, infinite = jnp.isfinite(fixed), jnp.isinf(fixed)
    if mask is not None:
        finite, infinite = finite & mask, infinite & mask
    low = jnp.where(finite, fixed, jnp.inf).min(-1, keepdims=True)
    high = jnp.where(finite, fixed, -jnp.inf).max(-1, keepdims=True)
    spread = high - low
    largest = 1e307 if side.dtype == jnp.float64 else 1e37
    is_spread = spread > 0
    wanted = jnp.minimum(linear_spread(method) / jnp.where(is_spread, spread, 1), largest)
    narrow = is_spread & (wanted > strength) & ~infinite.any(-1, keepdims=True)
    first = jnp.where(narrow, wanted, 1)
    second = jnp.where(narrow, min(1 / strength, largest), 1)
    center = jnp.where(narrow, low, 0)
    return (side - center) * first * second, first, second


def _gradient_by_ranks(
    side: Array,
    other: Array,
    mask: Array | None,
    *,
    are_ranks: bool,
    regularization_strength: float,
    method: str,
) -> Array:
    """What the kernel returns, as a formula that is differentiable: core/correlation.h's."""
    if side.shape[-1] == 0:
        return side
    point, first, second = _stretched(side, mask, regularization_strength, method)
    a = ranks.derivative(point, mask, (), regularization_strength, method)
    if are_ranks:
        b = other if mask is None else jnp.where(mask, other, 0)
    else:
        of_other, _, _ = _stretched(other, mask, regularization_strength, method)
        b = ranks.derivative(of_other, mask, (), regularization_strength, method)
    square_a, square_b = _square(a), _square(b)
    constant = (square_a == 0) | (square_b == 0)
    norm_a = jnp.sqrt(jnp.where(constant, 1, square_a))
    norm_b = jnp.sqrt(jnp.where(constant, 1, square_b))
    unit_a = a / norm_a
    delta = b / norm_b - unit_a
    loss = _square(delta) / 2
    of_ranks = jnp.where(constant, 0, -(delta + loss * unit_a) / norm_a)
    gradient = (
        ranks.derivative(point, mask, (of_ranks,), regularization_strength, method) * second * first
    )
    # Every item of a list whose loss is NaN, infinities too, as in the kernel.
    undefined = jnp.isnan(loss) if mask is None else jnp.isnan(loss) & mask
    of_unknown = unknown(undefined, side)
    if not are_ranks:
        of_unknown = of_unknown + unknown(undefined, other)
    return jnp.where(undefined, of_unknown, gradient)


def _square(x: Array) -> Array:
    return (x * x).sum(-1, keepdims=True)


def spearman_loss(
    predictions: Array,
    targets: Array,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    mask: Array | None = None,
    reduction: Reduction = "mean",
    scale: Scale = None,
    target_ranks: TargetRanks = "hard",
    temperature: Strength | None = None,
) -> Array:
    r"""One minus Spearman's rank correlation, with soft ranks of the predictions.

    .. math:: L = 1 - \mathrm{Pearson}(R(p), r(t)) \in [0, 2]

    Predictions are ranked along ``dim`` by :func:`soft_rank`, targets by :func:`hard_rank`, or
    softly as well. Differentiable as many times as ranks are.

    Args:
        predictions: Scores, of any shape: float64, float32, bfloat16 or float16.
        targets: What they should be ordered like, of the same shape: a dtype of the predictions, an
            integer one or bool. Integers are compared exactly; they are ranked hard. Where both
            sides are ranked softly, two floating dtypes are promoted.
        regularization_strength: Sharpness α > 0 of the soft ranks, as in :func:`soft_rank`.
        method: As in :func:`soft_rank`.
        dim: The dimension that holds a list.
        mask: Bool, of the shape of ``predictions``, true where a pair counts.
        reduction: ``"mean"`` or ``"sum"`` over the lists, or ``"none"`` for one loss per list.
        scale: ``"std"`` divides what is ranked softly by its list's own standard deviation.
        target_ranks: ``"hard"`` takes the hard ranks of the targets, ties averaged. ``"soft"``
            ranks both sides softly, with one strength: the loss has a gradient in the targets too,
            and depends on their distances.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        A scalar, or for ``reduction="none"`` an array of the shape without ``dim``, of the dtype of
        the predictions, or what they and softly ranked targets are promoted to. A list in which
        either side is constant has loss 1 and gradient 0, a list of one item or none has 0 and 0,
        and one that holds NaN has NaN.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, shapes that differ, or a derivative with
            respect to targets with ``target_ranks="hard"``.
        IndexError: for a ``dim`` that ``predictions`` does not have.

    References:
        The correlation is Spearman's (1904) with the soft ranks of :func:`soft_rank`.

    Example:
        >>> import jax, jax.numpy as jnp, rank_relax_jax
        >>> predictions = jnp.array([0.1, 0.4, 0.2])
        >>> loss = lambda p: rank_relax_jax.spearman_loss(p, jnp.array([1, 2, 3]))
        >>> print(f"{loss(predictions):.4f}")
        0.6727
        >>> [f"{each:.4f}" for each in jax.grad(loss)(predictions)]
        ['2.3381', '1.1690', '-3.5070']
    """
    p = checked_scores("spearman_loss", "predictions", predictions)
    t = checked_items("spearman_loss", "targets", targets)
    check_same_shape("spearman_loss", "targets", t, "predictions", p)
    mask = checked_mask("spearman_loss", mask, "predictions", p)
    strength = strength_given("spearman_loss", regularization_strength, temperature)
    dim = checked_dim("spearman_loss", dim, "predictions", p)
    check_method("spearman_loss", method)
    check_reduction("spearman_loss", reduction)
    check_choice("spearman_loss", "scale", scale, (None, "std"))
    check_choice("spearman_loss", "target_ranks", target_ranks, ("hard", "soft"))
    if target_ranks == "soft" and is_integer(t):
        raise ValueError(
            "spearman_loss: targets of an integer dtype are ranked hard, got "
            f"{t.dtype}; convert them with targets.astype(jnp.float32), or rank them hard"
        )
    warn_of_single_items("spearman_loss", "predictions", p, dim)
    p, t = jnp.moveaxis(p, dim, -1), jnp.moveaxis(t, dim, -1)
    if mask is not None:
        mask = jnp.moveaxis(mask, dim, -1)
    dtype = p.dtype if target_ranks == "hard" else jnp.promote_types(p.dtype, t.dtype)
    if target_ranks == "soft":
        p, t = p.astype(dtype), t.astype(dtype)
    p = at_least_float32(p)
    if is_scaled(strength, scale):
        p = ScaledList(p, strength, scale == "std", mask).values
        if target_ranks == "soft":
            t = ScaledList(t, strength, scale == "std", mask).values
    if target_ranks == "hard":
        t = centered_hard_rank(t, mask, p.dtype)
    losses: Array = _loss(
        p,
        t,
        *(() if mask is None else (mask,)),
        regularization_strength=plain(strength),
        method=method,
        are_ranks=target_ranks == "hard",
    )[0]
    losses = losses.astype(dtype)
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
