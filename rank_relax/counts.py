"""Soft counts: sums over the values of a list at points of one's own."""

import numbers

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    SMOOTH_CDFS,
    SmoothCdf,
    check_mask,
    check_method,
    check_tensor,
)
from rank_relax._integers import in_int64, is_integer
from rank_relax._scores import plain, result_dtype, strength_beside
from rank_relax._sharding import whole_lists
from rank_relax._strength import Strength, checked_strength, strength_given, widest_dtype


@public
def soft_count(
    points: Tensor,
    values: Tensor,
    weights: Tensor | None = None,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    mask: Tensor | None = None,
    order: int = 0,
    offsets: Tensor | None = None,
    point_offsets: Tensor | None = None,
    keys: Tensor | None = None,
    point_keys: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""How much of a list lies below each point, softly: a weighted, smoothed count.

    .. math:: C_i = \sum_j w_j F(\alpha (t_i - x_j))

    at points t of values x, with F a smooth CDF and α the ``regularization_strength``: the weight
    of the values below the point as α grows, half of it for values that equal it. What ranks, AUC,
    Kendall's tau and every pairwise loss is made of. On the CPU in O(1) an item for orders up to 2
    and all methods but ``"cauchy"``, where the sum over pairs of two lists of 10⁶ has 10¹² terms;
    over these pairs elsewhere. Sixteen times differentiable, in points, values and weights.

    Args:
        points: Where to count: ``[..., m]``, float64, float32, bfloat16 or float16.
        values: What is counted: ``[..., n]``, the same batch shape. Another floating dtype is
            promoted.
        weights: What each value counts, of either sign: ``[..., n]``, or ``[..., K, n]`` for K
            counts at once. 1 if not given.
        regularization_strength: Sharpness α > 0, in units of 1/value: larger is closer to the hard
            count. A 0-dim tensor makes it learnable; where its value is not positive and finite the
            counts are NaN.
        method: ``"sigmoid"``, F(d) = 1/(1 + e^-d), ``"gaussian"``, F = Φ, ``"laplace"``,
            F = e^d/2 below 0, or ``"cauchy"``, F = 1/2 + arctan(d)/π, which costs O(m n).
        mask: Bool, of the shape of ``values``, true where a value counts.
        order: 0 for counts; p > 0 for their p-th derivative in t, which is the density of the
            smoothed list for p = 1; -1 for their integral, of H(α (t_i - x_j)) / α where H' = F:
            H(d) = log(1 + e^d) for the sigmoid, whose sum is that of a pairwise logistic loss.
            (That of the Cauchy is 0 at d = 0, the others vanish far below.)
        offsets: Where the lists in a row end, if it holds several: int64, ``[..., L + 1]``, from 0
            to n and nowhere falling; a list may be empty. Points see their own list alone.
        point_offsets: The same of the points; those of the values if not given.
        keys: Numbers by which values are ordered, ``[..., n]`` of any real dtype: each point counts
            values of smaller keys alone, on the CPU in O(n log n) or less where all values would be
            counted in O(n), that is for orders up to 2 and all methods but ``"cauchy"``. With
            labels for keys, and items for points and values, the sum over the pairs that labels
            order. Equal keys are not smaller, nor is NaN. Without derivative.
        point_keys: The same of the points, ``[..., m]``; those of the values if not given.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Counts ``[..., m]``, or ``[..., K, m]``, of the dtype that points, values and weights are
        promoted to (float32 under autocast for the half precisions). Accurate to a rounding or a
        few of the sum of the sizes of the terms, and so relative to themselves where weights are
        positive. NaN at a point that is NaN; values that are NaN count nowhere; equal infinities
        count as equals, with derivative 0.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value or a shape that is not listed here.

    References:
        The empirical CDF with each step smoothed, as in kernel estimates of distribution functions:
        Nadaraya, "Some new estimates for distribution functions", 1964.

    Example:
        >>> import torch, rank_relax
        >>> values = torch.tensor([1.0, 2.0, 4.0])
        >>> rank_relax.soft_count(torch.tensor([0.0, 2.0, 9.0]), values)
        tensor([0.4061, 1.3503, 2.9921])
        >>> weights = torch.tensor([1.0, 10.0, 100.0])
        >>> rank_relax.soft_count(torch.tensor([2.5]), values, weights, 50.0)
        tensor([11.])
        >>> keys = torch.tensor([1, 3, 2])  # each point counts values of smaller ones
        >>> rank_relax.soft_count(values, values, weights, 50.0, keys=keys)
        tensor([0., 1., 1.])
    """
    check_tensor("soft_count", "points", points)
    check_tensor("soft_count", "values", values)
    for name, tensor in (
        ("weights", weights),
        ("offsets", offsets),
        ("point_offsets", point_offsets),
        ("keys", keys),
        ("point_keys", point_keys),
    ):
        if tensor is not None:
            check_tensor("soft_count", name, tensor)
    check_mask("soft_count", mask)
    strength = strength_given("soft_count", regularization_strength, temperature)
    strength = checked_strength("soft_count", strength)
    check_method("soft_count", method, SMOOTH_CDFS)
    if isinstance(order, bool) or not isinstance(order, numbers.Integral):
        raise TypeError(f"soft_count: order must be an int, got {order!r}")
    points, values = whole_lists(points), whole_lists(values)
    if keys is not None and point_keys is not None and keys.dtype != point_keys.dtype:
        raise TypeError(
            f"soft_count: point_keys must have the dtype of keys, {keys.dtype}, got "
            f"{point_keys.dtype}; convert one of them"
        )
    keys = None if keys is None else whole_lists(in_dtype_of_keys(keys))
    point_keys = None if point_keys is None else whole_lists(in_dtype_of_keys(point_keys))
    call = torch.ops.rank_relax.soft_count.default
    if not isinstance(strength, Tensor):
        return call(
            points,
            values,
            weights,
            strength,
            method,
            mask,
            order,
            offsets,
            point_offsets,
            keys,
            point_keys,
        )
    factor = _factor(strength, values)
    dtype = result_dtype(torch.promote_types(points.dtype, values.dtype), values.device)
    counts = call(
        _scaled(points, factor, None),
        _scaled(values, factor, mask),
        weights,
        plain(strength),
        method,
        mask,
        order,
        offsets,
        point_offsets,
        keys,
        point_keys,
    )
    counts = counts * factor**order if order else counts
    return counts.to(dtype if weights is None else torch.promote_types(dtype, weights.dtype))


def in_dtype_of_keys(keys: Tensor) -> Tensor:
    """Keys in a dtype of the operator, in which no two are rounded to one."""
    if is_integer(keys.dtype):
        return in_int64(keys)
    return keys.float() if keys.dtype in (torch.float16, torch.bfloat16) else keys


def in_opposite_order(keys: Tensor) -> Tensor:
    """Such keys, of which the smaller ones are the larger."""
    return -keys if keys.is_floating_point() else ~keys  # -k - 1, in range for every integer


def _scaled(items: Tensor, factor: Tensor, mask: Tensor | None) -> Tensor:
    """The items by the factor, whose gradient has no part of 0 times infinity or NaN."""
    items = items.to(factor.dtype)
    counts = torch.isfinite(items)
    if mask is not None:
        counts = counts & mask
    others = torch.where(torch.isnan(factor), factor.detach(), items)
    return torch.where(counts, torch.where(counts, items, 0) * factor, others)


def _factor(strength: Tensor, values: Tensor) -> Tensor:
    """The strength where the values are, NaN where it is none."""
    factor = strength_beside(values, strength).to(widest_dtype(values.device))
    sound = (factor > 0) & torch.isfinite(factor)
    return torch.where(sound, factor, torch.nan)
