"""LapSum's formula in plain torch, written here: no registry has it.

Sums of e^(-α|x_i - x_j|) over sorted items are running ones, by torch.logcumsumexp.
"""

import torch
from torch import Tensor

from peers import Contestant, Function, Problem, definitions

NAME, FORMULA = "LapSum's formula, plain torch", "F Laplace's, in units of α"


def counts(x: Tensor, strength: float) -> tuple[Tensor, Tensor, Tensor]:
    """Σ_j F(α(x_i - x_j)) of sorted x, and Σ_j e^(-α|x_i - x_j|) of the lower and higher items."""
    s, none = strength * x, torch.full_like(x[..., :1], -torch.inf)
    below = torch.cat([none, s.logcumsumexp(-1)[..., :-1]], -1)
    above = torch.cat([none, (-s.flip(-1)).logcumsumexp(-1)[..., :-1]], -1).flip(-1)
    lower, higher = torch.exp(below - s), torch.exp(above + s)
    return torch.arange(x.shape[-1]) + 0.5 + (higher - lower) / 2, lower, higher


def rank(problem: Problem) -> Function:
    def function(x: Tensor, _: Tensor) -> Tensor:
        values, order = x.sort(-1)
        ranks = (counts(values, problem.strength)[0] - 0.5) / (problem.n - 1)
        return torch.empty_like(x).scatter(-1, order, ranks)

    return function


def mask(problem: Problem) -> Function:
    k, alpha, n = problem.k, problem.strength, problem.n

    def function(x: Tensor, _: Tensor) -> Tensor:
        with torch.no_grad():
            c = threshold(x)
            density = (torch.exp(-alpha * (x - c).abs()) / 2).sum(-1, keepdim=True)
        # A step of Newton's method, which has the gradient.
        taken = definitions.laplace(alpha * (x - c))[0].sum(-1, keepdim=True)
        c = c + (taken - k) / (alpha * density.clamp(min=torch.finfo(x.dtype).tiny))
        return definitions.laplace(alpha * (x - c))[0]

    def threshold(x: Tensor) -> Tensor:
        """Between two items the count is i - a e^(-αc)/2 + b e^(αc)/2: a quadratic equation."""
        values = x.sort(-1).values
        count, lower, higher = counts(values, alpha)
        level = torch.full_like(x[..., :1], n - k)
        i = torch.searchsorted(count, level)  # so many items lie below c
        some_below, some_above = i > 0, i < n
        below, above = (i - 1).clamp(min=0), i.clamp(max=n - 1)
        left, right = values.gather(-1, below), values.gather(-1, above)
        # Of e = e^(α(c - left)): q e² - 2 p e - a = 0, in logarithms, which stay finite.
        a = torch.where(some_below, (lower.gather(-1, below) + 1).log(), -torch.inf)
        b = torch.where(some_above, (higher.gather(-1, above) + 1).log(), -torch.inf)
        q, p = b - alpha * (right - left), level - i
        root = torch.sqrt(p * p + torch.exp(a + q))
        e = torch.where(p > 0, (p + root).log() - q, a - (root - p).log())
        c = left + torch.where(p == 0, (a - q) / 2, e) / alpha
        c = torch.where(some_below, c.maximum(left), c)
        return torch.where(some_above, c.minimum(right), c)

    return function


def exact_mask(problem: Problem) -> Function:
    return lambda x, _: definitions.mask(x, problem.k, problem.strength, "laplace")


def contestants() -> list[Contestant]:
    ours = "rank_relax, laplace"
    return [
        Contestant("soft rank", NAME, FORMULA, rank, ours, error=definitions.rank_error("laplace")),
        Contestant("top-k mask", NAME, FORMULA, mask, ours, exact_mask, 10**6),
    ]
