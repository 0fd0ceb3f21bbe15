"""The kernel sums behind every operator, in all their forms: short rows, narrow, broad and wide.

Which form a row takes depends on its length and on alpha times its spread, so both go from one
end to the other here, over distributions that are hard on one form or another. What must come out
is the float64 sum over all pairs, of every item of a short row and of a sample of a long one.
"""

import functools
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import long_rows
import oracle
import pytest
import torch
from instruction_sets import HAS, IN_USE, INSTRUCTION_SET, USABLE, start_with_instruction_set
from long_rows import BEYOND_FLOAT64, DISTRIBUTIONS, SPREADS, Distribution, Exact, Row
from operators import METHODS, RANK_ERROR, SPEARMAN_LOSS, SPEARMAN_LOSS_BACKWARD, Setting
from torch import Tensor

FLOATS = (torch.float32, torch.float64)
SIZES = (2, 3, 7, 15, 16, 17, 31, 33, 64, 100, 127, 129, 257, 1000, 4096, 10_007, 100_003)

# Times alpha/(n-1) max|g - mean g| max_k S[1]_k; and times
# alpha^2/(n-1) max|v - mean v| max|g - mean g| 4 max_k sum_j |F''(alpha(x_k - x_j))|.
GRADIENT_ERROR = {torch.float32: 1e-6, torch.float64: 1e-12}
SECOND_ERROR = {torch.float32: 2e-6, torch.float64: 1e-12}
# Sums of so many float64 terms lose a digit more.
MANY = 100_000

# Of methods whose formulas share the sums with the others' a part of the rows is asked.
BY_PART = ("laplace", "cauchy")
# Nothing is out of the reach of a Cauchy tail: a row wider than one box takes all its pairs, as the
# documentation says, and the same ones for a long row as for a short one.
WIDEST_BOX_OF_CAUCHY, LONGEST_OF_ALL_PAIRS = 3.3, 4096

# One row or more for each form that the sums may take: n, and alpha times the spread of normals.
FORMS = {
    "few items": (90, 8.0),
    "narrow": (20_011, 6.0),
    "broad": (20_011, 150.0),
    "broad and thin": (20_011, 1e4),
    "wide": (20_011, 1e9),
}
SHARED_BY_THREADS = {
    "longest, narrow": (300_007, 6.0),
    "longest, not so narrow": (300_007, 12.0),
    "longest, broad": (300_007, 500.0),
    "longest, thin": (300_007, 2e5),
    "longest, wide": (300_007, 1e12),
}
FORMS_OF_CAUCHY = {
    "few items": (90, 8.0),
    "narrow": (20_011, 3.0),
    "broad": (3001, 150.0),
    "broad and thin": (3001, 1e4),
    "wide": (3001, 1e9),
    "longest, narrow": (300_007, 3.0),
}
TELLS_ITS_PEAK = os.access("/proc/self/clear_refs", os.W_OK)

soft_rank = torch.ops.rank_relax.soft_rank
soft_rank_backward = torch.ops.rank_relax.soft_rank_backward
spearman_loss = partial(torch.ops.rank_relax.spearman_loss, target_ranks="soft")


def second_derivative(
    v: Tensor, g: Tensor, x: Tensor, alpha: float, method: str, mask: Tensor | None = None
) -> Tensor:
    result: Tensor = torch.ops.rank_relax._soft_rank_derivative([v, g], x, alpha, method, mask)
    return result


def rows(
    distributions: Iterable[str], sizes: Iterable[int], sharpness: Iterable[float] | None = None
) -> list[Row]:
    """Of every size, at the strengths given or else at each distribution's own.

    Each is ranked by the first methods and in both dtypes, though not by each method in each dtype:
    the two pairs take turns from size to size, and from strength to strength. The other methods
    have a third of the rows each.
    """
    return [
        Row(distribution, n, value, method, FLOATS[(i + j + k) % 2])
        for distribution in distributions
        for i, value in enumerate(sharpness or DISTRIBUTIONS[distribution].sharpness)
        for j, method in enumerate(METHODS)
        for k, n in enumerate(sizes)
        if method not in BY_PART or (i + j + k) % 3 == 0
        if not takes_too_many_pairs(method, n, DISTRIBUTIONS[distribution], value)
    ]


def takes_too_many_pairs(method: str, n: int, distribution: Distribution, sharpness: float) -> bool:
    is_one_box = distribution.per_spread and sharpness <= WIDEST_BOX_OF_CAUCHY
    return method == "cauchy" and n > LONGEST_OF_ALL_PAIRS and not is_one_box


def forms_of(method: str) -> dict[str, tuple[int, float]]:
    return FORMS_OF_CAUCHY if method == "cauchy" else {**FORMS, **SHARED_BY_THREADS}


def form_row(form: str, method: str, dtype: torch.dtype) -> Row:
    n, spread = forms_of(method)[form]
    return Row("normal", n, spread, method, dtype)


def cases_of(forms: Iterable[str]) -> list[Any]:
    """Each form by each method that has it in each dtype, but by some in one dtype of the two."""
    return [
        pytest.param(form, method, dtype, id=f"{form}-{method}-{dtype}")
        for i, form in enumerate(forms)
        for j, method in enumerate(METHODS)
        for k, dtype in enumerate(FLOATS)
        if form in forms_of(method)
        if method not in BY_PART or (i + j + k) % 2 == 0
    ]


ROWS = [
    *rows(["normal"], SIZES, SPREADS),
    *rows([name for name in DISTRIBUTIONS if name != "normal"], (100, 2000, 12_007)),
    *rows(["uniform", "presorted", "at both ends", "ties"], [70_001], [12.0, 16.0]),
    *rows(["one at the other end"], [70_001]),
]
# The rows of a distribution and a size, whatever their strength, method and dtype.
ALIKE = {
    f"{distribution}-{n}": [row for row in ROWS if (row.distribution, row.n) == (distribution, n)]
    for distribution, n in dict.fromkeys((row.distribution, row.n) for row in ROWS)
}
in_every_form = pytest.mark.parametrize(("form", "method", "dtype"), cases_of(FORMS))
by_every_method = pytest.mark.parametrize("method", METHODS)
in_both_dtypes = pytest.mark.parametrize("dtype", FLOATS, ids=str)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Others would only wait for each other after every small operation of the reference.

    The operators give the same bits on any number of threads, as one test here shows.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@functools.cache
def sample_and_exact(row: Row) -> tuple[Tensor, Exact]:
    sample, alpha = long_rows.sample_of(row), row.regularization_strength
    return sample, long_rows.exact(row.values, alpha, row.method, sample, row.directions())


def assert_close(
    actual: Tensor, expected: Tensor, bound: float, items: Tensor | None = None
) -> None:
    """|actual - expected| <= bound, at some items of `actual` or at all of them."""
    at_items = actual if items is None else actual[items]
    assert at_items.shape == expected.shape
    error = (at_items.double() - expected.double()).abs()
    worst = int(error.argmax())
    item = worst if items is None else int(items[worst])
    # A NaN is the largest of all.
    assert error.max() <= bound, f"item {item}: error {error.max():.3g}, bound {bound:.3g}"


def rounding_to_nothing(dtype: torch.dtype) -> float:
    """A result that small is rounded to a multiple of this."""
    return torch.finfo(dtype).tiny * torch.finfo(dtype).eps


def gradient_bound(row: Row, sums: Exact, direction: int, g: Tensor) -> float:
    """What is left of a constant g is the rounding of its mean, a float64 sum of n terms."""
    many = 10 if row.dtype == torch.float64 and row.n > MANY else 1
    rounding = max(torch.finfo(row.dtype).eps, row.n**0.5 * torch.finfo(torch.float64).eps)
    deviation = sums.deviations[direction] + rounding * float(g.abs().max())
    scale = row.regularization_strength * (sums.mass / (row.n - 1) * deviation)
    return many * GRADIENT_ERROR[row.dtype] * scale + rounding_to_nothing(row.dtype)


def second_bound(row: Row, sums: Exact) -> float:
    """Relative to sums of |F''|, which vanish with the spread, so narrow rows keep their precision.

    In a row that is broad as a whole, tight clusters can't: a place is known to a rounding of the
    whole, and F'' to as much times F'''. There the bound takes sums of F', as a gradient's does.
    """
    many = 10 if row.dtype == torch.float64 and row.n > MANY else 1
    mass = many * SECOND_ERROR[row.dtype] * 4 * sums.curvature
    spread = row.values[row.values.isfinite()].double()
    if row.regularization_strength * float(spread.max() - spread.min()) > 2:
        mass = max(mass, many * GRADIENT_ERROR[row.dtype] * 2 * sums.mass)
    alpha = row.regularization_strength
    v, g = sums.deviations[:2]
    return alpha * v * (alpha * g) * (mass / (row.n - 1)) + rounding_to_nothing(row.dtype)


# The reference itself


@by_every_method
@pytest.mark.parametrize("alpha", [1e-3, 1.7, 60.0])
def test_the_sampled_sums_are_the_oracles(alpha: float, method: str) -> None:
    x, v, g = torch.randn(3, 500, dtype=torch.float64)
    x[::7], x[::11] = torch.inf, -torch.inf
    sample = torch.randperm(500)
    sums = long_rows.exact(x, alpha, method, sample, [v, g])
    assert sums.second is not None
    # A few roundings: of ranks, and of sums of 500 terms relative to the factors of each.
    assert_close(sums.ranks, oracle.soft_rank(x, alpha, method)[sample], 2e-15)
    for direction, gradient in zip((v, g), sums.gradients, strict=True):
        expected = oracle.soft_rank_backward(direction, x, alpha, method)[sample]
        assert_close(gradient, expected, 1e-14 * alpha)
    expected = oracle.soft_rank_derivative([v, g], x, alpha, method)[sample]
    assert_close(sums.second, expected, 1e-14 * alpha**2)
    assert sums.mass == pytest.approx(float(oracle.kernel_mass(x, alpha, method)), rel=1e-14)


# Against the sums that define them


@pytest.mark.parametrize("alike", ALIKE)
def test_ranks_and_their_derivatives_are_the_sums_of_their_pairs(
    alike: str, subtests: pytest.Subtests
) -> None:
    for row in ALIKE[alike]:
        alpha, directions = row.regularization_strength, row.directions()
        sample, sums = sample_and_exact(row)
        with subtests.test("ranks", row=str(row)):
            ranks = soft_rank(row.values, alpha, row.method)
            assert_close(ranks, sums.ranks, RANK_ERROR[row.dtype], sample)
        for number, g in enumerate(directions):
            with subtests.test("gradient", row=str(row), direction=number):
                gradient = soft_rank_backward(g, row.values, alpha, row.method)
                bound = gradient_bound(row, sums, number, g)
                assert_close(gradient, sums.gradients[number], bound, sample)
        if (row.distribution, row.dtype) in BEYOND_FLOAT64:
            continue
        with subtests.test("second derivative", row=str(row)):
            assert sums.second is not None
            result = second_derivative(*directions, row.values, alpha, row.method)
            assert_close(result, sums.second, second_bound(row, sums), sample)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "items"),
    [
        (Row("normal", 1_000_000, 10.0, "sigmoid"), 20),
        (Row("normal", 1_000_000, 1e3, "gaussian"), 20),
        (Row("normal", 1_000_000, 1e9, "sigmoid"), 20),
        (Row("normal", 10_000_000, 1e3, "sigmoid"), 20),
        (Row("normal", 1_000_000, 1e3, "laplace"), 20),
        (Row("normal", 1_000_000, 3.0, "cauchy"), 20),
    ],
    ids=str,
)
def test_millions_of_items_are_ranked_as_exactly(row: Row, items: int) -> None:
    sample = long_rows.sample_of(row, items)
    alpha, g = row.regularization_strength, torch.randn(row.n)
    sums = long_rows.exact(row.values, alpha, row.method, sample, [g])
    ranks = soft_rank(row.values, alpha, row.method)
    assert_close(ranks, sums.ranks, RANK_ERROR[row.dtype], sample)
    gradient = soft_rank_backward(g, row.values, alpha, row.method)
    assert_close(gradient, sums.gradients[0], gradient_bound(row, sums, 0, g), sample)


# What gradients come in


def spearman_rank_gradient(x: Tensor, noise: Tensor) -> Tensor:
    """That of the loss with respect to hard ranks, against targets that nearly agree."""

    def unit_ranks(values: Tensor) -> Tensor:
        ranks = values.argsort().argsort().double()
        ranks = ranks - ranks.mean()
        return ranks / ranks.norm()

    p, t = unit_ranks(x), unit_ranks(x + noise / 4)
    return (torch.dot(p, t) * p - t) * len(x)


INCOMING: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "random": lambda x, noise: noise,
    "smooth": lambda x, noise: torch.sin(2 * x),
    "monotone": lambda x, noise: x,
    "of a rank loss": spearman_rank_gradient,
    "one item's": lambda x, noise: (noise == noise.max()).double(),
    "on a mean of 1e4": lambda x, noise: 1e4 + noise,
    "constant": lambda x, noise: torch.full_like(x, 0.7),
}


@in_every_form
def test_no_incoming_gradient_costs_precision(
    form: str, method: str, dtype: torch.dtype, subtests: pytest.Subtests
) -> None:
    row = form_row(form, method, dtype)
    noise = torch.randn(row.n, dtype=torch.float64)
    for incoming, of in INCOMING.items():
        with subtests.test(incoming=incoming):
            check_gradient(row, (row.unit * of(row.values.double(), noise)).to(dtype))


@in_every_form
def test_no_size_of_an_incoming_gradient_costs_precision(
    form: str, method: str, dtype: torch.dtype, subtests: pytest.Subtests
) -> None:
    row = form_row(form, method, dtype)
    for size in (1e37, 1e-38) if dtype == torch.float32 else (1e300, 1e-300):
        g = size * min(row.unit, 1.0) * torch.randn(row.n, dtype=torch.float64).clamp(-4, 4)
        with subtests.test(size=size):
            check_gradient(row, g.to(dtype))


def check_gradient(row: Row, g: Tensor) -> None:
    alpha, sample = row.regularization_strength, long_rows.sample_of(row)
    sums = long_rows.exact(row.values, alpha, row.method, sample, [g])
    gradient = soft_rank_backward(g, row.values, alpha, row.method)
    assert_close(gradient, sums.gradients[0], gradient_bound(row, sums, 0, g), sample)


# What holds for every item of a row


@pytest.mark.parametrize(("form", "method", "dtype"), cases_of([*FORMS, *SHARED_BY_THREADS]))
class TestEveryItem:
    def test_equal_values_get_equal_bits(self, form: str, method: str, dtype: torch.dtype) -> None:
        kind, x, _ = self.ties(form, method, dtype)
        ranks = soft_rank(x, form_row(form, method, dtype).regularization_strength, method)
        self.check_equal_in_kind(kind, ranks)

    def test_so_do_their_gradients_where_the_incoming_ones_are_equal(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        kind, x, g = self.ties(form, method, dtype)
        alpha = form_row(form, method, dtype).regularization_strength
        self.check_equal_in_kind(kind, soft_rank_backward(g, x, alpha, method))

    def ties(self, form: str, method: str, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        """Which of n/3 kinds each item is, and the values and gradients of its kind."""
        n = form_row(form, method, dtype).n
        kind = torch.randint(0, n // 3, (n,))
        values, gradients = torch.randn(2, n // 3, dtype=dtype)
        return kind, values[kind], gradients[kind]

    def check_equal_in_kind(self, kind: Tensor, result: Tensor) -> None:
        representative = torch.empty(int(kind.max()) + 1, dtype=result.dtype)
        representative[kind] = result
        different = (representative[kind] != result).sum()
        assert different == 0, f"{different} of {len(kind)} items differ from another of their kind"

    def test_a_larger_value_has_no_smaller_rank(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        row = form_row(form, method, dtype)
        ranks = soft_rank(row.values, row.regularization_strength, method)
        ascending = ranks[row.values.argsort()].double()
        assert (ascending.cummax(0).values - ascending).max() <= RANK_ERROR[dtype]

    def test_ranks_average_a_half_and_gradients_nothing(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        """F(d) + F(-d) = 1, and no rank moves if all values do."""
        row = form_row(form, method, dtype)
        alpha, (random, smooth) = row.regularization_strength, row.directions()
        ranks = soft_rank(row.values, alpha, method)
        assert abs(ranks.double().mean() - 0.5) <= RANK_ERROR[dtype]
        _, sums = sample_and_exact(row)
        for number, g in enumerate((random, smooth)):
            gradient = soft_rank_backward(g, row.values, alpha, method)
            assert abs(gradient.double().mean()) <= gradient_bound(row, sums, number, g)

    def test_the_order_of_the_items_does_not_matter(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        row = form_row(form, method, dtype)
        alpha, x, order = row.regularization_strength, row.values, torch.randperm(row.n)
        v, g = row.directions()
        _, sums = sample_and_exact(row)
        ranks, permuted = (soft_rank(values, alpha, method) for values in (x, x[order]))
        assert_close(permuted, ranks[order], RANK_ERROR[dtype])
        gradient, permuted = (
            soft_rank_backward(*tensors, alpha, method)
            for tensors in ((g, x), (g[order], x[order]))
        )
        assert_close(permuted, gradient[order], gradient_bound(row, sums, 1, g))
        second, permuted = (
            second_derivative(*tensors, alpha, method)
            for tensors in ((v, g, x), (v[order], g[order], x[order]))
        )
        assert_close(permuted, second[order], second_bound(row, sums))


@by_every_method
@in_both_dtypes
@pytest.mark.parametrize("n", [20_011, 300_007])
def test_every_rank_of_a_long_constant_row_is_a_half(
    n: int, dtype: torch.dtype, method: str
) -> None:
    for value in (0.7, -3e38, 1e-45, 0.0, torch.inf):
        for alpha in (1e-6, 1.0, 1e6):
            ranks = soft_rank(torch.full((n,), value, dtype=dtype), alpha, method)
            assert torch.equal(ranks, torch.full_like(ranks, 0.5))


# The same bits


def everything(
    v: Tensor, g: Tensor, x: Tensor, targets: Tensor, alpha: float, method: str
) -> list[Tensor]:
    """What each operator that sums over pairs makes of a row or a batch."""
    leaves = [x.clone().requires_grad_(), targets.clone().requires_grad_()]
    losses = spearman_loss(*leaves, alpha, method)
    return [
        soft_rank(x, alpha, method),
        soft_rank_backward(g, x, alpha, method),
        second_derivative(v, g, x, alpha, method),
        losses.detach(),
        *torch.autograd.grad(losses.sum(), leaves),
    ]


SHAPES = ((300_007,), (3, 10_007), (40, 129), (300, 17))
OF_CAUCHY = (  # instead of these all, whose pairs would be too many
    *((3.0, shape) for shape in SHAPES),
    *((spread, (3001,)) for spread in (6.0, 1e4)),
    *((spread, (40, 129)) for spread in (150.0, 1e9)),
)
CASES = [
    pytest.param(method, dtype, spread, shape, id=f"{method}-{dtype}-{spread:g}-{shape}")
    for j, method in enumerate(METHODS)
    for k, dtype in enumerate(FLOATS)
    for i, (spread, shape) in enumerate(
        OF_CAUCHY if method == "cauchy" else itertools.product((6.0, 150.0, 1e4, 1e9), SHAPES)
    )
    if method not in BY_PART or (i // 4 + i + j + k) % 2 == 0
]


@pytest.mark.parametrize(("method", "dtype", "spread", "shape"), CASES)
def test_threads_and_repetition_do_not_change_a_bit(
    method: str, dtype: torch.dtype, spread: float, shape: tuple[int, ...]
) -> None:
    v, g, x, targets = torch.randn(4, *shape, dtype=dtype)
    alpha = spread / float(x.max() - x.min())
    expected = None
    for threads in (1, 2, 3, 5, 2):
        torch.set_num_threads(threads)
        results = everything(v, g, x, targets, alpha, method)
        expected = expected or results
        for result, first in zip(results, expected, strict=True):
            assert torch.equal(result, first)


@in_both_dtypes
@pytest.mark.parametrize(
    ("method", "n"),
    [
        *(("sigmoid", n) for n in (1025, 3001, 100_003)),
        *(("gaussian", n) for n in (257, 3001, 100_003)),
        *(("laplace", n) for n in (1025, 100_003)),
        *(("cauchy", n) for n in (257, 1009)),
    ],
)
@pytest.mark.parametrize("kinds", ["mixed", "alike"])
def test_a_row_that_goes_alone_has_the_same_bits_in_a_batch(
    kinds: str, n: int, method: str, dtype: torch.dtype
) -> None:
    """Whether its neighbours are summed in the same way or in others."""
    x = torch.randn(10, n, dtype=dtype)
    if kinds == "mixed":
        names = ("an outlier", "all equal", "geometric", "half infinite", "ties", "cauchy")
        for number, name in enumerate(names):
            x[number] = long_rows.values_of(name, n, dtype)
        x[6] *= 1e-9
        x[7] = torch.nan
    v, g, targets = torch.randn(3, *x.shape, dtype=dtype)
    together = everything(v, g, x, targets, 2.0, method)
    for number in range(len(x)):
        alone = everything(v[number], g[number], x[number], targets[number], 2.0, method)
        for whole, part in zip(together, alone, strict=True):
            assert torch.equal(whole[number].nan_to_num(9), part.nan_to_num(9))
            assert torch.equal(whole[number].isnan(), part.isnan())


@in_both_dtypes
@pytest.mark.parametrize("method", ["sigmoid", "laplace"])
def test_a_row_has_the_ranks_among_others_that_it_has_alone(
    method: str, dtype: torch.dtype, subtests: pytest.Subtests
) -> None:
    """Short rows are summed abreast, in other forms than a row that goes alone."""
    rows: list[tuple[str, Tensor, float]] = [
        (
            f"{n} equal gaps up to {extent}, and an outlier",
            torch.cat([torch.linspace(0, extent, n - 1), torch.tensor([100.0])]),
            1.0,
        )
        for n, extent in itertools.product((64, 256, 1000), (1e-4, 1e-2, 0.1, 10.0))
    ]
    rows += [
        ("far apart", torch.arange(100) * 1e4, 1e4),
        ("heavy tails", torch.empty(1000).log_normal_(0, 3), 0.3),
        ("half of a gap", torch.arange(64) % 2 * 1e3, 1.0),
        ("wide", torch.arange(64) % 2 * 3e38 - 1.5e38, 2e-38),
    ]
    if dtype == torch.float64:
        rows += [
            ("denormal gaps", torch.arange(64, dtype=dtype) * 1e-308, 1e308),
            ("gaps that overflow", (torch.arange(64, dtype=dtype) % 2 * 2 - 1) * 1.7e308, 1e-308),
        ]
    bound = 2e-7 if dtype == torch.float32 else 1e-12
    for name, row, alpha in rows:
        x = row.to(dtype)
        v = torch.linspace(-1, 1, len(x), dtype=dtype).sin()
        with subtests.test(name=name):
            alone = soft_rank(x, alpha, method=method)
            among_others = soft_rank(x.repeat(64, 1), alpha, method=method)
            assert torch.equal(among_others, among_others[:1].expand_as(among_others))
            counts = 1 + (len(x) - 1) * alone
            assert ((among_others[0] - alone) * (len(x) - 1) / counts).abs().max() <= 64 * bound
            assert (among_others[0] - alone).abs().max() <= bound
            slope = torch.ops.rank_relax.soft_rank_backward(v, x, alpha, method, None)
            slopes = torch.ops.rank_relax.soft_rank_backward(
                v.repeat(64, 1), x.repeat(64, 1), alpha, method, None
            )
            largest = slope.abs().max()
            assert (slopes[0] - slope).abs().max() <= 8 * bound * largest
            saturated = (slope == 0).all()
            assert not saturated or (slopes == 0).all()


# What is left out, and where the items lie in memory


@in_every_form
class TestLeftOut:
    def test_masked_and_nan_items_leave_the_others_as_they_are(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        row = form_row(form, method, dtype)
        alpha, packed, (v, g) = row.regularization_strength, row.values, row.directions()
        x, mask, kept = self.spread_out(packed)
        of_nan = mask & x.isnan()
        v_out, g_out = (torch.full_like(x, torch.nan) for _ in range(2))
        v_out[kept], g_out[kept] = v, g
        _, sums = sample_and_exact(row)
        for result, expected, bound in (
            (
                soft_rank(x, alpha, method, mask),
                soft_rank(packed, alpha, method),
                RANK_ERROR[dtype],
            ),
            (
                soft_rank_backward(g_out, x, alpha, method, mask),
                soft_rank_backward(g, packed, alpha, method),
                gradient_bound(row, sums, 1, g),
            ),
            (
                second_derivative(v_out, g_out, x, alpha, method, mask),
                second_derivative(v, g, packed, alpha, method),
                second_bound(row, sums),
            ),
        ):
            assert_close(result[kept], expected, bound)
            assert result[of_nan].isnan().all()
            assert (result[~mask] == 0).all()

    def test_masked_items_leave_the_loss_as_it_is(
        self, form: str, method: str, dtype: torch.dtype
    ) -> None:
        row = form_row(form, method, dtype)
        alpha, packed = row.regularization_strength, row.values
        targets = packed + torch.randn(row.n, dtype=dtype)
        x, mask, kept = self.spread_out(packed)
        mask &= ~x.isnan()
        targets_out = torch.full_like(x, torch.nan)
        targets_out[kept] = targets
        loss = spearman_loss(x, targets_out, alpha, method, mask)
        expected = spearman_loss(packed, targets, alpha, method)
        # As in `operators`: a rank error e turns a centred, normalised row by e/std(R).
        turns = sum(1 / float(soft_rank(r, alpha, method).std()) for r in (packed, targets))
        bound = RANK_ERROR[dtype] * turns + 4 * torch.finfo(dtype).eps
        assert abs(loss.double() - expected.double()) <= bound

    def spread_out(self, packed: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The items among as many masked ones, whatever those are, and a few NaN unmasked."""
        n = len(packed)
        nan_items = 7
        order = torch.randperm(2 * n + nan_items)
        kept, masked, unmasked = order[:n], order[n : 2 * n], order[2 * n :]
        x = torch.empty(2 * n + nan_items, dtype=packed.dtype)
        x[kept] = packed
        anything = torch.tensor([torch.nan, torch.inf, -torch.inf, 1e30, -3e38, 0.0])
        x[masked] = anything.to(packed.dtype).repeat(n // len(anything) + 1)[:n]
        x[unmasked] = torch.nan
        mask = torch.ones_like(x, dtype=torch.bool)
        mask[masked] = False
        return x, mask, kept


LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "transposed": lambda t: t.t().contiguous().t(),
    "stepped": lambda t: t.repeat_interleave(3, -1)[:, 1::3],
    "padded": lambda t: torch.nn.functional.pad(t, (1, 2))[:, 1:-2],
    "expanded": lambda t: t[:1].expand_as(t),
}


@in_every_form
def test_strides_of_long_rows_do_not_change_a_bit(
    form: str, method: str, dtype: torch.dtype, subtests: pytest.Subtests
) -> None:
    n, spread = forms_of(method)[form]
    n = min(n, 5003 if method != "cauchy" else 701)
    packed = torch.randn(4, 3, n, dtype=dtype)
    mask = torch.rand(3, n) < 0.9
    alpha = spread / float(packed[2].max() - packed[2].min())
    for layout, laid_out in LAYOUTS.items():
        views = [laid_out(tensor) for tensor in packed]
        mask_view = laid_out(mask)
        dense = [view.clone(memory_format=torch.contiguous_format) for view in views]
        with subtests.test(layout=layout):
            for result, expected in zip(
                everything(*views, alpha, method), everything(*dense, alpha, method), strict=True
            ):
                assert torch.equal(result, expected)
            masked = soft_rank(views[2], alpha, method, mask_view)
            assert torch.equal(masked, soft_rank(dense[2], alpha, method, mask_view.contiguous()))


# Spearman's loss of long rows


def narrow_ranks(d: Tensor, method: str) -> Tensor:
    """Centred ranks in some unit, up to the square of the spread relative to themselves.

    F - 1/2 is linear up to there, and the values are their own ranks; but of the Laplace
    distribution it is d/2 - |d|d/4, whose sums over all items below and above one are taken here.
    """
    if method != "laplace":
        return d
    ordered, order = (d - d.detach().mean()).sort()
    n, zero = len(d), ordered.new_zeros(1)
    sums = [torch.cat([zero, (ordered**power).cumsum(0)]) for power in (0, 1, 2)]
    # Those below less those above an item, which itself adds nothing.
    first, second, third = (2 * part[:-1] + ordered**k - part[-1] for k, part in enumerate(sums))
    squares = ordered * ordered * first - 2 * ordered * second + third
    return (ordered - squares / (2 * n))[order.argsort()]


@in_both_dtypes
@by_every_method
@pytest.mark.parametrize("spread", [6.0, 60.0, 1e9])
def test_the_loss_of_long_rows_is_the_oracles(
    spread: float, method: str, dtype: torch.dtype
) -> None:
    predictions = torch.randn(1000, dtype=dtype)
    targets = predictions / 2 + torch.randn(1000, dtype=dtype)
    setting = Setting(spread / float(predictions.max() - predictions.min()), method)
    pair = (predictions, targets)
    loss, one = SPEARMAN_LOSS(pair, setting), torch.ones((), dtype=dtype)
    bound = SPEARMAN_LOSS.error_bound(pair, setting, dtype)
    assert abs(loss.double() - SPEARMAN_LOSS.expected(pair, setting)) <= bound
    gradient = SPEARMAN_LOSS_BACKWARD((one, *pair), setting)
    expected = SPEARMAN_LOSS_BACKWARD.expected((one, *pair), setting)
    bound = SPEARMAN_LOSS_BACKWARD.error_bound((one, *pair), setting, dtype)
    assert ((gradient.double() - expected).abs() <= bound).all()


@in_both_dtypes
@pytest.mark.parametrize(
    ("method", "spread"),
    [
        *itertools.product(("sigmoid", "gaussian"), (1e-6, 1e-9, 1e-12)),
        *(("laplace", spread) for spread in (1e-6, 1e-9, 1e-12, 1e-18)),
        *(("cauchy", spread) for spread in (1e-6, 1e-12)),
    ],
)
class TestNarrowRows:
    def test_a_loss_keeps_its_relative_precision(
        self, spread: float, method: str, dtype: torch.dtype
    ) -> None:
        predictions, targets = self.narrow_and_opposed(1000, spread, dtype)
        leaf = predictions.double().requires_grad_()
        exact = oracle.spearman_loss(leaf, targets, 1.0, method)
        self.check(predictions, targets, exact, leaf, method)

    def test_so_does_the_loss_of_a_longer_row(
        self, spread: float, method: str, dtype: torch.dtype
    ) -> None:
        """F is linear there up to spread^2, so that values are their own ranks; but see above."""
        n = 5000 if method == "cauchy" else 20_000  # the targets take their pairs
        predictions, targets = self.narrow_and_opposed(n, spread, dtype)
        # Few different values have few different ranks.
        targets = (16 * targets).round() / 16
        kinds, kind = torch.unique(targets, return_inverse=True)
        first = torch.empty(len(kinds), dtype=torch.long)
        first[kind] = torch.arange(n)
        target_ranks = long_rows.exact(targets, 1.0, method, first).ranks[kind]
        leaf = predictions.double().requires_grad_()
        exact = self.linear_loss(leaf, target_ranks, method)
        self.check(predictions, targets, exact, leaf, method)

    def test_two_narrow_rows_correlate_as_their_values_do(
        self, spread: float, method: str, dtype: torch.dtype
    ) -> None:
        predictions, targets = self.narrow_and_opposed(20_000, spread, dtype)
        targets = (targets.double() * spread / 10).to(dtype)
        leaf = predictions.double().requires_grad_()
        of_targets = narrow_ranks(targets.double(), method)
        exact = self.linear_loss(leaf, of_targets, method)
        self.check(predictions, targets, exact, leaf, method)

    def test_so_do_values_that_are_ranked_softly(
        self, spread: float, method: str, dtype: torch.dtype
    ) -> None:
        predictions, targets = self.narrow_and_opposed(20_000, 1.0, dtype)
        leaf = predictions.double().requires_grad_()
        alpha = spread / 10
        of_targets = narrow_ranks(targets.double() * alpha, method)
        exact = self.linear_loss(leaf, of_targets, method, alpha)
        self.check(predictions, targets, exact, leaf, method, alpha)

    def narrow_and_opposed(
        self, n: int, spread: float, dtype: torch.dtype
    ) -> tuple[Tensor, Tensor]:
        """Predictions over that spread, and targets of spread 1 and more that go against them."""
        predictions = torch.randn(n, dtype=torch.float64)
        targets = -predictions + 0.7 * torch.randn(n, dtype=torch.float64)
        predictions *= spread / (predictions.max() - predictions.min())
        return predictions.to(dtype), targets.to(dtype)

    def linear_loss(
        self, predictions: Tensor, target_ranks: Tensor, method: str, alpha: float = 1.0
    ) -> Tensor:
        scaled = narrow_ranks(predictions * alpha, method)
        scaled = scaled / scaled.detach().abs().max()
        targets = target_ranks / target_ranks.abs().max()
        return 1 - torch.corrcoef(torch.stack([scaled, targets]))[0, 1]

    def check(
        self,
        predictions: Tensor,
        targets: Tensor,
        exact: Tensor,
        leaf: Tensor,
        method: str,
        alpha: float = 1.0,
    ) -> None:
        """The rounding of the loss, in float64 that of sums of n terms; 1e-5 of the gradient."""
        double = predictions.dtype == torch.float64
        assert exact > 1.5
        predictions = predictions.clone().requires_grad_()
        loss = spearman_loss(predictions, targets, alpha, method)
        roundings = len(predictions) ** 0.5 if double else 4
        assert abs(loss.double() - exact) <= roundings * torch.finfo(predictions.dtype).eps
        (gradient,) = torch.autograd.grad(loss, predictions)
        (expected,) = torch.autograd.grad(exact, leaf)
        assert_close(gradient, expected, (1e-11 if double else 1e-5) * float(expected.abs().max()))


# Instruction sets


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Tests of this file that visit every form, with all sets but the one in use at once.

    All of them run with another set if the environment variable is set for this very process.
    """
    left_out = (
        "InstructionSets",
        "Memory",
        "millions",
        "longest",
        "10007",
        "12007",
        "0003",
        "0007",
    )
    chosen = " and ".join(["normal", *(f"not {name}" for name in left_out)])
    arguments = ["-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider", "-k", chosen]
    directory = tmp_path_factory.mktemp("instruction_sets")
    with ExitStack() as stack:
        runs = {
            name: stack.enter_context(
                start_with_instruction_set(name, [*arguments, __file__], directory)
            )
            for name in USABLE
            if name != IN_USE
        }
        yield runs
        for run in runs.values():
            run.kill()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="Linux tells what the machine has")
class TestInstructionSets:
    @pytest.mark.parametrize("name", HAS)
    def test_everything_holds_with_each(
        self, name: str, runs: dict[str, subprocess.Popen[str]]
    ) -> None:
        if name == IN_USE:
            pytest.skip(reason="the rest of this file runs with it, in this very process")
        if name not in runs:
            pytest.skip(reason=f"the processor of this machine does not have {name}")
        output, _ = runs[name].communicate()
        assert runs[name].returncode == 0, output[-5000:]

    @pytest.mark.parametrize("name", ["sse9", "AVX2", *[name for name in HAS if not HAS[name]]])
    def test_one_that_cannot_be_used_is_refused_with_those_that_can(
        self, name: str, tmp_path: Path
    ) -> None:
        program = """
import torch
try:
    import rank_relax
    rank_relax.soft_rank(torch.randn(5))
except ValueError as error:
    print("refused:", error)
"""
        output, _ = start_with_instruction_set(name, ["-c", program], tmp_path).communicate()
        assert output.startswith("refused:"), output
        for part in (INSTRUCTION_SET, name, *USABLE):
            assert part in output


# Memory


@pytest.mark.slow
@pytest.mark.skipif(not TELLS_ITS_PEAK, reason="only Linux tells a process the peak of its memory")
class TestMemory:
    program = """
import ctypes, sys
import torch, rank_relax

def memory(of):
    lines = open("/proc/self/status").read().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(of))

def extra_memory(operator, tensors):
    operator(*tensors[:, :200_000], alpha)  # threads, and tables that are made once
    ctypes.CDLL(None).malloc_trim(0)  # keep nothing that is free, else it would be reused unseen
    open("/proc/self/clear_refs", "w").write("5")  # the peak is now what it takes now
    before = memory("VmRSS")
    output = operator(*tensors, alpha)
    return memory("VmHWM") - before - output.nbytes

dtype, alpha = getattr(torch, sys.argv[1]), float(sys.argv[2])
tensors = torch.randn(2, int(sys.argv[3]), dtype=dtype)
print(extra_memory(torch.ops.rank_relax.soft_rank, tensors[1:]))
print(extra_memory(torch.ops.rank_relax.soft_rank_backward, tensors))
"""

    @pytest.mark.parametrize(
        ("dtype", "alpha", "bytes_an_item"),
        [
            ("float32", 1.0, 16),
            ("float32", 100.0, 16),
            ("float32", 1e9, 16),
            ("float64", 1e9, 32),
        ],
    )
    def test_a_long_row_takes_little_memory_beside_its_tensors(
        self, dtype: str, alpha: float, bytes_an_item: int, tmp_path: Path
    ) -> None:
        n = 4_000_000
        result = subprocess.run(
            [sys.executable, "-c", self.program, dtype, str(alpha), str(n)],
            cwd=tmp_path,  # not where an uncompiled package may lie
            text=True,
            capture_output=True,
        )
        assert result.returncode == 0, result.stderr
        of_forward, of_backward = (int(line) / n for line in result.stdout.split())
        assert of_forward <= bytes_an_item
        assert of_backward <= bytes_an_item


@by_every_method
@in_both_dtypes
@pytest.mark.parametrize("strength", [1e300, 1.9e307, 1.79e308])
def test_ties_stay_ties_at_the_strongest_strengths(
    strength: float, dtype: torch.dtype, method: str
) -> None:
    x = torch.tensor([0.0, 1.0, 3.0], dtype=dtype).repeat_interleave(20)
    ranks = soft_rank(x, strength, method, None)
    expected = torch.tensor([9.5, 29.5, 49.5], dtype=dtype).repeat_interleave(20) / 59
    torch.testing.assert_close(ranks, expected)
    assert soft_rank_backward(torch.ones_like(x), x, strength, method, None).isfinite().all()
