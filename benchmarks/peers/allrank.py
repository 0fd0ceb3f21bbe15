"""allRank: its ApproxNDCG."""

import functools

from allrank_losses import losses

from peers import Contestant, Function, Problem, ours


def approx_ndcg(problem: Problem) -> Function:
    return functools.partial(losses().approxNDCGLoss, alpha=problem.strength)


def contestants() -> list[Contestant]:
    losses()
    return [
        Contestant(
            "NDCG", "allRank", "alpha = α", approx_ndcg, "rank_relax, sigmoid", ours.minus_ndcg
        )
    ]
