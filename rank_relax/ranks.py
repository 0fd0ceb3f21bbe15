"""Soft ranks."""

import torch
from torch import Tensor, nn

from rank_relax._calls import public
from rank_relax._checks import (
    Method,
    check_bool,
    check_choice,
    check_mask,
    check_method,
    check_same_shape,
    check_tensor,
    checked_dim,
    warn_of_single_items,
)
from rank_relax._ragged import check_offsets, in_one_row, like_nested, number_of_list, ragged
from rank_relax._scores import Scale, in_float64, is_scaled, plain, result_dtype
from rank_relax._sharding import whole_lists
from rank_relax._strength import (
    DTYPES,
    Strength,
    checked_strength,
    describe_strength,
    set_strength,
    strength_given,
)


@public
def soft_rank(
    input: Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: Method = "sigmoid",
    dim: int = -1,
    descending: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    scale: Scale = None,
    offsets: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft rank of every item among the items of its list.

    .. math:: R_i = \frac{1}{n-1} \sum_{j \neq i} F(\alpha (x_i - x_j))

    with F a smooth CDF and α the ``regularization_strength``: nearest 0 for the smallest item,
    nearest 1 for the largest, and the hard ranks, divided by n - 1, as α grows. Sixteen times
    differentiable. Or the projection of α x onto the permutahedron, the convex hull of all orders
    of the ranks: piecewise linear (``"l2"``), or smooth between kinks (``"kl"``, with derivatives
    up to the eighth).

    Args:
        input: Scores, of any shape and strides, float64, float32, bfloat16 or float16.
        regularization_strength: Sharpness α > 0, in units of 1/score: larger is closer to the hard
            ranks. (The parameter of this name in torchsort is the inverse, 1/α, and so it is in
            :mod:`rank_relax.torchsort`.) A 0-dim tensor makes it learnable, and is the way to
            schedule it under ``torch.compile``; where its value is not positive and finite the
            ranks that count are NaN.
        method: ``"sigmoid"``, F(d) = 1/(1 + e^-d); ``"gaussian"``, F = Φ, as in SoftRank;
            ``"laplace"``, F(d) = e^d/2 for d < 0 and 1 - e^-d/2 above, as in LapSum; ``"cauchy"``,
            F = 1/2 + arctan(d)/π, whose gradients reach far, and whose cost is O(n²) in lists wider
            than a few 1/α; or a projection, ``"l2"`` or ``"kl"``, in which an item far enough from
            all others has its hard rank and no gradient.
        dim: The dimension that holds a list.
        descending: Rank -x instead: the largest item gets 0.
        normalize: If false, ranks are soft counts of smaller items, from 0 to n - 1.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of every comparison and of n; their rank and gradient are 0.
        scale: ``"std"`` divides the scores by their list's own standard deviation (the
            population's, over finite items that count), gradient included, so that one strength
            serves any scale.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, where
            ``input`` is ``[N]`` and holds lists of any lengths, one behind the other.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        Ranks of the shape of ``input``, and of its dtype (float32 under autocast for the half
        precisions). Equal items have equal ranks; a constant list has ½ everywhere; a list of one
        item has 0; infinities rank first and last with gradient 0; NaN gives NaN at its own place
        and is left out elsewhere.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, or a mask of another shape.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Qin, Liu, Li, "A general approximation framework for direct optimization of information
        retrieval measures", 2010 (sigmoid). Taylor et al., "SoftRank", 2008 (gaussian). Struski,
        Bednarczyk, Podolak, Tabor, "LapSum - one method to differentiate them all", 2025 (laplace).
        Petersen, Borgelt, Kuehne, Deussen, "Monotonic differentiable sorting networks", 2022
        (cauchy). Blondel, Teboul, Berthet, Djolonga, "Fast differentiable sorting and ranking",
        2020 (l2, kl).

    Example:
        >>> import torch, rank_relax
        >>> x = torch.tensor([0.3, 2.0, -1.0])
        >>> rank_relax.soft_rank(x)
        tensor([0.4702, 0.8991, 0.1308])
        >>> rank_relax.soft_rank(x, 100.0, normalize=False)
        tensor([1., 2., 0.])
    """
    check_tensor("soft_rank", "input", input)
    check_mask("soft_rank", mask)
    given = input
    input, mask, offsets = in_one_row("soft_rank", offsets, input=input, mask=mask)
    strength = strength_given("soft_rank", regularization_strength, temperature)
    strength = checked_strength("soft_rank", strength)
    dim = checked_dim("soft_rank", dim)
    _check_options("soft_rank", method, descending, normalize, scale)
    moved = dim != -1
    scores = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("soft_rank", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    scores, mask = whole_lists(scores), whole_lists(mask)
    warn_of_single_items("soft_rank", "input", input, dim)
    # Counts of a half-precision list are worth more digits than its ranks have.
    values = scores if normalize else _at_least_float32(scores)
    if descending and values.dtype in DTYPES:  # the operator refuses the others
        values = -values
    if offsets is not None:
        check_offsets("soft_rank", offsets, "input", input)
        ranks = ragged("soft_rank", values, offsets, strength, scale, method, mask)
    elif is_scaled(values, strength, scale):
        ranks = in_float64("soft_rank", values, strength, scale, method, mask)
    else:
        ranks = torch.ops.rank_relax.soft_rank.default(values, plain(strength), method, mask)
    if not normalize:
        counted = ~torch.isnan(scores) if mask is None else mask & ~torch.isnan(scores)
        ranks = ranks * (number_of_list(counted, offsets) - 1).clamp(min=0)
    ranks = ranks.to(result_dtype(input.dtype, input.device))
    return like_nested(given, ranks.movedim(-1, dim) if moved else ranks)


def _check_options(
    function: str, method: object, descending: object, normalize: object, scale: object
) -> None:
    check_method(function, method)
    check_bool(function, "descending", descending)
    check_bool(function, "normalize", normalize)
    check_choice(function, "scale", scale, (None, "std"))


def _at_least_float32(scores: Tensor) -> Tensor:
    return scores.float() if scores.dtype in (torch.float16, torch.bfloat16) else scores


class SoftRank(nn.Module):
    """Soft rank of every item among the items of its list, as a module.

    Args:
        regularization_strength: As in :func:`soft_rank`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`soft_rank`, like all that follow.
        dim: The dimension that holds a list.
        descending: Whether the largest item gets 0.
        normalize: Whether ranks lie in [0, 1] rather than in [0, n - 1].
        scale: ``"std"`` to divide a list by its standard deviation first.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``input`` of any shape, ``mask`` of the same; returns the shape of ``input``.

    Raises:
        TypeError, ValueError: for an option that :func:`soft_rank` would refuse; when called,
            as it does.

    References:
        Those of :func:`soft_rank`.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.SoftRank(4.0)(torch.tensor([[0.0, 1.0, 1.0]]))
        tensor([[0.0180, 0.7410, 0.7410]])
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
        normalize: bool = True,
        scale: Scale = None,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_strength(self, "SoftRank", regularization_strength, temperature)
        _check_options("SoftRank", method, descending, normalize, scale)
        self.method: Method = method
        self.dim = checked_dim("SoftRank", dim)
        self.descending = descending
        self.normalize = normalize
        self.scale: Scale = scale

    def forward(
        self, input: Tensor, mask: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Returns ``soft_rank(input, mask=mask)`` with the module's options."""
        return soft_rank(
            input,
            self.regularization_strength,
            method=self.method,
            dim=self.dim,
            descending=self.descending,
            normalize=self.normalize,
            mask=mask,
            scale=self.scale,
            offsets=offsets,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_strength(self)}, method={self.method!r}, "
            f"dim={self.dim}, descending={self.descending}, normalize={self.normalize}, "
            f"scale={self.scale!r}"
        )
