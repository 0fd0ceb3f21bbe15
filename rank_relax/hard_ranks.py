"""Hard ranks, ties averaged, of items of any real dtype."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import (
    check_bool,
    check_mask,
    check_same_shape,
    check_tensor,
    checked_dim,
    warn_of_single_items,
)
from rank_relax._strength import DTYPES


@public
def hard_rank(
    input: Tensor,
    *,
    dim: int = -1,
    descending: bool = False,
    normalize: bool = True,
    mask: Tensor | None = None,
    dtype: torch.dtype | None = None,
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
    moved = dim != -1
    items = input.movedim(dim, -1) if moved else input
    if moved and mask is not None:
        check_same_shape("hard_rank", "mask", mask, "input", input)
        mask = mask.movedim(dim, -1)
    warn_of_single_items("hard_rank", "input", input, dim)
    ranks: Tensor = torch.ops.rank_relax.hard_rank.default(
        items, descending, normalize, mask, dtype
    )
    return ranks.movedim(-1, dim) if moved else ranks
