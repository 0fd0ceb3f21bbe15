"""Rax: its metric NDCG, at approximate ranks.

That is what its ``approx_t12n`` makes of it, which itself needs a ``jax.util`` that JAX 0.10 lacks.
"""

import functools

import jax
import rax

from peers import Contestant, Function, Problem, ours


def loss(problem: Problem) -> Function:
    """Minus the metric."""
    ranks = functools.partial(
        rax.utils.approx_ranks, step_fn=lambda d: jax.nn.sigmoid(problem.strength * d)
    )
    return lambda x, y: -rax.ndcg_metric(x, y, rank_fn=ranks)


def contestants() -> list[Contestant]:
    formula = "temperature 1/α"
    return [
        Contestant(
            "NDCG",
            "Rax",
            formula,
            loss,
            "rank_relax, sigmoid",
            ours.minus_ndcg,
            jax=True,
            compiled=True,
        )
    ]
