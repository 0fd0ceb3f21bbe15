"""What ``soft_quantile`` promises, case by case: where the smoothed count reaches a level.

The same questions as of every operator are in test_operators.py; the formulas in oracle.py.
"""

import math

import oracle
import pytest
import torch
from operators import Setting, sort_bound
from order_statistics import FLOATS, SMOOTH, doubles, gradient_of
from torch import Tensor

from rank_relax import soft_quantile, soft_sort

INF, NAN = math.inf, math.nan
OPS = torch.ops.rank_relax


@SMOOTH
def test_a_quantile_of_a_place_is_the_sorted_value_there(method: str) -> None:
    x = torch.randn(4, 9, dtype=torch.float64)
    q = torch.arange(9, dtype=torch.float64) / 8
    for alpha in (0.1, 1.0, 20.0):
        values = soft_sort(x, alpha, method=method)
        quantiles = soft_quantile(x, q, alpha, method=method)
        bound = sort_bound((x,), Setting(alpha, method), torch.float64)
        assert ((quantiles.T - values).abs() <= 2 * bound).all()


@SMOOTH
@FLOATS
@pytest.mark.parametrize("alpha", [1.0, 30.0, 1e3, 1e8])
def test_the_median_of_an_even_number_lies_in_the_middle_of_its_neighbours(
    alpha: float, dtype: torch.dtype, method: str
) -> None:
    """Of symmetric lists: however wide the gap is, and however many items are on its sides."""
    for half in (doubles(1), doubles(1, 3), doubles(0.5, 0.75, 8), torch.rand(50).double() + 0.1):
        x = torch.cat([-half, half]).to(dtype)
        leaf = x.clone().requires_grad_()
        median = soft_quantile(leaf, 0.5, alpha, method=method)
        assert abs(median.item()) <= 4e-14 / alpha + 2e-14 * x.abs().max()
        (weights,) = torch.autograd.grad(median, leaf)
        rounding = 1e-6 if dtype == torch.float32 else 1e-10
        assert abs(weights.double().sum().item() - 1) <= rounding
        assert (weights - weights.view(2, -1).flip(0).flatten()).abs().max() <= rounding
        assert (weights >= 0).all()


@SMOOTH
@FLOATS
@pytest.mark.parametrize("gap", [50.0, 300.0, 1e4, 1e30])
def test_in_a_wide_gap_the_nearest_neighbours_share_the_weight(
    gap: float, dtype: torch.dtype, method: str
) -> None:
    x = torch.tensor([-2.0, -1.0, 0.0, gap, gap + max(1.0, gap / 2)], dtype=dtype)
    sides = x[2].double(), x[3].double()
    leaf = x.clone().requires_grad_()
    point = soft_quantile(leaf, 2.5 / 4, method=method)  # level 3 of 5
    (weights,) = torch.autograd.grad(point, leaf)
    if method == "cauchy":  # where 1/distance counts, and no neighbour hides those behind it
        doubles_of = x.double().requires_grad_()
        exact = oracle.soft_quantile(doubles_of, doubles(2.5 / 4), 1.0, method)
        assert abs(point.double() - exact) <= 1e-6 * (1 + gap)
        (limit,) = torch.autograd.grad(exact, doubles_of)
        assert (weights - limit).abs().max() <= 1e-6
        return
    # Of an exponential, e^-1 and e^-2 of the items behind count as well; the gap's error is
    # relative.
    lower = 0.0 if method == "gaussian" else math.log1p(math.exp(-1) + math.exp(-2))
    expected = float(sides[0] + sides[1]) / 2 + lower / 2
    assert abs(float(point.detach()) - expected) <= 1e-6 * (1 + gap)
    if method != "gaussian":
        near = torch.softmax(doubles(-2, -1, 0), 0)
        limit = torch.cat([near, doubles(1, math.exp(-max(1.0, gap / 2)))])
        limit[3:] /= limit[3:].sum()
    else:
        limit = doubles(0, 0, 1, 1, 0)
    # The distances of the point from its neighbours are rounded with it: by 1e-16 of the gap, which
    # is little in a logarithm's slope of 1, and up to 300 with a slope of the gap itself.
    if gap <= (300 if method == "gaussian" else 1e4):
        assert (weights - limit / 2).abs().max() <= 1e-6
    assert weights.isfinite().all()
    assert abs(weights.sum().item() - 1) <= 1e-6


@SMOOTH
def test_what_is_out_of_the_reach_of_a_tail_counts_where_nothing_else_does(
    method: str, subtests: pytest.Subtests
) -> None:
    """In long lists, at levels among the items of a cluster, at its end and in a gap."""
    for gap in (8.0, 40.0, 69.0, 71.0, 100.0, 139.0, 141.0, 160.0):
        near = torch.rand(1200).double()
        x = torch.cat([-gap / 2 - near[:15], gap / 2 + near[15:], doubles(-900, -500, 500, 900)])
        with subtests.test(gap=gap):
            check_around_gap(x, method)


def check_around_gap(x: Tensor, method: str) -> None:
    levels = doubles(5, 10, 16, 16.5, 16.999, 17, 17.001, 17.5, 18, 25)  # 17 are below the gap
    q = (levels - 0.5) / (len(x) - 1)
    leaf, exact_leaf = x.clone().requires_grad_(), x.clone().requires_grad_()
    points = soft_quantile(leaf, q, method=method)
    exact = oracle.soft_quantile(exact_leaf, q, 1.0, method)
    bound = sort_bound((x,), Setting(1.0, method), torch.float64)
    assert ((points - exact).abs() <= 2 * bound).all()
    along = torch.randn(len(q), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(points @ along, leaf)
    (expected,) = torch.autograd.grad(exact @ along, exact_leaf)
    # Weights of a point change by as much, relative to them, as it moves in units of 1/α.
    assert (gradient - expected).abs().max() <= 2 * bound.max() * along.abs().sum()


@SMOOTH
def test_a_quantile_is_infinite_where_its_level_falls_among_infinities(method: str) -> None:
    x = torch.tensor([-INF, 0.0, 1.0, INF, INF])
    q = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    quantiles = soft_quantile(x, q, 1000.0, method=method)
    # A tail of 1/(pi 1000), beside a density of 1000/pi, moves the finite ones by 1e-6.
    error = 1.1e-6 if method == "cauchy" else 0.0
    assert quantiles.tolist() == pytest.approx([-INF, 0.0, 1.0, INF, INF], rel=0, abs=error)
    assert gradient_of(lambda x: soft_quantile(x, q, method=method).sum(), x)[
        [0, 3, 4]
    ].tolist() == [
        0,
        0,
        0,
    ]
    assert soft_quantile(torch.full((3,), -INF), 0.5, method=method) == -INF


@SMOOTH
def test_a_quantile_of_nothing_or_of_nan_is_nan(method: str) -> None:
    x = torch.tensor([[1.0, NAN, 2.0], [1.0, 3.0, 2.0]])
    assert soft_quantile(x, 0.5, method=method).isnan().tolist() == [True, False]
    mask = torch.tensor([[True, False, True], [False, False, False]])
    quantiles = soft_quantile(x, 0.5, method=method, mask=mask)
    assert quantiles.isnan().tolist() == [False, True]
    assert abs(float(quantiles[0]) - 1.5) <= 1e-6
    gradient = gradient_of(lambda x: soft_quantile(x, 0.5, method=method, mask=mask)[0], x)
    assert gradient[0].tolist() == pytest.approx([0.5, 0, 0.5], abs=1e-6)


@pytest.mark.parametrize("q", [0.3, torch.tensor(0.3), torch.tensor([0.3, 0.9, 0.1])], ids=str)
@pytest.mark.parametrize("dim", [0, 1, -1])
def test_shapes_of_quantiles_are_those_of_torch(dim: int, q: float | Tensor) -> None:
    x = torch.randn(3, 4, 5)
    expected = torch.quantile(x, q, dim)
    actual = soft_quantile(x, q, dim=dim)
    assert actual.shape == expected.shape
    mask = torch.rand(3, 4, 5) > 0.1
    assert soft_quantile(x, q, dim=dim, mask=mask).shape == expected.shape
    assert soft_quantile(x[0, 0], q).shape == expected.shape[: expected.dim() - 2]


def test_the_operator_takes_quantiles_for_each_list() -> None:
    x, q = torch.randn(2, 3, 5), torch.rand(2, 3, 4)
    together = OPS.soft_quantile(x, q)
    for i in range(2):
        for j in range(3):
            assert torch.equal(together[i, j], OPS.soft_quantile(x[i, j], q[i, j]))


@SMOOTH
def test_what_does_not_count_gets_no_gradient_beside_a_nan(method: str) -> None:
    x = torch.tensor([1.0, torch.nan, 2.0, 5.0, torch.inf])
    mask = torch.tensor([True, True, True, False, True])
    gradient = gradient_of(lambda x: soft_quantile(x, 0.5, method=method, mask=mask), x)
    assert gradient.isnan().tolist() == [True, False, True, False, False]
    assert gradient[1:].nan_to_num(7).tolist() == [0.0, 7.0, 0.0, 0.0]
