"""Batching rules: ``torch.vmap`` makes one call for the whole batch."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor

# Every operator, and which of its arguments is the tensor that holds the lists.
OPERATORS = {
    "soft_rank": 0,
    "soft_rank_backward": 1,
    "_soft_rank_derivative": 1,
    "_permutahedron_rank_forward": 0,
    "_permutahedron_rank_derivative": 1,
    "_rank_from_one": 0,
    "soft_sort": 0,
    "_permutahedron_sort_forward": 0,
    "_permutahedron_sort_backward": 1,
    "_permutahedron_sort_tangent": 1,
    "spearman_loss": 0,
    "_spearman_loss_forward": 0,
    "_spearman_loss_backward": 1,
    "_split_rank_summary": 1,
    "_split_rank_sizes": 0,
    "_split_rank_moments": 1,
    "_split_rank_derivative": 1,
}


@cache
def register() -> None:
    """Registers the rule for every operator; once, should the package be reloaded."""
    for name, ranked in OPERATORS.items():
        rule = _rule(getattr(torch.ops.rank_relax, name), ranked)
        torch.library.register_vmap(f"rank_relax::{name}", rule)


def _rule(operator: Callable[..., Any], ranked: int) -> Callable[..., Any]:
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
        if batched[ranked].dim() == 1:
            # Samples without a dimension: the batch is no list. Let the operator say so.
            batched[ranked] = batched[ranked].new_empty(())
        output = operator(*batched)
        return output, (0,) * len(output) if isinstance(output, tuple) else 0

    return rule
