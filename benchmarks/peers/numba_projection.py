"""Projections in float32 with numba, written here after fast-soft-sort's algorithm.

Not Google's code, which no registry has. Pools of adjacent violators (Blondel et al. 2020), one
list after the other. In float64 it is also what torchsort,
torchpsort and the projections of rank_relax are measured against.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from plain_losses import correlation
from torch import Tensor

from peers import Contestant, Function, Problem


@numba.njit(cache=True)
def _l2_blocks(y: np.ndarray, begins: np.ndarray, dual: np.ndarray) -> None:
    """The falling sequence nearest to each row of y, and where each item's block begins."""
    rows, n = y.shape
    total, count = np.empty(n), np.empty(n, np.int64)
    for row in range(rows):
        top = -1
        for i in range(n):
            top += 1
            total[top], count[top] = y[row, i], 1
            while top > 0 and total[top - 1] * count[top] <= total[top] * count[top - 1]:
                total[top - 1] += total[top]
                count[top - 1] += count[top]
                top -= 1
        begin = 0
        for block in range(top + 1):
            end = begin + count[block]
            begins[row, begin:end] = begin
            dual[row, begin:end] = total[block] / count[block]
            begin = end


@numba.njit(cache=True)
def _kl_blocks(s: np.ndarray, w: np.ndarray, begins: np.ndarray, dual: np.ndarray) -> None:
    """The same in relative entropy: a block's value is log Σ e^s - log Σ w."""
    rows, n = s.shape
    of_s, of_w, count = np.empty(n), np.empty(n), np.empty(n, np.int64)
    for row in range(rows):
        top = -1
        for i in range(n):
            top += 1
            of_s[top], of_w[top], count[top] = s[row, i], w[row, i], 1
            while top > 0 and of_s[top - 1] - np.log(of_w[top - 1]) <= of_s[top] - np.log(
                of_w[top]
            ):
                of_s[top - 1] = np.logaddexp(of_s[top - 1], of_s[top])
                of_w[top - 1] += of_w[top]
                count[top - 1] += count[top]
                top -= 1
        begin = 0
        for block in range(top + 1):
            end = begin + count[block]
            begins[row, begin:end] = begin
            dual[row, begin:end] = of_s[block] - np.log(of_w[block])
            begin = end


@numba.njit(cache=True)
def _block_sums(x: np.ndarray, begins: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> None:
    """Of the block of each item."""
    rows, n = x.shape
    for row in range(rows):
        begin = 0
        while begin < n:
            end, total = begin, 0.0
            while end < n and begins[row, end] == begin:
                total += x[row, end]
                end += 1
            sums[row, begin:end] = total
            counts[row, begin:end] = end - begin
            begin = end


def _solve(solver: Callable[..., None], *rows: Tensor) -> tuple[Tensor, Tensor]:
    begins = torch.empty(rows[0].shape, dtype=torch.int64)
    dual = torch.empty_like(rows[0])
    solver(*(x.numpy() for x in rows), begins.numpy(), dual.numpy())
    return begins, dual


def _sums(x: Tensor, begins: Tensor) -> tuple[Tensor, Tensor]:
    sums, counts = torch.empty_like(x), torch.empty_like(x)
    _block_sums(x.contiguous().numpy(), begins.numpy(), sums.numpy(), counts.numpy())
    return sums, counts


def _falling(n: int, like: Tensor) -> Tensor:
    return torch.arange(n, 0, -1, dtype=like.dtype).expand_as(like).contiguous()


class Rank(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float, regularization: str) -> Tensor:
        s, order = (strength * x).sort(-1, descending=True)
        w = _falling(x.shape[-1], x)
        if regularization == "l2":
            begins, dual = _solve(_l2_blocks, s - w)
            ranks = s - dual
        else:
            begins, dual = _solve(_kl_blocks, s, w)
            ranks = torch.exp(s - dual)
        ctx.save_for_backward(order, begins, s, ranks)
        ctx.strength, ctx.regularization = strength, regularization
        return torch.empty_like(x).scatter_(-1, order, ranks)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        order, begins, _, ranks = ctx.saved_tensors
        g = g.gather(-1, order)
        if ctx.regularization == "l2":
            sums, counts = _sums(g, begins)
            gradient = g - sums / counts
        else:  # within a block a rank is w e^s / Σ e^s, and so the shares are those of the ranks
            gradient = ranks * (g - _sums(g * ranks, begins)[0] / _sums(ranks, begins)[0])
        return ctx.strength * torch.empty_like(g).scatter_(-1, order, gradient), None, None


class Sort(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        s, order = x.sort(-1, descending=True)
        w = strength * _falling(x.shape[-1], x)
        begins, dual = _solve(_l2_blocks, w - s)
        ctx.save_for_backward(order, begins)
        return (w - dual).flip(-1)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        order, begins = ctx.saved_tensors
        sums, counts = _sums(g.flip(-1), begins)
        return torch.empty_like(g).scatter_(-1, order, sums / counts), None


def rank(regularization: str) -> Callable[[Problem], Function]:
    """From 1 to n."""
    return lambda problem: lambda x, _: Rank.apply(x, problem.strength, regularization)


def sort(problem: Problem) -> Function:
    return lambda x, _: Sort.apply(x, problem.strength)


def spearman(problem: Problem) -> Function:
    """Both sides ranked softly, as in torchsort's README."""
    soft = rank("l2")(problem)
    return lambda x, y: 1 - correlation(soft(x, y), soft(y, y)).mean()


def contestants() -> list[Contestant]:
    name, how = "projection, numba, l2", {"exact_up_to": 10**6}
    return [
        Contestant("soft rank", name, "ε = 1/α", rank("l2"), "rank_relax, l2", rank("l2"), **how),
        Contestant("soft sort", name, "ε = 1/α", sort, "rank_relax, l2", sort, **how),
        Contestant("Spearman", name, "ε = 1/α", spearman, "rank_relax, l2", spearman, **how),
    ]
