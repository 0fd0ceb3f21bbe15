"""torchpsort: the projections with numba."""

from collections.abc import Callable
from typing import Any

import torchpsort

from peers import Contestant, Function, Problem, numba_projection

FORMULA = "tau = 1/α"


def of(function: Callable[..., Any]) -> Callable[[Problem], Function]:
    return lambda problem: lambda x, _: function(x, 1 / problem.strength, "l2")


def contestants() -> list[Contestant]:
    return [
        Contestant(
            "soft rank", "torchpsort, l2", FORMULA, of(torchpsort.soft_rank),
            "rank_relax, l2", numba_projection.rank("l2"), 10**6,
        ),
        Contestant(
            "soft sort", "torchpsort, l2", FORMULA, of(torchpsort.soft_sort),
            "rank_relax, l2", numba_projection.sort, 10**6,
        ),
    ]  # fmt: skip
