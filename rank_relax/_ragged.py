"""Lists one behind the other: ``[N]``, and offsets, where each begins and the last ends."""

from typing import Any

import torch
from torch import Tensor

from rank_relax._checks import check_same_device, check_tensor
from rank_relax._scores import Scale, plain, result_dtype, strength_beside
from rank_relax._strength import Strength, name_of, widest_dtype
from rank_relax.counts import soft_count


def check_offsets(function: str, offsets: object, name: str, scores: Tensor) -> None:
    """Raises for what cannot be the offsets of scores; their values are not looked at."""
    check_tensor(function, "offsets", offsets)
    assert isinstance(offsets, Tensor)
    if offsets.dtype != torch.int64:
        raise TypeError(
            f"{function}: offsets must be int64, got {name_of(offsets.dtype)}; convert it with "
            "offsets.long()"
        )
    check_same_device(function, "offsets", offsets, name, scores)
    if offsets.dim() != 1 or offsets.shape[0] < 2:
        raise ValueError(
            f"{function}: offsets must be [L + 1], where each of L lists begins and the last ends, "
            f"got shape {list(offsets.shape)}"
        )
    if scores.dim() != 1:
        raise ValueError(
            f"{function}: with offsets, {name} must be [N], all lists one behind the other, got "
            f"shape {list(scores.shape)}; flatten them"
        )


def have_ends(function: str, offsets: Tensor, items: Tensor) -> Tensor:
    """Whether they rise from 0 to the number of items; an error if not, where they can be read."""
    zero = torch.zeros_like(items[:1], dtype=torch.float32)
    values = zero.expand(items.shape)
    try:  # Asked about no point at all, soft_count says what is wrong with them.
        soft_count(zero[:0], values, offsets=offsets, point_offsets=torch.zeros_like(offsets))
    except ValueError as error:
        raise ValueError(str(error).replace("soft_count", function, 1)) from None
    rise = offsets.diff() >= 0
    return (offsets[0] == 0) & rise.all() & (offsets[-1] == items.shape[-1])


def in_one_row(function: str, offsets: Any, **tensors: Any) -> tuple[Any, ...]:
    """The tensors and the offsets; of nested tensors their values, and the offsets they share."""
    nested = {name: value for name, value in tensors.items() if getattr(value, "is_nested", False)}
    if not nested:
        return (*tensors.values(), offsets)
    first = next(iter(nested))
    for name, value in tensors.items():
        if name not in nested and value is not None:
            raise TypeError(f"{function}: {name} must be a nested tensor as {first} is")
    if offsets is not None:
        raise ValueError(
            f"{function}: offsets must be None for nested tensors, which have their own"
        )
    for name, value in nested.items():
        if value.layout != torch.jagged or value.dim() != 2 or value.lengths() is not None:
            raise ValueError(
                f"{function}: {name} must be a nested tensor [L, *] of layout torch.jagged without "
                "holes; make it with torch.nested.nested_tensor_from_jagged"
            )
        if value.shape != nested[first].shape and not _equal(value, nested[first]):
            raise ValueError(f"{function}: {name} must have the lists of {first}, got others")
    return (*(None if x is None else x.values() for x in tensors.values()), nested[first].offsets())


def _equal(a: Any, b: Any) -> bool:
    """Whether nested tensors that were made apart have lists of the same lengths."""
    return bool(torch.equal(a.offsets(), b.offsets()))


def like_nested(given: Any, values: Tensor) -> Tensor:
    """The values as they were given: as the lists of a nested tensor, if one was."""
    if not given.is_nested:
        return values
    nested: Tensor = torch.nested.nested_tensor_from_jagged(values, given.offsets())
    return nested


class RaggedLists:
    """The lists of one row that its offsets tell, as far as sums over them need to know."""

    def __init__(self, offsets: Tensor, items: int) -> None:
        self.offsets = offsets
        begins = offsets[:-1].clamp(0, items)
        begun = torch.zeros(items + 1, dtype=torch.int64, device=offsets.device)
        begun = begun.scatter_add(0, begins, torch.ones_like(begins))
        self.of_item = (begun.cumsum(0)[:-1] - 1).clamp(min=0)

    def full(self, value: float, dtype: torch.dtype) -> Tensor:
        """That number for each list."""
        lists = self.offsets.shape[0] - 1
        return torch.full((lists,), value, dtype=dtype, device=self.offsets.device)

    def sum(self, items: Tensor) -> Tensor:
        """A number per list, in the widest precision of the device meanwhile; of bools an int64."""
        if items.dtype == torch.bool:
            return self.full(0, torch.int64).index_add(0, self.of_item, items.long())
        zeros = self.full(0, widest_dtype(items.device))
        return zeros.index_add(0, self.of_item, items.to(zeros.dtype)).to(items.dtype)

    def to_items(self, one_a_list: Tensor) -> Tensor:
        """The number of its list for each item."""
        return one_a_list[self.of_item]

    def place(self) -> Tensor:
        """0, 1, ... within each list."""
        item = torch.arange(self.of_item.shape[0], device=self.offsets.device)
        return item - self.offsets[self.of_item]


def number_of_list(counted: Tensor, offsets: Tensor | None) -> Tensor:
    """How many items of each list count, beside its items."""
    if offsets is None:
        return counted.sum(-1, keepdim=True)
    lists = RaggedLists(offsets, counted.shape[-1])
    return lists.to_items(lists.sum(counted))


def place_in_list(items: Tensor, offsets: Tensor | None) -> Tensor:
    """0, 1, ... along each list."""
    if offsets is None:
        return torch.arange(items.shape[-1], device=items.device)
    return RaggedLists(offsets, items.shape[-1]).place()


def ragged(
    function: str,
    scores: Tensor,
    offsets: Tensor,
    strength: Strength,
    scale: Scale,
    method: str,
    mask: Tensor | None,
    *,
    targets: Tensor | None = None,
    level: Tensor | None = None,
    number: float = 0.0,
) -> Tensor:
    """As :func:`in_float64`, for lists that lie one behind the other: of any strength.

    `level` is the q ``[L, number of them]`` or the k ``[L]`` for each list.
    """
    factor = strength_beside(scores, strength) if isinstance(strength, Tensor) else None
    dtype = result_dtype(scores.dtype, scores.device)
    call: Any = torch.ops.rank_relax._ragged.default
    result: Tensor = call(
        scores.to(dtype),
        targets,
        level,
        factor,
        function,
        number,
        scale == "std",
        plain(strength),
        method,
        mask,
        offsets,
    )
    return result
