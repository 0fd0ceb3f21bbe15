"""Soft sorted values."""

import torch
from torch import Tensor, nn

from rank_relax._calls import no_dim_at, public
from rank_relax._checks import (
    Method,
    check_bool,
    check_choice,
    check_mask,
    check_method,
    check_same_shape,
    check_tensor,
    checked_dim,
)
from rank_relax._ragged import (
    check_offsets,
    in_one_row,
    like_nested,
    number_of_list,
    place_in_list,
    ragged,
)
from rank_relax._scores import Scale, in_float64, is_scaled, plain, result_dtype
from rank_relax._sharding import beside, whole_lists
from rank_relax._strength import (
    DTYPES,
    Strength,
    checked_strength,
    describe_strength,
    set_strength,
    strength_given,
)


@public
@no_dim_at(1)
def soft_sort(
    input: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    descending: bool = False,
    mask: Tensor | None = None,
    scale: Scale = None,
    offsets: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft sorted values of every list, ascending.

    .. math:: y_k: \quad \sum_j F(\alpha (y_k - x_j)) = k - \tfrac12, \qquad k = 1, \ldots, n

    with F a smooth CDF and α the ``regularization_strength``: the values at which the smoothed
    count of items reaches the middle of each place, and ``torch.sort`` as α grows. Where
    :func:`rank_relax.soft_rank` evaluates the smoothed empirical CDF, this inverts it. Each value
    is a weighted mean of the items to first order, dy_k = Σ_j w_kj dx_j with weights F' that add up
    to 1. The outermost lie outside of the data, by up to ln(2n - 1)/α. Or the projection of the
    places onto the permutahedron of the values: piecewise linear (``"l2"``), or smooth between
    kinks (``"kl"``).

    Args:
        input: Values, of any shape and strides, float64, float32, bfloat16 or float16.
        regularization_strength: Sharpness α > 0: larger is closer to the hard sort. In units of
            1/value for the smooth CDFs; for ``"l2"`` in units of the value, the widest gap between
            neighbours in a block, as 1/ε is in :mod:`rank_relax.torchsort`. A 0-dim tensor makes it
            learnable (not for ``"kl"``), and is the way to schedule it under ``torch.compile``;
            where its value is not positive and finite the values that count are NaN.
        method: ``"sigmoid"``, F(d) = 1/(1 + e^-d), ``"gaussian"``, F = Φ, ``"laplace"``,
            F = e^d/2 below 0, or ``"cauchy"``, F = 1/2 + arctan(d)/π, whose cost is O(n²); or a
            projection, ``"l2"`` or ``"kl"``.
        dim: The dimension that holds a list.
        descending: Sort -x instead, and negate: the largest comes first. Masked items and NaN stay
            at the end.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't count
            take up the last places, with 0, whatever they hold, and have gradient 0.
        scale: ``"std"`` sorts the values in units of their list's own standard deviation (the
            population's, over finite items that count), gradient included, so that one strength
            serves any scale. The result is in the values' own unit.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, where
            ``input`` is ``[N]`` and holds lists of any lengths, one behind the other.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Values of the shape of ``input``, and of its dtype (float32 under autocast for the half
        precisions): -inf, the soft sorted finite values, inf, NaN, and 0 for each masked item.
        Infinities have gradient 0, NaN has NaN. One value alone is itself.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or a mask of another shape.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        The smoothed empirical CDF and its inverse as one relaxation of ranks, sorting and top k:
        Struski et al., "LapSum", 2025 (with the Laplace CDF). Blondel, Teboul, Berthet, Djolonga,
        "Fast differentiable sorting and ranking", 2020 (l2, kl).

    Example:
        >>> import torch, rank_relax
        >>> x = torch.tensor([0.3, 2.0, -1.0])
        >>> rank_relax.soft_sort(x)
        tensor([-1.6303,  0.4089,  2.5188])
        >>> rank_relax.soft_sort(x, 100.0)
        tensor([-1.0000,  0.3000,  2.0000])
    """
    check_tensor("soft_sort", "input", input)
    check_mask("soft_sort", mask)
    given = input
    input, mask, offsets = in_one_row("soft_sort", offsets, input=input, mask=mask)
    strength = strength_given("soft_sort", regularization_strength, temperature)
    strength = checked_strength("soft_sort", strength)
    dim = checked_dim("soft_sort", dim)
    _check_options("soft_sort", method, descending, scale)
    _check_strength_of_kl("soft_sort", strength, method)
    moved = dim != -1
    scores = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("soft_sort", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    scores, mask = whole_lists(scores), whole_lists(mask)
    if descending and scores.dtype in DTYPES:  # the operator refuses the others
        scores = -scores
    if offsets is not None:
        check_offsets("soft_sort", offsets, "input", input)
        ordered = ragged("soft_sort", scores, offsets, strength, scale, method, mask)
    elif is_scaled(scores, strength, scale):
        ordered = in_float64("soft_sort", scores, strength, scale, method, mask)
    else:
        ordered = torch.ops.rank_relax.soft_sort.default(scores, plain(strength), method, mask)
    if descending:
        ordered = -ordered
        if mask is not None:  # no -0
            places = beside(scores, place_in_list(scores, offsets))
            ordered = ordered.masked_fill(places >= number_of_list(mask, offsets), 0)
    ordered = ordered.to(result_dtype(input.dtype, input.device))
    return like_nested(given, ordered.movedim(-1, dim) if moved else ordered)


def _check_options(function: str, method: object, descending: object, scale: object) -> None:
    check_method(function, method)
    check_bool(function, "descending", descending)
    check_choice(function, "scale", scale, (None, "std"))


def _check_strength_of_kl(function: str, strength: Strength, method: str) -> None:
    if isinstance(strength, Tensor) and method == "kl":
        raise ValueError(
            f"{function}: regularization_strength must be a float for method 'kl', whose sorted "
            "values are not those of scaled ones, got a tensor; give its .item(), or take 'l2'"
        )


class SoftSort(nn.Module):
    """Soft sorted values of every list, as a module.

    Args:
        regularization_strength: As in :func:`soft_sort`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`soft_sort`, like all that follow.
        dim: The dimension that holds a list.
        descending: Whether the largest value comes first.
        scale: ``"std"`` to sort a list in units of its standard deviation.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``input`` of any shape, ``mask`` of the same; returns the shape of ``input``.

    Raises:
        TypeError, ValueError: for an option that :func:`soft_sort` would refuse; when called,
            as it does.

    References:
        Those of :func:`soft_sort`.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.SoftSort(2.0, descending=True)(torch.tensor([[0.0, 1.0, 3.0]]))
        tensor([[ 3.0380,  1.1394, -0.1784]])
    """

    regularization_strength: Strength
    temperature: Strength | None

    def __init__(
        self,
        regularization_strength: Strength = 1.0,
        *,
        method: Method = "sigmoid",
        dim: int = -1,
        descending: bool = False,
        scale: Scale = None,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_strength(self, "SoftSort", regularization_strength, temperature)
        _check_options("SoftSort", method, descending, scale)
        _check_strength_of_kl("SoftSort", regularization_strength, method)
        self.method: Method = method
        self.dim = checked_dim("SoftSort", dim)
        self.descending = descending
        self.scale: Scale = scale

    def forward(
        self, input: Tensor, mask: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Returns ``soft_sort(input, mask=mask)`` with the module's options."""
        return soft_sort(
            input,
            regularization_strength=self.regularization_strength,
            method=self.method,
            dim=self.dim,
            descending=self.descending,
            mask=mask,
            scale=self.scale,
            offsets=offsets,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_strength(self)}, method={self.method!r}, "
            f"dim={self.dim}, descending={self.descending}, scale={self.scale!r}"
        )
