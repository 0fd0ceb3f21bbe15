"""Batching rules: ``torch.vmap`` makes one call for the whole batch."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

from rank_relax._operators import OPERATORS, SHARED, overload


@cache
def register() -> None:
    """Registers the rule for every operator; once, should the package be reloaded."""
    for name, ranked in OPERATORS.items():
        rule = _rule(overload(name), ranked, SHARED.get(name))
        torch.library.register_vmap(f"rank_relax::{name}", rule)


def _rule(operator: Callable[..., Any], ranked: int, shared: int | None) -> Callable[..., Any]:
    """Operators keep the batch shape, so a vmapped dimension is one more of it, in front."""

    def rule(info: Any, in_dims: tuple[Any, ...], *args: Any) -> tuple[Any, Any]:
        def to_front(argument: Any, in_dim: Any) -> Any:
            if isinstance(argument, list | tuple):
                return [to_front(item, dim) for item, dim in zip(argument, in_dim, strict=True)]
            if not isinstance(argument, Tensor):
                return argument
            if in_dim is None:
                return argument.expand(info.batch_size, *argument.shape)
            return argument.movedim(in_dim, 0)

        batched = [to_front(*pair) for pair in zip(args, in_dims, strict=True)]
        if shared is not None:
            batched[1] = _for_each_list(batched[1], shared, batched[0].shape[1:-1])
        if batched[ranked].dim() == 1:
            # Samples without a dimension: the batch is no list. Let the operator say so.
            batched[ranked] = batched[ranked].new_empty(())
        output = operator(*batched)
        return output, (0,) * len(output) if isinstance(output, tuple) else 0

    return rule


def _for_each_list(level: Tensor, shared: int, lists: torch.Size) -> Tensor:
    """Samples' q or k, repeated where one serves all the lists of a sample."""
    if level.dim() < 1 + shared:
        return level.new_empty(())  # too few dimensions: let the operator say so
    if level.dim() != 1 + shared:
        return level
    samples, own = level.shape[:1], level.shape[1:]
    return level.reshape(*samples, *(1 for _ in lists), *own).expand(*samples, *lists, *own)
