"""rank_relax itself."""

import functools
from collections.abc import Callable
from typing import Any

import torch

import rank_relax
from peers import Contestant, Function, Problem, class_size, definitions, numba_projection
from peers.definitions import blocks

SIGMOID, L2 = "F the logistic function, in units of α", "projection of αx onto the permutahedron"


def call(function: Callable[..., Any], **options: Any) -> Callable[[Problem], Function]:
    """Of scores alone, with α."""

    def make(problem: Problem) -> Function:
        return lambda x, _: function(x, problem.strength, **options)

    return make


def topk(method: Any) -> Callable[[Problem], Function]:
    def make(problem: Problem) -> Function:
        return lambda x, _: rank_relax.soft_topk(x, problem.k, problem.strength, method=method)

    return make


def loss(function: Callable[..., Any]) -> Callable[[Problem], Function]:
    def make(problem: Problem) -> Function:
        return functools.partial(function, temperature=1 / problem.strength)

    return make


def plainly(formula: Callable[..., Any]) -> Callable[[Problem], Function]:
    def make(problem: Problem) -> Function:
        return lambda x, y: formula(blocks, x, y, problem.strength)

    return make


def minus_ndcg(problem: Problem) -> Function:
    """As others have the loss."""
    function = plainly(definitions.ndcg)(problem)
    return lambda x, y: function(x, y) - 1


def exact_mask(cdf: str) -> Callable[[Problem], Function]:
    return lambda problem: lambda x, _: definitions.mask(x, problem.k, problem.strength, cdf)


def exact_sort(problem: Problem) -> Function:
    return lambda x, _: definitions.sorted_values(x, problem.strength)


def exact_rank(regularization: str) -> Callable[[Problem], Function]:
    """In [0, 1]."""

    def make(problem: Problem) -> Function:
        places = numba_projection.rank(regularization)(problem)
        return lambda x, y: (places(x, y) - 1) / (problem.n - 1)

    return make


def smooth_ap_of(problem: Problem) -> Function:
    """With the query at the head of its own list, as published."""
    return functools.partial(
        rank_relax.smooth_ap_loss, include_query=True, temperature=1 / problem.strength
    )


def plain_smooth_ap(problem: Problem) -> Function:
    size = class_size(problem.n)

    def function(embeddings: Any, _: Any) -> Any:
        unit = embeddings / embeddings.norm(dim=-1, keepdim=True)
        own = torch.eye(problem.n // size).repeat_interleave(size, 0)
        return definitions.average_precision(
            blocks, unit @ unit.T, (own @ own.T).to(unit.dtype), problem.strength
        )

    return function


def contestants() -> list[Contestant]:
    soft_rank, soft_sort = rank_relax.soft_rank, rank_relax.soft_sort
    entered = [
        Contestant("soft rank", f"rank_relax, {m}", formula, call(soft_rank, method=m), **how)
        for m, formula, how in (
            ("sigmoid", SIGMOID, {"error": definitions.rank_error("sigmoid")}),
            ("laplace", "F Laplace's", {"error": definitions.rank_error("laplace")}),
            ("l2", L2, {"exact": exact_rank("l2"), "exact_up_to": 10**6}),
            (
                "kl",
                "the same, in relative entropy",
                {"exact": exact_rank("kl"), "exact_up_to": 10**6},
            ),
        )
    ]
    entered += [
        Contestant("soft sort", "rank_relax, sigmoid", SIGMOID, call(soft_sort), exact=exact_sort),
        Contestant(
            "soft sort", "rank_relax, l2", "projection of α(1..n) onto the permutahedron of x",
            call(soft_sort, method="l2"), exact=numba_projection.sort, exact_up_to=10**6,
        ),
    ]  # fmt: skip
    entered += [
        Contestant(
            "top-k mask", f"rank_relax, {cdf}", "F(α(x - c)), which adds up to k", topk(cdf),
            exact=exact_mask(cdf), exact_up_to=10**6,
        )
        for cdf in ("sigmoid", "laplace")
    ]  # fmt: skip
    for task, function, formula in (
        ("Spearman", rank_relax.spearman_loss, definitions.spearman),
        ("NDCG", rank_relax.ndcg_loss, definitions.ndcg),
        ("AP", rank_relax.average_precision_loss, definitions.average_precision),
    ):
        entered.append(
            Contestant(
                task,
                "rank_relax, sigmoid",
                "sigmoids of αd",
                loss(function),
                exact=plainly(formula),
            )
        )
    entered.append(
        Contestant(
            "Spearman", "rank_relax, l2", "both sides ranked by l2",
            lambda problem: lambda x, y: rank_relax.spearman_loss(
                x, y, problem.strength, method="l2", target_ranks="soft"
            ),
            exact=numba_projection.spearman, exact_up_to=10**6,
        )
    )  # fmt: skip
    entered.append(
        Contestant(
            "Smooth-AP", "rank_relax, sigmoid", "sigmoids of α times cosines", smooth_ap_of,
            exact=plain_smooth_ap, exact_up_to=256,
        )
    )  # fmt: skip
    return entered
