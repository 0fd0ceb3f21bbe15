"""diffsort: bitonic sorting networks."""

import functools
from typing import Any

import diffsort

from peers import Contestant, Function, Problem


@functools.cache
def network(n: int) -> Any:
    return diffsort.get_sorting_network("bitonic", n, "cpu")


def sort(problem: Problem) -> Function:
    layers = network(problem.n)
    return lambda x, _: diffsort.sort(layers, x, problem.strength, distribution="logistic")[0]


def contestants() -> list[Contestant]:
    """The definition is the very network, in float64."""
    formula = "steepness α, logistic"
    return [
        Contestant(
            "soft sort", "diffsort, bitonic", formula, sort, "rank_relax, sigmoid", sort, 1000
        )
    ]
