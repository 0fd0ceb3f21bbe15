"""How far soft ranks and losses of rows of any length are from the truth, at a sample of items.

The truth is the pairwise sum in float64 over all items of the row, in blocks that stay small: 200
items of a row of ten million take some fifteen seconds, and 0.3 GB beside the row.
"""

import math

import torch
from torch import Tensor

ITEMS = 200  # in a sample
ROWS = 4  # at least, if there are
WIDTH = 512  # of a block


def centred_cdf_and_density(d: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """``F(d) - 1/2`` and ``F'(d)``."""
    if method == "sigmoid":
        cdf = torch.sigmoid(d)
        return cdf - 0.5, cdf * (1 - cdf)
    if method == "gaussian":
        return torch.erf(d / 2**0.5) / 2, torch.exp(-d * d / 2) / (2 * torch.pi) ** 0.5
    raise ValueError(f"method {method!r}")


def exact_sums(
    row: Tensor, items: Tensor, weights: Tensor, strength: float, method: str
) -> tuple[Tensor, Tensor]:
    """``sum_j F(d_ij) - 1/2`` and ``sum_j w_j F'(d_ij)`` over all j, where d_ij = α(x_i - x_j).

    The row is [n], the indices i are [items] and the weights [n, columns].
    """
    # Infinities become values that are as far from the others, and tie among themselves.
    values = row.double().clamp(-1e300, 1e300)
    sums = values.new_zeros(len(items))
    weighted = values.new_zeros(len(items), weights.size(-1))
    for start in range(0, len(values), WIDTH):
        block = slice(start, start + WIDTH)
        centred, density = centred_cdf_and_density(
            strength * (values[items, None] - values[block]), method
        )
        sums += centred.sum(-1)
        weighted += density @ weights[block]
    return sums, weighted


def sample(input: Tensor) -> list[tuple[int, Tensor]]:
    """Rows of a [rows, n] tensor, and items of each: the extreme ones and some at random."""
    rows, n = input.shape
    count = min(rows, max(ROWS, ITEMS // n))
    result = []
    for row in torch.randperm(rows)[:count].tolist():
        some = torch.randint(n, (math.ceil(ITEMS / count),)).tolist()
        ends = int(input[row].argmin()), int(input[row].argmax())
        result.append((row, torch.tensor(sorted({*some, *ends}))))
    return result


def rank_errors(
    input: Tensor,
    ranks: Tensor,
    grad_output: Tensor,
    gradient: Tensor,
    strength: float,
    method: str,
) -> tuple[float, float]:
    """The largest error of ranks, and that of their gradient, both NaN where a value is.

    The gradient's is in units of ``α/(n-1) · max|g - mean g| · max_k Σ_j F'(α(x_k - x_j))``, with k
    in the sample; it expects a finite input. Everything is of the shape of the input, [*, n].
    """
    n = input.size(-1)
    input, ranks, grad_output, gradient = (
        x.detach().reshape(-1, n) for x in (input, ranks, grad_output, gradient)
    )
    errors = []
    for row, items in sample(input):
        g = grad_output[row].double()
        g -= g.mean()
        weights = torch.stack([torch.ones_like(g), g], dim=-1)
        sums, weighted = exact_sums(input[row], items, weights, strength, method)
        mass, weighted_mass = weighted.unbind(-1)
        exact_ranks = 0.5 + sums / (n - 1)
        exact_gradient = strength / (n - 1) * (g[items] * mass - weighted_mass)
        unit = strength / (n - 1) * g.abs().max() * mass.max()
        rank_error = (ranks[row, items] - exact_ranks).abs().max()
        gradient_error = (gradient[row, items] - exact_gradient).abs().max() / unit
        errors.append(torch.stack([rank_error, gradient_error]))
    of_ranks, of_gradient = torch.stack(errors).amax(0).tolist()
    return of_ranks, of_gradient


def spearman_loss_error(
    losses: Tensor, predictions: Tensor, targets: Tensor, strength: float, method: str
) -> float:
    """The largest error of the losses of the first rows: every item takes part, so short ones."""
    n = predictions.size(-1)
    everything, no_weights = torch.arange(n), torch.empty(n, 0, dtype=torch.float64)
    rows = zip(losses.reshape(-1), predictions.reshape(-1, n), targets.reshape(-1, n), strict=True)
    errors = []
    for loss, *arguments in list(rows)[:ROWS]:
        sums = [exact_sums(x, everything, no_weights, strength, method)[0] for x in arguments]
        errors.append((loss - (1 - torch.corrcoef(torch.stack(sums))[0, 1])).abs())
    return float(torch.stack(errors).max())
