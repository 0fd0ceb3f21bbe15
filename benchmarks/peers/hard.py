"""What torch has for the hard results: no gradient that says anything, but a time to beat."""

import torch
from torch import Tensor

from peers import Contestant, Function, Problem


def sort(problem: Problem) -> Function:
    return lambda x, _: x.sort(-1).values


def mask(problem: Problem) -> Function:
    def function(x: Tensor, _: Tensor) -> Tensor:
        values, places = x.topk(problem.k, -1)
        return torch.zeros_like(x).scatter(-1, places, 1.0) + 0 * values.sum(-1, keepdim=True)

    return function


def contestants() -> list[Contestant]:
    ours = "rank_relax, sigmoid"
    return [
        Contestant("soft rank", "torch.sort, hard", "none", sort, ours, sort, 10**6),
        Contestant("soft sort", "torch.sort, hard", "none", sort, ours, sort, 10**6),
        Contestant("top-k mask", "torch.topk, hard", "none", mask, ours, mask, 10**6),
    ]
