"""Batching rules: ``torch.vmap`` makes one call for the whole batch."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

OPERATORS = (
    "soft_rank",
    "soft_rank_backward",
    "_soft_rank_derivative",
    "spearman_loss",
    "_spearman_loss_forward",
    "_spearman_loss_backward",
)


def register() -> None:
    """Registers the rule, the same one, for every operator."""
    for name in OPERATORS:
        torch.library.register_vmap(
            f"rank_relax::{name}", _rule(getattr(torch.ops.rank_relax, name))
        )


def _rule(operator: Callable[..., Any]) -> Callable[..., Any]:
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

        output = operator(*(to_front(*pair) for pair in zip(args, in_dims, strict=True)))
        return output, (0,) * len(output) if isinstance(output, tuple) else 0

    return rule
