"""torchsort's functions, with its signatures and its conventions.

``from rank_relax import torchsort`` in place of ``import torchsort``: ranks are counted from 1,
lists lie along the last dimension, and ``regularization_strength`` is torchsort's ε, the inverse of
what it is elsewhere in this package: larger is softer. Beyond torchsort, inputs may have any number
of dimensions, half precision is exact, infinities and NaN have results, and second derivatives are
right.
"""

import math
from typing import Literal, get_args

import torch
from torch import Tensor

import rank_relax.sorts
from rank_relax._calls import public
from rank_relax._checks import check_choice, check_scores, warn_of_single_items
from rank_relax._scores import in_float64, result_dtype
from rank_relax._strength import (
    NUMBERS,
    Strength,
    as_float,
    checked_strength,
    from_array,
    widest_dtype,
)

Regularization = Literal["l2", "kl"]

REGULARIZATIONS: tuple[str, ...] = get_args(Regularization)


@public
def soft_rank(
    values: Tensor,
    regularization: Regularization = "l2",
    regularization_strength: Strength = 1.0,
) -> Tensor:
    r"""Soft ranks from 1 to n, the largest for the largest value: ``torchsort.soft_rank``.

    The projection of ``values / regularization_strength`` onto the permutahedron of the ranks:
    ``1 + (n - 1) R`` with the R of :func:`rank_relax.soft_rank`, ``method=regularization`` and
    α = 1/ε.

    Args:
        values: Float64, float32, bfloat16 or float16, of shape ``[..., n]``.
        regularization: ``"l2"`` or ``"kl"``.
        regularization_strength: ε > 0: larger is softer. A tensor of one element makes it
            learnable.

    Returns:
        Ranks of the shape and dtype of ``values``. Infinities rank first and last with gradient 0;
        NaN gives NaN at its own place, and ranks count the other items.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here.

    References:
        Blondel, Teboul, Berthet, Djolonga, "Fast differentiable sorting and ranking", ICML 2020.
        https://github.com/teddykoker/torchsort

    Example:
        >>> import torch
        >>> from rank_relax import torchsort
        >>> x = torch.tensor([[8.0, 0.0, 5.0, 3.0, 2.0, 1.0, 6.0, 7.0, 9.0]])
        >>> torchsort.soft_rank(x, regularization_strength=1.0)
        tensor([[8., 1., 5., 4., 3., 2., 6., 7., 9.]])
        >>> torchsort.soft_rank(x, regularization_strength=9.0)
        tensor([[5.3827, 4.4938, 5.0494, 4.8272, 4.7160, 4.6049, 5.1605, 5.2716, 5.4938]])
    """
    strength = _inverse("soft_rank", values, regularization, regularization_strength)
    warn_of_single_items("soft_rank", "values", values)
    half = values.dtype in (torch.float16, torch.bfloat16)
    scores = values.float() if half else values  # rounded once, at the end
    if isinstance(strength, Tensor):
        ranks = in_float64("soft_rank", scores, strength, None, regularization, None)
        others = (~torch.isnan(values)).sum(-1, keepdim=True) - 1
        ranks = 1 + ranks * others.clamp(min=0)
    else:
        ranks = torch.ops.rank_relax._rank_from_one.default(scores, strength, regularization)
    return ranks.to(result_dtype(values.dtype, values.device))


@public
def soft_sort(
    values: Tensor,
    regularization: Regularization = "l2",
    regularization_strength: Strength = 1.0,
) -> Tensor:
    r"""Soft sorted values, ascending: ``torchsort.soft_sort``.

    The projection of the places ``(1..n) / regularization_strength`` onto the permutahedron of the
    values: gaps wider than 1/ε are narrowed to it (l2).

    Args:
        values: Float64, float32, bfloat16 or float16, of shape ``[..., n]``.
        regularization: ``"l2"`` or ``"kl"``.
        regularization_strength: ε > 0: larger is softer. A tensor of one element makes it
            learnable (``"l2"`` alone).

    Returns:
        Values of the shape and dtype of ``values``. Infinities keep their places at the ends, with
        gradient 0, and the finite values are sorted softly between them; NaN comes last.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here.

    References:
        As :func:`soft_rank`.

    Example:
        >>> import torch
        >>> from rank_relax import torchsort
        >>> x = torch.tensor([[8.0, 0.0, 5.0, 3.0, 2.0, 1.0, 6.0, 7.0, 9.0]])
        >>> torchsort.soft_sort(x, regularization_strength=1.0)
        tensor([[0.5556, 1.5556, 2.5556, 3.5556, 4.5556, 5.5556, 6.5556, 7.5556, 8.5556]])
        >>> torchsort.soft_sort(x, regularization_strength=0.1)
        tensor([[0., 1., 2., 3., 5., 6., 7., 8., 9.]])
    """
    strength = _inverse("soft_sort", values, regularization, regularization_strength)
    if isinstance(strength, Tensor):
        return rank_relax.sorts.soft_sort(
            values, regularization_strength=strength, method=regularization
        )
    sorted_values: Tensor = torch.ops.rank_relax.soft_sort.default(
        values, strength, regularization, None
    )
    return sorted_values


def _inverse(function: str, values: object, regularization: object, strength: Strength) -> Strength:
    """1/ε, after the checks of what the operators would not see or would name otherwise."""
    check_scores(function, "values", values)
    check_choice(function, "regularization", regularization, REGULARIZATIONS)
    strength = from_array(strength, torch.float64)
    if isinstance(strength, Tensor):
        checked = checked_strength(function, strength)
        assert isinstance(checked, Tensor)
        return checked.to(widest_dtype(checked.device)).reciprocal()
    if isinstance(strength, bool) or not isinstance(strength, NUMBERS):
        raise TypeError(f"{function}: regularization_strength must be a float, got {strength!r}")
    inverse = _reciprocal(strength)
    if inverse is None:
        raise ValueError(
            f"{function}: regularization_strength must be positive and finite, and so must its "
            f"inverse, got {strength}; larger is softer"
        )
    return inverse


def _reciprocal(strength: float) -> float | None:
    """1/ε in double precision, None unless both are positive and finite."""
    strength = as_float(strength)
    if not 0 < strength < math.inf:
        return None
    inverse = 1 / strength
    return inverse if 0 < inverse < math.inf else None
