"""How exact the place of the first items is, relative to that place.

Ranking measures divide by 1 + A, where A is the soft count of the items before one: 1 at the best
item of a list of any length. So |A - exact| is held against 1 + A here, not against n, at the low
end of the operator's ranks and through ``descending=True`` at the high one; and a gradient against
the sum of F' over the neighbours of that very item, not of the densest one.
"""

import math

import long_rows
import pytest
import torch
from long_rows import DISTRIBUTIONS, Row
from operators import METHODS
from torch import Tensor

import rank_relax

FLOATS = (torch.float32, torch.float64)
ERROR = {torch.float32: 5e-5, torch.float64: 1e-12}
STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1e4)
ITEMS = 100  # at either end, all of the shortest lists
ITEMS_OF_A_LONG_ROW = 8
LONG = 1_000_000
PAIRS_AT_ONCE = 1 << 22

# Nothing is out of reach of a Cauchy tail: in long lists it takes all pairs.
WITHIN_REACH = tuple(method for method in METHODS if method != "cauchy")

HALF = math.sqrt(0.5)


def tails(d: Tensor, method: str) -> tuple[Tensor, Tensor]:
    """F and F' to full relative precision, however far below 0 the differences are."""
    if method == "sigmoid":
        return torch.sigmoid(d), torch.sigmoid(d) * torch.sigmoid(-d)
    if method == "gaussian":
        return torch.erfc(-d * HALF) / 2, torch.exp(-d * d / 2) / math.sqrt(2 * math.pi)
    if method == "laplace":
        decay = torch.exp(-d.abs()) / 2
        return torch.where(d > 0, 1 - decay, decay), decay
    assert method == "cauchy"
    return torch.atan2(torch.ones_like(d), -d) / math.pi, 1 / (1 + d * d) / math.pi


def exact_at(
    items: Tensor, x: Tensor, g: Tensor, alpha: float, method: str
) -> tuple[Tensor, Tensor, Tensor]:
    """``sum_{j != i} F``, ``sum_j F'`` and ``sum_j (g_i - g_j) F'`` over all pairs, in float64."""
    x, g = x.double(), g.double()
    scale = 0.25 if x[x.isfinite()].abs().max() > 1e300 else 1.0  # whose differences overflow
    x = x * scale
    sums = []
    for some in items.split(max(1, PAIRS_AT_ONCE // len(x))):
        d = (x[some, None] - x).mul_(alpha / scale)
        counts, kernel = tails(d, method)
        counts[torch.arange(len(some)), some] = 0  # the item itself
        moved = (kernel * (g[some, None] - g)).sum(-1)
        sums.append((counts.sum(-1), kernel.sum(-1), moved))
    below, mass, moved = (torch.cat(parts) for parts in zip(*sums, strict=True))
    return below, mass, moved


def assert_ends_are_precise(x: Tensor, alpha: float, method: str, number: int) -> None:
    finite = x.isfinite().nonzero().squeeze(-1)
    order = finite[x[finite].double().argsort()]
    g = long_rows.normal(len(x), long_rows.generator_of("gradient", len(x))).to(x.dtype)
    deviation = float((g - g[finite].double().mean()).abs().max())
    others, bound = len(x) - 1, ERROR[x.dtype]
    for items, values, descending in (
        (order[:number], x, False),
        (order[-number:], -x, True),
    ):
        below, mass, moved = exact_at(items, values, g, alpha, method)
        input = x.clone().requires_grad_()
        ranks = rank_relax.soft_rank(input, alpha, method=method, descending=descending)
        error = (ranks.detach().double()[items] * others - below).abs() / (1 + below)
        which = f"alpha {alpha:g}, {method}, {x.dtype}, descending={descending}"
        assert error.max() <= bound, f"{which}: place {below[error.argmax()]} off by {error.max()}"
        (gradient,) = torch.autograd.grad(ranks, input, -g if descending else g)
        # In units of the strength, which at the ends of float64 has no product with others.
        actual = gradient.double()[items] * others / alpha
        error = (actual - moved).abs() / (mass * deviation)
        unit = torch.finfo(x.dtype).tiny * others / alpha / float(mass.min()) / deviation
        assert error.max() <= bound + unit, f"{which}: gradient off by {error.max()}"


@pytest.mark.parametrize("n", [2000, 12_007])
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_places_near_the_ends_are_exact_relative_to_themselves(distribution: str, n: int) -> None:
    for number, dtype in enumerate(FLOATS):
        for method in METHODS:
            if method == "cauchy" and n > 2000:
                continue  # which takes all pairs, and has no end that others are far from
            some = slice(None) if method in ("sigmoid", "gaussian") else slice(number, None, 2)
            for sharpness in DISTRIBUTIONS[distribution].sharpness[some]:
                row = Row(distribution, n, sharpness, method, dtype)
                alpha = row.regularization_strength
                if not 1e-30 < alpha < 1e30:
                    continue  # the gradients of such a list are no float32
                assert_ends_are_precise(row.values, alpha, method, ITEMS)


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 17, 100, 257, 5000])
@pytest.mark.parametrize("distribution", ["normal", "cauchy", "geometric", "uniform"])
def test_they_are_at_every_strength(distribution: str, n: int) -> None:
    for dtype in FLOATS:
        for method in METHODS if n <= 257 else WITHIN_REACH:
            for alpha in STRENGTHS:
                x = long_rows.values_of(distribution, n, dtype)
                assert_ends_are_precise(x, alpha, method, ITEMS)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("distribution", "dtype"),
    [
        ("normal", torch.float64),
        ("normal", torch.float32),
        ("cauchy", torch.float32),
        ("one at the other end", torch.float32),
    ],
    ids=str,
)
def test_they_are_in_a_list_of_a_million(distribution: str, dtype: torch.dtype) -> None:
    x = long_rows.values_of(distribution, LONG, dtype)
    for method, alpha in [
        # Of the Cauchy distribution a list so long would take its 10^12 pairs.
        *((method, 10.0) for method in WITHIN_REACH),
        *(("sigmoid", alpha) for alpha in (0.1, 1.0, 1.8, 100.0, 1e4)),
    ]:
        assert_ends_are_precise(x, alpha, method, ITEMS_OF_A_LONG_ROW)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", WITHIN_REACH)
def test_a_crowd_just_out_of_reach_is_counted(method: str, dtype: torch.dtype) -> None:
    """One item far below very many, whose tails add up though each is a step to rounding."""
    crowd = 200_000
    for distance in (5.0, 7.0, 9.0, 15.0, 19.0, 25.0, 37.0, 41.0):
        x = torch.zeros(crowd, dtype=dtype)
        x[1:] = distance + 0.01 * torch.linspace(0, 1, crowd - 1, dtype=dtype)
        assert_ends_are_precise(x, 1.0, method, 2)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_a_few_equal_or_infinite_items_below_very_many_keep_their_places(
    dtype: torch.dtype,
) -> None:
    for few, others in ((-torch.inf, 1.25), (1.25, torch.inf), (-torch.inf, torch.inf)):
        for number in (1, 2, 3, 5):
            x = torch.full((LONG,), others, dtype=dtype)
            x[:number] = few
            place, expected = (
                rank_relax.soft_rank(x, 1.0)[0].double() * (LONG - 1),
                (number - 1) / 2,
            )
            assert abs(float(place) - expected) <= ERROR[dtype] * (1 + expected)


def test_infinities_and_masks_keep_the_places() -> None:
    x = torch.linspace(0, 5, 4000)
    x[7], x[8] = -torch.inf, torch.inf
    mask = torch.ones(4000, dtype=torch.bool)
    mask[::3] = False
    ranks = rank_relax.soft_rank(x, 3.0, mask=mask).double() * (int(mask.sum()) - 1)
    counted = x.double()[mask]
    finite = counted.isfinite()
    d = 3.0 * (counted[finite, None] - counted)
    exact = torch.sigmoid(d).sum(-1) - 0.5
    assert ((ranks[mask][finite] - exact).abs() / (1 + exact)).max() <= ERROR[torch.float32]
