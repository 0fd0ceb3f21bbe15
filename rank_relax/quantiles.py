"""Soft quantiles."""

import torch
from torch import Tensor, nn

from rank_relax._calls import no_dim_at, public
from rank_relax._checks import (
    SMOOTH_CDFS,
    SmoothCdf,
    check_choice,
    check_mask,
    check_method,
    check_same_shape,
    check_tensor,
    checked_dim,
)
from rank_relax._ragged import check_offsets, in_one_row, ragged
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
)


@public
@no_dim_at(2)
def soft_quantile(
    input: Tensor,
    q: float | Tensor,
    regularization_strength: Strength = 1.0,
    *,
    method: SmoothCdf = "sigmoid",
    dim: int = -1,
    mask: Tensor | None = None,
    scale: Scale = None,
    offsets: Tensor | None = None,
    temperature: Strength | None = None,
) -> Tensor:
    r"""Soft quantiles of every list.

    .. math:: y: \quad \sum_j F(\alpha (y - x_j)) = q (n - 1) + \tfrac12

    with F a smooth CDF and α the ``regularization_strength``: the point of the same level among the
    soft sorted values of :func:`rank_relax.soft_sort` as ``torch.quantile`` has among the sorted
    ones, so q = 0 is the first of those and q = 1 the last. As α grows, the nearest item in that
    order. To first order a weighted mean of the items, with weights F' that add up to 1. Where
    q (n - 1) + ½ is a whole number and the gap between those two items is far wider than 1/α, which
    the median of an even number of items is, it is the point where both sides weigh the same, the
    middle in the limit, with the weights of that limit.

    Args:
        input: Values, of any shape and strides, float64, float32, bfloat16 or float16, with at
            least one item along ``dim``.
        q: A number in [0, 1]; or a tensor of a floating dtype, 0-dim or ``[L]``, in which an
            element outside of [0, 1] gives NaN. It has no derivative.
        regularization_strength: Sharpness α > 0, in units of 1/value: larger is closer to the hard
            quantile. A 0-dim tensor makes it learnable, and is the way to schedule it under
            ``torch.compile``; where its value is not positive and finite the quantiles are NaN.
        method: ``"sigmoid"``, F(d) = 1/(1 + e^-d), ``"gaussian"``, F = Φ, ``"laplace"``,
            F = e^d/2 below 0, or ``"cauchy"``, F = 1/2 + arctan(d)/π.
        dim: The dimension that holds a list.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of the sum and of n; their gradient is 0.
        scale: ``"std"`` takes the values in units of their list's own standard deviation (the
            population's, over finite items that count), gradient included, so that one strength
            serves any scale. The result is in the values' own unit.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, where
            ``input`` is ``[N]`` and holds lists of any lengths, one behind the other.
        temperature: 1/α, to be given in place of the strength.

    Returns:
        As ``torch.quantile``: the shape of ``input`` without ``dim``, and with ``[L]`` in front if
        ``q`` has it; of the dtype of ``input`` (float32 under autocast for the half precisions).
        With ``offsets`` one for each list, in place of that shape. Infinite where the level falls
        among infinities, NaN for a list that holds a NaN that counts, or nothing that counts.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a value that is not listed here, a mask of another shape, no items along
            ``dim``, or a ``q`` that requires a gradient.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        Those of :func:`rank_relax.soft_sort`.

    Example:
        >>> import torch, rank_relax
        >>> x = torch.tensor([4.0, 1.0, 2.0, 9.0])
        >>> rank_relax.soft_quantile(x, 0.5)
        tensor(3.2376)
        >>> rank_relax.soft_quantile(x, torch.tensor([0.0, 0.5, 1.0]), 100.0)
        tensor([1., 3., 9.])
    """
    check_tensor("soft_quantile", "input", input)
    check_mask("soft_quantile", mask)
    input, mask, offsets = in_one_row("soft_quantile", offsets, input=input, mask=mask)
    strength = strength_given("soft_quantile", regularization_strength, temperature)
    strength = checked_strength("soft_quantile", strength)
    q = checked_q("soft_quantile", q)
    dim = checked_dim("soft_quantile", dim)
    _check_options("soft_quantile", method, scale)
    moved = dim != -1
    scores = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("soft_quantile", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    scores, mask = whole_lists(scores), whole_lists(mask)
    several = isinstance(q, Tensor) and q.dim() == 1
    refused = scores.dtype not in DTYPES or scores.dim() == 0
    if offsets is not None:
        check_offsets("soft_quantile", offsets, "input", input)
        number = 0.0 if isinstance(q, Tensor) else as_float(q)
        level = q.reshape(1, -1).expand(offsets.shape[0] - 1, -1) if isinstance(q, Tensor) else None
        quantiles = ragged(
            "soft_quantile",
            scores,
            offsets,
            strength,
            scale,
            method,
            mask,
            level=level,
            number=number,
        )
    elif not isinstance(q, Tensor) and not refused:  # the number exactly, on any device
        quantiles = in_float64(
            "soft_quantile", scores, strength, scale, method, mask, number=as_float(q)
        )
    else:
        q = q if isinstance(q, Tensor) else torch.zeros(())
        q = beside(scores, q if several else q.unsqueeze(0))
        if is_scaled(scores, strength, scale):
            level = q.expand(*scores.shape[:-1], q.shape[-1])
            quantiles = in_float64(
                "soft_quantile", scores, strength, scale, method, mask, level=level
            )
        else:
            quantiles = torch.ops.rank_relax.soft_quantile.default(
                scores, q, plain(strength), method, mask
            )
    quantiles = quantiles.to(result_dtype(input.dtype, input.device))
    return quantiles.movedim(-1, 0) if several else quantiles.squeeze(-1)


def _check_options(function: str, method: object, scale: object) -> None:
    check_method(function, method, SMOOTH_CDFS)
    check_choice(function, "scale", scale, (None, "std"))


def checked_q(function: str, q: float | Tensor) -> float | Tensor:
    """A quantile as a float or a tensor, whose elements are not looked at; raises for others."""
    q = from_array(q, torch.float64)
    if isinstance(q, Tensor):
        if q.dim() > 1:
            raise ValueError(
                f"{function}: q must be a number, or a tensor of no dimension or one, got shape "
                f"{list(q.shape)}; torch.ops.rank_relax.soft_quantile takes quantiles for each list"
            )
        if q.dtype not in DTYPES:
            raise TypeError(
                f"{function}: q must be float64, float32, bfloat16 or float16, got "
                f"{name_of(q.dtype)}"
            )
        return q
    if isinstance(q, bool) or not isinstance(q, NUMBERS):
        raise TypeError(f"{function}: q must be a float or a tensor, got {q!r}")
    q = as_float(q)
    if not 0 <= q <= 1:
        raise ValueError(f"{function}: q must lie between 0 and 1, got {q}")
    return q


class SoftQuantile(nn.Module):
    """Soft quantiles of every list, as a module.

    Args:
        q: As in :func:`soft_quantile`; a tensor becomes a buffer.
        regularization_strength: As in :func:`soft_quantile`. A ``nn.Parameter`` is learnt; another
            0-dim tensor becomes a buffer, to be changed in place by a schedule.
        method: As in :func:`soft_quantile`, like all that follow.
        dim: The dimension that holds a list.
        scale: ``"std"`` to take a list in units of its standard deviation.
        temperature: To be given in place of the strength, and kept in the same way.

    Shapes:
        ``input`` of any shape with at least one item along ``dim``, ``mask`` of the same; returns
        that shape without ``dim``, and with ``[L]`` in front if ``q`` has it.

    Raises:
        TypeError, ValueError: for a ``q`` or option that :func:`soft_quantile` would refuse; when
            called, as it does.

    References:
        Those of :func:`soft_quantile`.

    Example:
        >>> import torch, rank_relax
        >>> median = rank_relax.SoftQuantile(0.5, 10.0)
        >>> median(torch.tensor([[0.0, 1.0, 3.0], [5.0, 4.0, 6.0]]))
        tensor([1.0000, 5.0000])
    """

    q: float | Tensor
    regularization_strength: Strength
    temperature: Strength | None

    def __init__(
        self,
        q: float | Tensor,
        regularization_strength: Strength = 1.0,
        *,
        method: SmoothCdf = "sigmoid",
        dim: int = -1,
        scale: Scale = None,
        temperature: Strength | None = None,
    ) -> None:
        super().__init__()
        set_level(self, "SoftQuantile", "q", checked_q("SoftQuantile", q))
        set_strength(self, "SoftQuantile", regularization_strength, temperature)
        _check_options("SoftQuantile", method, scale)
        self.method: SmoothCdf = method
        self.dim = checked_dim("SoftQuantile", dim)
        self.scale: Scale = scale

    def forward(
        self, input: Tensor, mask: Tensor | None = None, offsets: Tensor | None = None
    ) -> Tensor:
        """Returns ``soft_quantile(input, q, mask=mask)`` with the module's options."""
        return soft_quantile(
            input,
            self.q,
            regularization_strength=self.regularization_strength,
            method=self.method,
            dim=self.dim,
            mask=mask,
            scale=self.scale,
            offsets=offsets,
            temperature=self.temperature,
        )

    def extra_repr(self) -> str:
        return (
            f"{describe_number('q', self.q)}, "
            f"{describe_strength(self)}, method={self.method!r}, "
            f"dim={self.dim}, scale={self.scale!r}"
        )
