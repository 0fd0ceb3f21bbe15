"""torchsort, and its README's recipe for Spearman's loss."""

from collections.abc import Callable
from typing import Any

import torchsort
from plain_losses import correlation

from peers import Contestant, Function, Problem, numba_projection

FORMULA = "regularization_strength ε = 1/α"


def of(function: Callable[..., Any], regularization: str) -> Callable[[Problem], Function]:
    def make(problem: Problem) -> Function:
        return lambda x, _: function(x, regularization, 1 / problem.strength)

    return make


def spearman(problem: Problem) -> Function:
    rank = of(torchsort.soft_rank, "l2")(problem)
    return lambda x, y: 1 - correlation(rank(x, y), rank(y, y)).mean()


def contestants() -> list[Contestant]:
    reference = {"l2": numba_projection.rank("l2"), "kl": numba_projection.rank("kl")}
    return [
        *(
            Contestant(
                "soft rank", f"torchsort, {r}", FORMULA, of(torchsort.soft_rank, r),
                f"rank_relax, {r}", reference[r], 10**6,
            )
            for r in reference
        ),
        Contestant(
            "soft sort", "torchsort, l2", FORMULA, of(torchsort.soft_sort, "l2"),
            "rank_relax, l2", numba_projection.sort, 10**6,
        ),
        Contestant(
            "Spearman", "torchsort, l2", FORMULA, spearman,
            "rank_relax, l2", numba_projection.spearman, 10**6,
        ),
    ]  # fmt: skip
