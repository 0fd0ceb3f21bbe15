"""Hard ranks, ties averaged, of items of any real dtype."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    check_bool,
    check_items,
    check_mask,
    check_mask_of,
    check_same_shape,
    check_tensor,
    checked_dim,
    warn_of_single_items,
)
from rank_relax._ragged import check_offsets, have_ends, in_one_row, like_nested, number_of_list
from rank_relax._scores import result_dtype
from rank_relax._strength import DTYPES, widest_dtype
from rank_relax.counts import in_dtype_of_keys, in_opposite_order, soft_count


@public
def hard_rank(
    input: Tensor,
    *,
    dim: int = -1,
    descending: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
    offsets: Tensor | None = None,
) -> Tensor:
    r"""Hard rank of every item among the items of its list: equal items share their average.

    .. math:: R_i = \frac{1}{n-1} \Big(\#\{j : x_j < x_i\} +
        \tfrac12 \#\{j \neq i : x_j = x_i\}\Big)

    What :func:`rank_relax.soft_rank` tends to as its strength grows, found by a sort, O(n) on the
    CPU. Items are compared as they are, in their own dtype, never rounded to another.

    Args:
        input: Items, of any shape and strides and of any real dtype: float64, float32, bfloat16,
            float16, int8 to int64, uint8 to uint64, bool.
        dim: The dimension that holds a list.
        descending: Rank in the other order: the largest item gets 0.
        normalize: If false, ranks are counts of smaller items, from 0 to n - 1; add 1 for those of
            ``scipy.stats.rankdata``.
        mask: Bool, of the shape of ``input``, true where an item counts. Items that don't are left
            out of every comparison and of n; their rank is 0.
        dtype: Of the ranks: float64, float32, bfloat16 or float16. By default that of ``input`` if
            it is a floating one (float32 under autocast for the half precisions), and for integers
            and bools torch's default dtype.
        offsets: Where each list begins and the last ends, int64 ``[L + 1]``, from 0 to N, for
            lists one behind the other in an ``input`` ``[N]``; a nested tensor has its own.

    Returns:
        Ranks of the shape of ``input``. Counted exactly and rounded once, to ``dtype``: with
        ``normalize=False`` bfloat16 holds counts exactly up to 128, float16 up to 1024 (and has
        infinity above 65504), float32 up to 2^22. A constant list has ½ everywhere and a list of
        one item 0; infinities rank first and last; NaN gives NaN at its own place and is left out
        elsewhere.
        Ranks are constant between jumps: the result requires no gradient, whatever the input does.

    Raises:
        TypeError: for an argument of a type or dtype that is not listed here.
        ValueError: for a mask of another shape, or an ``input`` without dimensions.
        IndexError: for a ``dim`` that ``input`` does not have.

    References:
        ``scipy.stats.rankdata(method="average")``.

    Example:
        >>> import torch, rank_relax
        >>> x = torch.tensor([5, 1, 5, 9])
        >>> rank_relax.hard_rank(x)
        tensor([0.5000, 0.0000, 0.5000, 1.0000])
        >>> rank_relax.hard_rank(x, normalize=False, descending=True)
        tensor([1.5000, 3.0000, 1.5000, 0.0000])
    """
    check_tensor("hard_rank", "input", input)
    check_mask("hard_rank", mask)
    dim = checked_dim("hard_rank", dim)
    check_bool("hard_rank", "descending", descending)
    check_bool("hard_rank", "normalize", normalize)
    if dtype is not None and dtype not in DTYPES:
        raise TypeError(
            f"hard_rank: dtype must be float64, float32, bfloat16 or float16, got {dtype!r}"
        )
    given = input
    input, mask, offsets = in_one_row("hard_rank", offsets, input=input, mask=mask)
    if offsets is not None:
        check_offsets("hard_rank", offsets, "input", input)
        ranks = _ranks_in_lists(input.movedim(dim, -1), offsets, mask, descending, normalize)
        if dtype is None:
            dtype = torch.get_default_dtype()
            if input.is_floating_point():
                dtype = result_dtype(input.dtype, input.device)
        return like_nested(given, ranks.to(dtype))
    moved = dim != -1
    items = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("hard_rank", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    warn_of_single_items("hard_rank", "input", input, dim)
    of_rows: Tensor = torch.ops.rank_relax.hard_rank.default(
        items, descending, normalize, mask, dtype
    )
    return of_rows.movedim(-1, dim) if moved else of_rows


def _ranks_in_lists(
    input: Tensor, offsets: Tensor, mask: Tensor | None, descending: bool, normalize: bool
) -> Tensor:
    """Half of what is not larger and of what is smaller, without the item itself."""
    check_items("hard_rank", "input", input)
    check_mask_of("hard_rank", mask, "input", input)
    have_ends("hard_rank", offsets, input)
    keys = in_dtype_of_keys(input.detach())
    points = torch.zeros_like(input, dtype=widest_dtype(input.device))
    unknown = keys.isnan()
    counted = ~unknown if mask is None else mask & ~unknown
    smaller, larger = (
        # F(0) = 1/2, of which any number is added exactly.
        2 * soft_count(points, points, counted.to(points.dtype), offsets=offsets, keys=of_order)
        for of_order in (keys, in_opposite_order(keys))
    )
    others = number_of_list(counted, offsets) - 1
    ranks = (others + (larger - smaller if descending else smaller - larger)) / 2
    if normalize:
        ranks = ranks / others.clamp(min=1)
    ranks = torch.where(unknown, torch.nan, ranks)
    return ranks if mask is None else torch.where(mask, ranks, 0)
