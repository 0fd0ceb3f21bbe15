"""The formulas in plain torch, by a table of all pairs: as they are written, and compiled."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from peers import Contestant, Function, Problem, definitions
from peers.definitions import table


def rank(sums: definitions.Sums, x: Tensor, _: Tensor, strength: Any) -> Tensor:
    return definitions.ranks(sums, x, strength)


FORMULAS: dict[str, Callable[..., Tensor]] = {
    "soft rank": rank,
    "Spearman": definitions.spearman,
    "NDCG": definitions.ndcg,
    "AP": definitions.average_precision,
}


@functools.cache
def compiled(task: str) -> Function:
    """For any n; the strength is a tensor, which is no part of what is compiled."""
    return torch.compile(functools.partial(FORMULAS[task], table), fullgraph=True, dynamic=True)


def eager(problem: Problem) -> Function:
    return lambda x, y: FORMULAS[problem.task](table, x, y, problem.strength)


def fused(problem: Problem) -> Function:
    strength = torch.tensor(problem.strength)
    return lambda x, y: compiled(problem.task)(x, y, strength)


def exactly(problem: Problem) -> Function:
    return lambda x, y: FORMULAS[problem.task](definitions.blocks, x, y, problem.strength)


def contestants() -> list[Contestant]:
    return [
        Contestant(
            task, name, "sigmoids of αd", make, "rank_relax, sigmoid", exactly,
            compiled=make is fused,
        )
        for task in FORMULAS
        for name, make in (("plain torch, n²", eager), ("plain torch, n², compiled", fused))
    ]  # fmt: skip
