"""softtorch: NeuralSort, and the projection, without its own standardising of scores."""

import functools

import softtorch

from peers import Contestant, Function, Problem, numba_projection

NEURALSORT = "NeuralSort with softness 1/α"


def rank(problem: Problem) -> Function:
    function = functools.partial(
        softtorch.rank, dim=-1, softness=1 / problem.strength, descending=False, standardize=False
    )
    return lambda x, _: function(x)


def projected_rank(problem: Problem) -> Function:
    """With the softness at which its ranks, of a unit of their own, are those of αx."""
    function = functools.partial(
        softtorch.rank, dim=-1, softness=(problem.n - 1) / problem.strength, mode="c0",
        method="fast_soft_sort", descending=False, standardize=False,
    )  # fmt: skip
    return lambda x, _: function(x)


def sort(problem: Problem) -> Function:
    function = functools.partial(
        softtorch.sort, softness=1 / problem.strength, standardize=False, return_indices=False
    )
    return lambda x, _: function(x).values


def mask(problem: Problem) -> Function:
    function = functools.partial(softtorch.topk, softness=1 / problem.strength, standardize=False)
    return lambda x, _: function(x, problem.k, -1).indices.sum(-2)


def contestants() -> list[Contestant]:
    """Of NeuralSort the definition is the very code, in float64."""
    neural, ours = "softtorch, NeuralSort", "rank_relax, sigmoid"
    return [
        Contestant("soft rank", neural, NEURALSORT, rank, ours, rank, 1000),
        Contestant(
            "soft rank", "softtorch, projection", "softness (n-1)/α", projected_rank,
            "rank_relax, l2", numba_projection.rank("l2"), 10**6,
        ),
        Contestant("soft sort", neural, NEURALSORT, sort, ours, sort, 1000),
        Contestant("top-k mask", neural, NEURALSORT, mask, ours, mask, 1000),
    ]  # fmt: skip
