"""What contestants compute: the formulas, in sums over pairs, and the same sums exactly.

``sums(scores, weights, α)`` is Σ_j w_j F(α(s_j - s_i)); by a table of pairs it is what is written
where nothing better is at hand, and in blocks of float64 it is what errors are measured against.
"""

from collections.abc import Callable
from typing import Any

import plain_losses
import torch
from torch import Tensor

from peers import Problem

BLOCK = 2**22  # pairs at once
SAMPLE = 200  # items of a list, and fewer of one so long that they make more pairs than
SAMPLED_PAIRS = 2**25

Sums = Callable[[Tensor, Tensor | None, Any], Tensor]


def sigmoid(d: Tensor) -> tuple[Tensor, Tensor]:
    """F(d) and F'(d)."""
    cdf = torch.sigmoid(d)
    return cdf, cdf * (1 - cdf)


def laplace(d: Tensor) -> tuple[Tensor, Tensor]:
    tail = torch.exp(-d.abs()) / 2
    return torch.where(d < 0, tail, 1 - tail), tail


CDFS = {"sigmoid": sigmoid, "laplace": laplace}


def table(scores: Tensor, weights: Tensor | None, strength: Any) -> Tensor:
    """By a table [..., n, n]."""
    above = torch.sigmoid(strength * (scores[..., None, :] - scores[..., :, None]))
    return above.sum(-1) if weights is None else (above * weights[..., None, :]).sum(-1)


class _Blocks(torch.autograd.Function):
    """One list, a block of its items at a time."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor, strength: float) -> Tensor:
        ctx.save_for_backward(x, weights)
        ctx.strength = strength
        size = max(1, BLOCK // len(x))
        return torch.cat(
            [torch.sigmoid(strength * (x - i[:, None])) @ weights for i in x.split(size)]
        )

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        x, weights = ctx.saved_tensors
        size = max(1, BLOCK // len(x))
        gradient = []
        for i, w, own in zip(x.split(size), weights.split(size), g.split(size), strict=True):
            _, density = sigmoid(ctx.strength * (x - i[:, None]))
            gradient.append(w * (density @ g) - own * (density @ weights))
        return ctx.strength * torch.cat(gradient), None, None


def blocks(scores: Tensor, weights: Tensor | None, strength: float) -> Tensor:
    weights = torch.ones_like(scores) if weights is None else weights
    return torch.stack(
        [_Blocks.apply(x, w, strength) for x, w in zip(scores, weights, strict=True)]
    )


def ranks(sums: Sums, scores: Tensor, strength: Any) -> Tensor:
    """In [0, 1], nearest 1 for the largest."""
    n = scores.shape[-1]
    return (n - 0.5 - sums(scores, None, strength)) / (n - 1)


def positions(sums: Sums, scores: Tensor, strength: Any) -> Tensor:
    """1 for the highest."""
    return sums(scores, None, strength) + 0.5


def spearman(sums: Sums, scores: Tensor, labels: Tensor, strength: Any) -> Tensor:
    return plain_losses.spearman_at(positions(sums, scores, strength), labels).mean()


def ndcg(sums: Sums, scores: Tensor, labels: Tensor, strength: Any) -> Tensor:
    """The mean loss, one minus NDCG."""
    return plain_losses.ndcg_at(positions(sums, scores, strength), labels).mean()


def average_precision(sums: Sums, scores: Tensor, labels: Tensor, strength: Any) -> Tensor:
    of_relevant = sums(scores, labels, strength) + 0.5
    places = positions(sums, scores, strength)
    return plain_losses.average_precision_at(places, of_relevant, labels).mean()


def threshold(scores: Tensor, k: float, strength: float, cdf: str) -> Tensor:
    """C with Σ_j F(α(x_j - c)) = k of each list: halvings, and a step of Newton's method."""
    of = CDFS[cdf]
    with torch.no_grad():
        margin = 60 / strength
        low = scores.amin(-1, keepdim=True) - margin
        high = scores.amax(-1, keepdim=True) + margin
        for _ in range(80):
            middle = (low + high) / 2
            too_many = of(strength * (scores - middle))[0].sum(-1, keepdim=True) > k
            low, high = torch.where(too_many, middle, low), torch.where(too_many, high, middle)
        slope = strength * of(strength * (scores - middle))[1].sum(-1, keepdim=True)
    return middle + (of(strength * (scores - middle))[0].sum(-1, keepdim=True) - k) / slope


def mask(scores: Tensor, k: float, strength: float, cdf: str) -> Tensor:
    return CDFS[cdf](strength * (scores - threshold(scores, k, strength, cdf)))[0]


def sorted_values(scores: Tensor, strength: float) -> Tensor:
    """Where the smoothed count is 1/2, 3/2, ..., by as many searches as there are items."""
    n = scores.shape[-1]
    return torch.cat([threshold(scores, n - 0.5 - i, strength, "sigmoid") for i in range(n)], -1)


def rank_error(cdf: str) -> Callable[..., float]:
    """Of ranks in [0, 1] and of their gradient, at a sample of one list's items."""

    def error(
        problem: Problem,
        scores: Tensor,
        labels: Tensor,
        g: Tensor,
        output: Tensor,
        gradient: Tensor,
    ) -> float:
        x, g, n = scores[0].double(), g[0].double(), problem.n
        some = torch.randperm(n)[: min(SAMPLE, SAMPLED_PAIRS // n)]
        ends = torch.stack([x.argmin(), x.argmax(), gradient[0].abs().argmax()])
        some = torch.cat([some, ends]).unique()
        found, slopes = [], []
        for items in some.split(max(1, BLOCK // n)):
            of, density = CDFS[cdf](problem.strength * (x[items, None] - x))
            found.append((of.sum(-1) - 0.5) / (n - 1))
            slopes.append((g[items, None] * density - g * density).sum(-1))
        exact, slope = torch.cat(found), torch.cat(slopes) * problem.strength / (n - 1)
        return max(largest(output[0, some], exact), largest(gradient[0, some], slope))

    return error


def largest(actual: Tensor, exact: Tensor) -> float:
    """Difference, over the largest value."""
    return float((actual.double() - exact).abs().max() / exact.abs().max())
