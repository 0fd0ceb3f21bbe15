"""Where lists begin that lie one behind the other, from their lengths or from the ids of items."""

import torch
from torch import Tensor

from rank_relax._calls import public
from rank_relax._checks import INTEGERS, check_tensor
from rank_relax._strength import name_of


@public
def offsets_from_lengths(lengths: Tensor) -> Tensor:
    """The offsets of lists of these lengths: the group sizes of LightGBM.

    Args:
        lengths: How many items each list has, ``[L]`` of an integer dtype, 0 or more.

    Returns:
        Where each list begins and the last ends, int64 ``[L + 1]``, as all functions take it.

    Raises:
        TypeError: for what is no tensor of an integer dtype.
        ValueError: for another shape. (A negative length shows where the offsets are used.)

    References:
        The ``offsets`` of ``torch.nested.nested_tensor_from_jagged``.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.offsets_from_lengths(torch.tensor([3, 0, 2]))
        tensor([0, 3, 3, 5])
    """
    _check_integers("offsets_from_lengths", "lengths", lengths, "the number of lists")
    return torch.nn.functional.pad(lengths.long().cumsum(0), (1, 0))


@public
def offsets_from_ids(ids: Tensor) -> Tensor:
    """The offsets of the lists of items whose ids are equal: XGBoost's ``qid``.

    Args:
        ids: The list of each item, ``[N]`` of an integer dtype. The items of a list must stand
            together; :func:`sort_by_ids` puts them there.

    Returns:
        Where each list begins and the last ends, int64 ``[L + 1]`` for L different ids.

    Raises:
        TypeError: for what is no tensor of an integer dtype.
        ValueError: for another shape, no items, or an id that comes back behind another.

    References:
        The ``offsets`` of ``torch.nested.nested_tensor_from_jagged``.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.offsets_from_ids(torch.tensor([7, 7, 7, 2, 2]))
        tensor([0, 3, 5])
    """
    _check_integers("offsets_from_ids", "ids", ids, "the number of items")
    lists, lengths = torch.unique_consecutive(ids.long(), return_counts=True)
    if lists.unique().shape != lists.shape:
        raise ValueError(
            "offsets_from_ids: equal ids must stand together, got one that comes back behind "
            "another; order the items with sort_by_ids"
        )
    return offsets_from_lengths(lengths)


@public
def sort_by_ids(ids: Tensor) -> tuple[Tensor, Tensor]:
    """An order of the items in which those of equal ids stand together, and their offsets.

    Args:
        ids: The list of each item, ``[N]`` of an integer dtype, in any order.

    Returns:
        The order, int64 ``[N]``: ``scores[order]`` has the lists one behind the other, by ascending
        id, the items of each in the order they had. And its offsets, int64 ``[L + 1]``.

    Raises:
        TypeError: for what is no tensor of an integer dtype.
        ValueError: for another shape, or no items.

    References:
        The ``offsets`` of ``torch.nested.nested_tensor_from_jagged``.

    Example:
        >>> import torch, rank_relax
        >>> rank_relax.sort_by_ids(torch.tensor([7, 2, 7, 7, 2]))
        (tensor([1, 4, 0, 2, 3]), tensor([0, 2, 5]))
    """
    _check_integers("sort_by_ids", "ids", ids, "the number of items")
    in_order, order = ids.long().sort(stable=True)
    return order, offsets_from_ids(in_order)


def _check_integers(function: str, name: str, numbers: object, length: str) -> None:
    check_tensor(function, name, numbers)
    assert isinstance(numbers, Tensor)
    if numbers.dtype not in INTEGERS:
        raise TypeError(
            f"{function}: {name} must be of an integer dtype, got {name_of(numbers.dtype)}; "
            f"convert it with {name}.long()"
        )
    if numbers.dim() != 1 or numbers.shape[0] == 0:
        raise ValueError(
            f"{function}: {name} must have one dimension, {length}, at least 1, got shape "
            f"{list(numbers.shape)}"
        )
