"""Soft top-k masks."""

import math
import numbers

import torch
from torch import Tensor, nn

from rank_relax._calls import no_dim_at, public
from rank_relax._checks import (
    INTEGERS,
    SMOOTH_CDFS,
    SmoothCdf,
    check_bool,
    check_choice,
    check_mask,
    check_method,
    check_same_shape,
    check_tensor,
    checked_dim,
    warn_of_single_items,
)
from rank_relax._ragged import check_offsets, in_one_row, like_nested, ragged
from rank_relax._scores import Scale, in_float64, is_scaled, plain, result_dtype
from rank_relax._sharding import beside, whole_lists
from rank_relax._strength import (
    DTYPES,
    NUMBERS,
    Strength,
    as_float,
    checked_strength,
    describe_number,
    describe_strength,
    from_array,
    name_of,
    set_level,
    set_strength,
    strength_given,
    widest_dtype,
)


@public
@no_dim_at(2)
def soft_topk(
    input: Tensor,
    k: float | Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    dim: int = -1,
    largest: bool = True,
    mask: Tensor | None = None,
    scale: Scale = None,
    offsets: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft mask of the k largest items of every list, which adds up to k.

    .. math:: m_i = F(\alpha (x_i - c)), \qquad c: \quad \sum_i m_i = k

    with F a smooth CDF and α the ``regularization_strength``: in [0, 1], larger for larger items,
    and as α grows 1 at those that ``torch.topk`` returns, 0 at the others. The threshold c is found
    exactly, and differentiated exactly: whatever is added to one item of the mask is taken from the
    others.

    Args:
        input: Scores, of any shape and strides, float64, float32, bfloat16 or float16.
        k: How many, not necessarily a whole number: a number between 0 and the size of ``dim``; or
            a tensor of an integer or floating dtype, 0-dim, or of the shape of ``input`` without
            ``dim`` (``[L]`` with ``offsets``) for a k of each list's own, in which a negative
            element or NaN gives NaN. It has no derivative. A k above the number of items that count
            takes all of them, as one above the size of a list does with ``offsets``.
        regularization_strength: Sharpness α > 0, in units of 1/score: larger is closer to the hard
            mask. A 0-dim tensor makes it learnable, and is the way to schedule it under
            ``torch.compile``; where its value is not positive and finite the mask is NaN.
        method: ``"sigmoid"``, F(d) = 1/(1 + e^-d), ``"gaussian"``, F = Φ, ``"laplace"``,
            F = e^d/2 below 0, or ``"cauchy"``, F = 1/2 + arctan(d)/π.
        dim: The dimension that holds a list.
        largest: If false, the k smallest: those of -x.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are never
            chosen: theirs is 0, and their gradient 0.
        scale: ``"std"`` divides the scores by their list's own standard deviation (the
            population's, over finite items that count), gradient included, so that one strength
            serves any scale.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, where
            ``input`` is ``[N]`` and holds lists of any lengths, one behind the other.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        A mask of the shape of ``input``, and of its dtype (float32 under autocast for the half
        precisions). Equal items have equal shares. Infinities come first and last, with gradient 0;
        NaN gives NaN at its own place and is left out elsewhere.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, a mask or ``k`` of another shape, or a
            ``k`` that requires a gradient.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of :func:`rank_relax.soft_sort`.

    Example:
        >>> import torch, rank_relax
        >>> x = torch.tensor([4.0, 1.0, 2.0, 9.0])
        >>> rank_relax.soft_topk(x, 2)
        tensor([0.6819, 0.0964, 0.2248, 0.9969])
        >>> rank_relax.soft_topk(x, 2, 10.0).round(decimals=3)
        tensor([1., 0., 0., 1.])
    """
    check_tensor("soft_topk", "input", input)
    check_mask("soft_topk", mask)
    given = input
    input, mask, offsets = in_one_row("soft_topk", offsets, input=input, mask=mask)
    strength = strength_given("soft_topk", regularization_strength, temperature)
    strength = checked_strength("soft_topk", strength)
    k = checked_k("soft_topk", k)
    dim = checked_dim("soft_topk", dim)
    _check_options("soft_topk", method, largest, scale)
    moved = dim != -1
    scores = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("soft_topk", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    warn_of_single_items("soft_topk", "input", input, dim)
    scores, mask = whole_lists(scores), whole_lists(mask)
    if not isinstance(k, Tensor):
        # The operator refuses a 0-dim tensor.
        if input.dim() > 0 and offsets is None and k > scores.shape[-1]:
            raise ValueError(
                f"soft_topk: k must not exceed the size of input's dimension {dim}, "
                f"{scores.shape[-1]}, got {k}"
            )
        k = _as_tensor(k, input.device)
    if k.dim() == 0:
        k = beside(scores, k)
    if not largest and scores.dtype in DTYPES:  # the operator refuses the others
        scores = -scores
    if offsets is not None:
        check_offsets("soft_topk", offsets, "input", input)
        level = k if k.dim() else k.expand(offsets.shape[0] - 1)
        chosen = ragged("soft_topk", scores, offsets, strength, scale, method, mask, level=level)
    elif is_scaled(scores, strength, scale):
        level = k if k.dim() else k.expand(scores.shape[:-1])
        chosen = in_float64("soft_topk", scores, strength, scale, method, mask, level=level)
    else:
        chosen = torch.ops.rank_relax.soft_topk.default(scores, k, plain(strength), method, mask)
    chosen = chosen.to(result_dtype(input.dtype, input.device))
    return like_nested(given, chosen.movedim(-1, dim) if moved else chosen)


def _as_tensor(k: float, device: torch.device) -> Tensor:
    """A number on the device: exactly, where it is whole or the device has float64."""
    if isinstance(k, (numbers.Integral, torch.SymInt)):
        return torch.full((), k + 0, dtype=torch.int64, device=device)
    return torch.full((), as_float(k), dtype=widest_dtype(device), device=device)


def _check_options(function: str, method: object, largest: object, scale: object) -> None:
    check_method(function, method, SMOOTH_CDFS)
    check_bool(function, "largest", largest)
    check_choice(function, "scale", scale, (None, "std"))


def checked_k(function: str, k: float | Tensor) -> float | Tensor:
    """A number of items, or a tensor, whose elements are not looked at; raises for others."""
    k = from_array(k)
    if isinstance(k, Tensor):
        if k.dtype not in DTYPES and k.dtype not in INTEGERS:
            raise TypeError(
                f"{function}: k must be of an integer or a floating dtype, got {name_of(k.dtype)}"
            )
        return k
    if isinstance(k, bool) or not isinstance(k, NUMBERS):
        raise TypeError(f"{function}: k must be a number or a tensor, got {k!r}")
    if not k >= 0:
        raise ValueError(f"{function}: k must not be negative, got {k}")
    if as_float(k) == math.inf:
        raise ValueError(f"{function}: k must be finite, got a number beyond float64's range")
    return k


class SoftTopK(nn.Module):
    """Soft mask of the k largest items of every list, as a module.

    Args:
        k: As in :func:`soft_topk`; a tensor becomes a buffer.
        regularization_strength: As in :func:`soft_topk`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`soft_topk`, like all that follow.
        dim: The dimension that holds a list.
        largest: Whether the largest items are chosen.
        scale: ``"std"`` to divide a list by its standard deviation first.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``input`` of any shape, ``mask`` of the same; returns the shape of ``input``.

    Raises:
        TypeError, ValueError: for a ``k`` or option that :func:`soft_topk` would refuse; when
            called, as it does.

    References:
        Those of :func:`soft_topk`.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.SoftTopK(1, 2.0, largest=False)(torch.tensor([[0.0, 1.0, 3.0]]))
        tensor([[0.7278, 0.2657, 0.0066]])
    """

    k: float | Tensor
    regularization_strength: Strength
    temperature: Strength | None

    def __init__(
        self,
        k: float | Tensor,
        regularization_strength: Strength = 1.0,
        *,
        method: SmoothCdf = "sigmoid",
        dim: int = -1,
        largest: bool = True,
        scale: Scale = None,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_level(self, "SoftTopK", "k", checked_k("SoftTopK", k))
        set_strength(self, "SoftTopK", regularization_strength, temperature)
        _check_options("SoftTopK", method, largest, scale)
        self.method: SmoothCdf = method
        self.dim = checked_dim("SoftTopK", dim)
        self.largest = largest
        self.scale: Scale = scale

    def forward(
        self, input: Tensor, mask: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Returns ``soft_topk(input, k, mask=mask)`` with the module's options."""
        return soft_topk(
            input,
            self.k,
            regularization_strength=self.regularization_strength,
            method=self.method,
            dim=self.dim,
            largest=self.largest,
            mask=mask,
            scale=self.scale,
            offsets=offsets,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_number('k', self.k)}, "
            f"{describe_strength(self)}, method={self.method!r}, "
            f"dim={self.dim}, largest={self.largest}, scale={self.scale!r}"
        )
