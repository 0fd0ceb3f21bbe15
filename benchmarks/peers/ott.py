"""OTT-JAX: entropic optimal transport, of scores that it squashes into [0, 1] as it does."""

from collections.abc import Callable
from typing import Any

from ott.initializers.linear.initializers import DefaultInitializer
from ott.tools import soft_sort

from peers import Contestant, Function, Problem


def of(name: str, **precision: Any) -> Callable[[Problem], Function]:
    def make(problem: Problem) -> Function:
        options = {"epsilon": 1 / problem.strength, **precision}
        if name == "sort":  # JAX 0.10 can't differentiate what it begins with by itself
            options["initializer"] = DefaultInitializer()
        if name == "topk_mask":
            options["k"] = problem.k
        function = getattr(soft_sort, name)
        return lambda x, _: function(x, axis=-1, **options)

    return make


def contestants() -> list[Contestant]:
    """Its defaults, measured against the same converged further."""
    converged = {"threshold": 1e-7, "max_iterations": 10_000}
    return [
        Contestant(
            task, "OTT-JAX, Sinkhorn", "epsilon = 1/α", of(name), "rank_relax, sigmoid",
            of(name, **converged), 64, jax=True, compiled=True,
        )
        for task, name in (
            ("soft rank", "ranks"), ("soft sort", "sort"), ("top-k mask", "topk_mask")
        )
    ]  # fmt: skip
