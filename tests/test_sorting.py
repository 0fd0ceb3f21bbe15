"""What ``soft_sort``, ``soft_quantile`` and ``soft_topk`` promise, case by case.

The same questions as of every operator are in test_operators.py; the formulas in oracle.py.
"""

import math
from collections.abc import Callable
from typing import Any

import oracle
import pytest
import torch
from operators import METHODS, SOFT_SORT, Setting, point_bound, sort_bound
from torch import Tensor, nn
from torch.autograd import gradcheck

import rank_relax
from rank_relax import soft_quantile, soft_sort, soft_topk

INF, NAN = math.inf, math.nan
OPS = torch.ops.rank_relax
SMOOTH = pytest.mark.parametrize("method", METHODS)
FLOATS = pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
HALVES = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
# Rounding of float64 in values of order 1.
TINY = 1e-13


def gradient_of(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(function(leaf), leaf)
    return gradient


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


# What they are


@SMOOTH
def test_a_sorted_value_is_where_the_smoothed_count_is_in_the_middle_of_its_place(
    method: str,
) -> None:
    x, alpha = torch.randn(3, 40, dtype=torch.float64), 1.7
    values = soft_sort(x, alpha, method=method)
    count = oracle.tail(alpha * (values[..., :, None] - x[..., None, :]), method).sum(-1)
    # Rounding of sums of 40, times a density of 40 at most.
    assert (count - (torch.arange(40) + 0.5)).abs().max() <= TINY * 40
    assert (values.diff() > 0).all()


@pytest.mark.parametrize("alpha", [1e-3, 1.0, 50.0])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_the_outermost_values_lie_outside_of_the_data_by_no_more_than_stated(
    n: int, alpha: float
) -> None:
    x = torch.randn(5, n, dtype=torch.float64)
    values = soft_sort(x, alpha)
    most = math.log(2 * n - 1) / alpha * (1 + TINY) + TINY
    assert (values[:, 0] >= x.amin(-1) - most).all()
    assert (values[:, -1] <= x.amax(-1) + most).all()
    equal = soft_sort(torch.full((n,), 0.3, dtype=torch.float64), alpha)
    assert abs(float(0.3 - equal[0]) - math.log(2 * n - 1) / alpha) <= TINY / alpha


@SMOOTH
def test_the_oracles_derivative_is_that_of_the_implicit_function_theorem(method: str) -> None:
    x, alpha = torch.randn(12, dtype=torch.float64), 1.3
    jacobian = torch.func.jacrev(lambda x: oracle.soft_sort(x, alpha, method))(x)
    y = oracle.soft_sort(x, alpha, method)
    density = oracle.cdf_derivative(alpha * (y[:, None] - x), method, 1)
    assert (jacobian - density / density.sum(-1, keepdim=True)).abs().max() <= TINY


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
@pytest.mark.parametrize("shape", [(50,), (7, 1000), (3, 40)], ids=str)
def test_a_mask_of_the_top_k_adds_up_to_k(
    shape: tuple[int, ...], dtype: torch.dtype, method: str
) -> None:
    x = torch.randn(shape, dtype=dtype)
    for alpha in (1e-3, 1.0, 100.0, 1e6):
        for k in (1, 2.5, 17, shape[-1] - 1, shape[-1]):
            total = soft_topk(x, k, alpha, method=method).double().sum(-1)
            # That of float32's shares, each rounded for itself; and of float64's threshold, which
            # at alpha = 1e6 is known to 1e-15 of values of order 1, times a density.
            error = 1e-6 if dtype == torch.float32 else 1e-12 + 2e-16 * alpha
            assert (total - k).abs().max() <= error * max(k, 1)


@SMOOTH
@FLOATS
@pytest.mark.parametrize("n", [4, 300])
def test_an_outlier_takes_no_precision_from_the_others(
    n: int, dtype: torch.dtype, method: str
) -> None:
    """However far it is: the others have what they have beside an infinity."""
    x = torch.randn(n, dtype=dtype)
    error = 1e-6 if dtype == torch.float32 else 1e-12
    for far in (1e9, 1e17, 1e30, -1e9, -1e17, -1e30, torch.finfo(dtype).min):
        outlier, infinite = (x.new_tensor([value]) for value in (far, math.copysign(INF, far)))
        for k in (1, 2.5, n - 1):
            results = []
            for other in (outlier, infinite):
                leaf = x.clone().requires_grad_()
                chosen = soft_topk(torch.cat([leaf, other]), k, 2.0, method=method)
                (gradient,) = torch.autograd.grad(chosen[: n // 2].sum(), leaf)
                results.append(torch.cat([chosen.detach(), gradient]))
            torch.testing.assert_close(*results, rtol=0, atol=error)
        for q in (0.3, 0.5, 0.7):
            quantiles = [
                soft_quantile(torch.cat([x, other]), q, 2.0, method=method)
                for other in (outlier, infinite)
            ]
            torch.testing.assert_close(*quantiles, rtol=error, atol=error)


@SMOOTH
def test_a_mask_adds_up_to_k_at_any_strength(method: str) -> None:
    """Though the threshold is a double, which strengths may show to be a coarse number."""
    x = torch.randn(20, 9, dtype=torch.float64)
    ties = torch.tensor([0.1, 0.1, 0.1, -9.0, 9.0, 0.1, 2.0, 2.0, 1e6], dtype=torch.float64)
    for alpha in (1e8, 1e12, 1e14, 1e16, 1e20, 1e300):
        for k in (1e-9, 0.4, 1.3, 3.9, 6.5, 8.0):
            for row in (x, ties, ties + 1e9):
                total = soft_topk(row, k, alpha, method=method).sum(-1)
                assert (total - k).abs().max() <= 1e-13


@SMOOTH
def test_sharp_results_are_the_hard_ones(method: str) -> None:
    x = torch.randperm(60).view(3, 20).double() / 7
    sharp = 1e6
    assert (soft_sort(x, sharp, method=method) - x.sort(-1).values).abs().max() <= 1e-12
    for q in (0.0, 0.25, 0.3, 0.8, 1.0):
        hard = torch.quantile(x, q, -1, interpolation="nearest")
        # A level of 1/4 from a whole one is ln(3)/alpha from the item.
        quantile = soft_quantile(x, q, sharp, method=method)
        assert (quantile - hard).abs().max() <= 3 / sharp
    middle = torch.quantile(x, 0.5, -1, interpolation="midpoint")
    assert (soft_quantile(x, 0.5, sharp, method=method) - middle).abs().max() <= 1e-12
    for k in (0, 1, 7, 20):
        hard = torch.zeros_like(x).scatter(-1, x.topk(k, -1).indices, 1.0)
        assert torch.equal(soft_topk(x, k, sharp, method=method), hard)
        hard = torch.zeros_like(x).scatter(-1, x.topk(k, -1, largest=False).indices, 1.0)
        assert torch.equal(soft_topk(x, k, sharp, method=method, largest=False), hard)


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


# Wide gaps, in which every density vanishes


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
    # Of the sigmoid, e^-1 and e^-2 of the items behind count as well; the gap's error is relative.
    lower = {"sigmoid": math.log1p(math.exp(-1) + math.exp(-2)), "gaussian": 0.0}[method]
    expected = float(sides[0] + sides[1]) / 2 + lower / 2
    assert abs(float(point.detach()) - expected) <= 1e-6 * (1 + gap)
    (weights,) = torch.autograd.grad(point, leaf)
    if method == "sigmoid":
        near = torch.softmax(doubles(-2, -1, 0), 0)
        limit = torch.cat([near, doubles(1, math.exp(-max(1.0, gap / 2)))])
        limit[3:] /= limit[3:].sum()
    else:
        limit = doubles(0, 0, 1, 1, 0)
    # The distances of the point from its neighbours are rounded with it: by 1e-16 of the gap, which
    # is little in a logarithm's slope of 1, and up to 300 with a slope of the gap itself.
    if gap <= (1e4 if method == "sigmoid" else 300):
        assert (weights - limit / 2).abs().max() <= 1e-6
    assert weights.isfinite().all()
    assert abs(weights.sum().item() - 1) <= 1e-6


@SMOOTH
@pytest.mark.parametrize("gap", [1e2, 1e4, 1e8])
def test_a_mask_is_hard_where_a_wide_gap_is_cut(gap: float, method: str) -> None:
    x = torch.cat([torch.randn(6), gap + torch.randn(4)]).double()
    chosen = soft_topk(x, 4, method=method)
    assert (chosen - torch.tensor([0.0] * 6 + [1.0] * 4)).abs().max() < 1e-20
    assert (
        gradient_of(lambda x: (soft_topk(x, 4, method=method) * x.detach()).sum(), x)
        .isfinite()
        .all()
    )


@SMOOTH
@FLOATS
@pytest.mark.parametrize("distribution", ["clusters", "outlier", "geometric", "ties", "constant"])
@pytest.mark.parametrize("alpha", [1.0, 1e3])
def test_lists_of_any_kind_are_sorted_as_exactly(
    alpha: float, distribution: str, dtype: torch.dtype, method: str
) -> None:
    n = 100
    x = torch.randn(n, dtype=torch.float64)
    x = {
        "clusters": x * 1e-3 + torch.randint(0, 5, (n,)) * 100,
        "outlier": torch.where(torch.arange(n) == 17, 1e6, x),
        "geometric": 10 ** torch.linspace(-6, 6, n).double()[torch.randperm(n)],
        "ties": (x * 3).round(),
        "constant": torch.full((n,), 0.7, dtype=torch.float64),
    }[distribution].to(dtype)
    setting = Setting(alpha, method)
    exact = oracle.soft_sort(x, *setting)
    error = (soft_sort(x, alpha, method=method) - exact).abs()
    assert (error <= sort_bound((x,), setting, dtype)).all()
    levels = doubles(0.25, 1, 2.5, n / 2, n - 0.3)
    points = OPS._quantile_at_levels(x, levels, *setting)
    expected = oracle.points_at_levels(x, levels, *setting)
    assert ((points - expected).abs() <= point_bound(x, setting, 0.25 / n)).all()


def test_a_long_list_is_as_exact() -> None:
    x = torch.randn(20_000)
    for alpha in (1.0, 100.0, 1e5):
        values, bits, _ = OPS._quantile_sort_forward(x, alpha, "sigmoid", None)
        points = bits.view(torch.float64)
        some = torch.cat(
            [torch.arange(5), torch.randint(20_000, (20,)), torch.arange(19_995, 20_000)]
        )
        d = alpha * (points[some, None] - x.double())
        tails = torch.where(d > 0, -torch.sigmoid(-d), torch.sigmoid(d))
        excess = (d > 0).sum(-1) - (some + 0.5) + tails.sum(-1)
        density = (torch.sigmoid(d) * torch.sigmoid(-d)).sum(-1)
        bound = sort_bound((x,), Setting(alpha), torch.float32)
        assert ((excess / density).abs() / alpha <= bound).all()
        assert (values.diff() >= 0).all()


# Infinities, NaN, masks, short lists


@pytest.mark.parametrize("method", [*METHODS, "l2", "kl"])
def test_a_sort_keeps_infinities_at_the_ends_and_nan_behind_them(method: str) -> None:
    x = torch.tensor([0.5, INF, 3.0, -INF, INF, NAN, 0.0])
    leaf = x.clone().requires_grad_()
    values = soft_sort(leaf, 2.0, method=method)
    alone = soft_sort(torch.tensor([0.5, 3.0, 0.0]), 2.0, method=method)
    assert torch.equal(values[1:4], alone)
    assert values[[0, 4, 5]].tolist() == [-INF, INF, INF]
    assert values[6].isnan()
    (gradient,) = torch.autograd.grad(values.sum(), leaf)
    assert gradient[x.isinf()].tolist() == [0, 0, 0]
    assert torch.equal(gradient.isnan(), x.isnan())


@pytest.mark.parametrize("method", [*METHODS, "l2", "kl"])
def test_masked_items_sort_to_the_end_and_count_for_nothing(method: str) -> None:
    for n in (1, 5, 80):
        x, mask = torch.randn(3, n), torch.rand(3, n) > 0.4
        x[~mask] = torch.tensor([NAN, INF, 7.0])[torch.randint(0, 3, ((~mask).sum(),))]
        for descending in (False, True):
            values = soft_sort(x, 0.7, method=method, mask=mask, descending=descending)
            for row in range(3):
                kept = x[row][mask[row]]
                alone = soft_sort(kept, 0.7, method=method, descending=descending)
                assert torch.equal(values[row][: len(kept)], alone)
                assert (values[row][len(kept) :] == 0).all()
                assert not values[row][len(kept) :].signbit().any()


@pytest.mark.parametrize("method", [*METHODS, "l2", "kl"])
def test_a_descending_sort_is_the_negated_sort_of_the_negated_values(method: str) -> None:
    x = torch.randn(4, 9)
    x[0, 3], x[0, 5], x[1, 2] = INF, -INF, NAN
    values = soft_sort(x, 2.0, method=method, descending=True)
    expected = -soft_sort(-x, 2.0, method=method)
    assert torch.equal(values.nan_to_num(7.0), expected.nan_to_num(7.0))
    assert values[1, -1].isnan()
    if method != "kl":  # which is not symmetric
        ascending = soft_sort(x[2:], 2.0, method=method).flip(-1)
        assert (values[2:] - ascending).abs().max() <= 2e-6


@SMOOTH
@pytest.mark.parametrize("alpha", [6e-308, 3e-308, 8e-309])
def test_the_weakest_strengths_are_those_of_larger_units(alpha: float, method: str) -> None:
    """Where 1/alpha overflows, as in a unit in which it does not."""
    unit = 2.0**900
    x = 1.7e308 * (2 * torch.rand(2, 40, dtype=torch.float64) - 1)
    in_unit, strength = x / unit, alpha * unit
    bound = 1e-12 / strength

    def assert_same(values: Tensor, expected: Tensor) -> None:
        fits = expected.abs() < torch.finfo(torch.float64).max / unit
        assert fits.any()
        assert ((values / unit - expected)[fits].abs() <= bound).all()
        assert (values[~fits].abs() >= 0.99 * torch.finfo(torch.float64).max).all()

    sorted_values = soft_sort(x, alpha, method=method)
    assert_same(sorted_values, soft_sort(in_unit, strength, method=method))
    median = soft_quantile(x, 0.5, alpha, method=method)
    assert_same(median, soft_quantile(in_unit, 0.5, strength, method=method))
    mask = soft_topk(x, 7, alpha, method=method)
    assert (mask - soft_topk(in_unit, 7, strength, method=method)).abs().max() <= TINY


@pytest.mark.parametrize("method", [*METHODS, "l2", "kl"])
def test_one_value_alone_is_itself(method: str) -> None:
    x = torch.tensor([[2.5], [-INF], [1e30]], requires_grad=True)
    values = soft_sort(x, 3.0, method=method)
    assert values.tolist() == x.tolist()
    (gradient,) = torch.autograd.grad(values, x, torch.ones_like(values))
    assert gradient[:, 0].tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    assert soft_sort(torch.empty(2, 0), method=method).shape == (2, 0)


@SMOOTH
def test_a_quantile_is_infinite_where_its_level_falls_among_infinities(method: str) -> None:
    x = torch.tensor([-INF, 0.0, 1.0, INF, INF])
    q = torch.tensor([0.0, 0.25, 0.5, 0.75, 1.0])
    quantiles = soft_quantile(x, q, 1000.0, method=method)
    assert quantiles.tolist() == [-INF, 0.0, 1.0, INF, INF]
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


@SMOOTH
def test_infinities_are_the_first_and_the_last_to_be_chosen(method: str) -> None:
    x = torch.tensor([INF, 0.0, -INF, 1.0, INF, -INF])
    for k, expected in (
        (0, [0, 0, 0, 0, 0, 0]),
        (1, [0.5, 0, 0, 0, 0.5, 0]),
        (2, [1, 0, 0, 0, 1, 0]),
        (4, [1, 1, 0, 1, 1, 0]),
        (5, [1, 1, 0.5, 1, 1, 0.5]),
        (6, [1, 1, 1, 1, 1, 1]),
    ):
        assert soft_topk(x, k, 100.0, method=method).tolist() == expected
    for k in (1, 3, 5):
        gradient = gradient_of(lambda x, k=k: (soft_topk(x, k, method=method) * x.sign()).sum(), x)
        assert gradient[x.isinf()].tolist() == [0, 0, 0, 0]
    third = soft_topk(x, 3, method=method)
    assert abs(float(third.sum()) - 3) <= 1e-6


@SMOOTH
def test_a_top_k_of_everything_or_nothing_is_exact(method: str) -> None:
    x = torch.randn(3, 8)
    x[0, 2] = NAN
    mask = torch.rand(3, 8) > 0.2
    counted = mask & ~x.isnan()
    everything, nothing = (soft_topk(x, k, method=method, mask=mask) for k in (8, 0))
    assert torch.equal(everything[counted], torch.ones(int(counted.sum())))
    assert torch.equal(nothing[counted], torch.zeros(int(counted.sum())))
    for chosen in (everything, nothing):
        assert torch.equal(chosen.isnan(), mask & x.isnan())
        assert (chosen[~mask] == 0).all()
    gradient = gradient_of(lambda x: soft_topk(x, 3, method=method, mask=mask).nansum(), x)
    assert torch.equal(gradient.isnan(), mask & x.isnan())
    assert (gradient[~mask] == 0).all()


@SMOOTH
def test_equal_scores_share_what_there_is(method: str) -> None:
    chosen = soft_topk(torch.tensor([1.0, 1.0, 1.0, -50.0, 90.0]), 2, method=method)
    assert chosen.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 1], abs=1e-6)


@SMOOTH
def test_what_one_share_gains_the_others_lose(method: str) -> None:
    x = torch.randn(7, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: soft_topk(x, 3.2, 1.5, method=method))(x)
    assert (jacobian - jacobian.T).abs().max() <= TINY
    assert jacobian.sum(0).abs().max() <= TINY
    hessian = torch.func.hessian(lambda x: soft_topk(x, 3.2, 1.5, method=method).sum())(x)
    assert hessian.abs().max() <= 1e-11


# k and q


@SMOOTH
def test_every_list_may_have_a_k_of_its_own(method: str) -> None:
    x, k = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 4, 5]])
    chosen = soft_topk(x, k, 2.0, method=method)
    along_first = soft_topk(x.movedim(-1, 0), k, 2.0, method=method, dim=0)
    for i in range(2):
        for j in range(3):
            expected = soft_topk(x[i, j], int(k[i, j]), 2.0, method=method)
            assert (chosen[i, j] - expected).abs().max() <= 3e-7
            assert (along_first[:, i, j] - expected).abs().max() <= 3e-7
    assert torch.equal(soft_topk(x, torch.tensor(2)), soft_topk(x, 2))


def test_elements_of_a_tensor_that_make_no_sense_give_nan() -> None:
    x = torch.randn(3, 5)
    chosen = soft_topk(x, torch.tensor([-1.0, NAN, 1e9]))
    assert chosen[:2].isnan().all()
    assert (chosen[2] == 1).all()
    quantiles = soft_quantile(x, torch.tensor([-0.1, NAN, 1.1, 0.5]))
    assert quantiles[:3].isnan().all()
    assert quantiles[3].isfinite().all()


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


@pytest.mark.parametrize("dim", [0, 1])
def test_dim_names_the_dimension_that_holds_a_list(dim: int) -> None:
    x, mask = torch.randn(3, 4, 5), torch.rand(3, 4, 5) > 0.2
    last, last_mask = x.movedim(dim, -1), mask.movedim(dim, -1)
    for function, moved in (
        (soft_sort, lambda y: y.movedim(-1, dim)),
        (lambda x, **o: soft_topk(x, 2, **o), lambda y: y.movedim(-1, dim)),
        (lambda x, **o: soft_quantile(x, 0.4, **o), lambda y: y),
    ):
        expected = moved(function(last, mask=last_mask))
        assert torch.equal(
            function(x, dim=dim, mask=mask).nan_to_num(9.0), expected.nan_to_num(9.0)
        )


# A strength that is a tensor

WITH_STRENGTH: dict[str, Callable[..., Tensor]] = {
    "soft_sort": soft_sort,
    "soft_sort descending": lambda x, a, **o: soft_sort(x, a, descending=True, **o),
    "soft_sort l2": lambda x, a, **o: soft_sort(x, a, **{**o, "method": "l2"}),
    "soft_quantile": lambda x, a, **o: soft_quantile(x, 0.3, a, **o),
    "soft_topk": lambda x, a, **o: soft_topk(x, 2, a, **o),
}


@pytest.mark.parametrize("name", WITH_STRENGTH)
@SMOOTH
def test_a_strength_that_is_a_tensor_gives_the_same_and_has_a_gradient(
    method: str, name: str
) -> None:
    function = WITH_STRENGTH[name]
    x = 100 + torch.randn(3, 6, dtype=torch.float64)
    mask = torch.tensor([True, True, False, True, True, True]).expand(3, 6)
    for options in ({"method": method}, {"method": method, "mask": mask}):
        actual, expected = function(x, doubles(1.4)[0], **options), function(x, 1.4, **options)
        assert (actual - expected).abs().max() <= TINY * 100

        def of(x: Tensor, a: Tensor, options: dict[str, Any] = options) -> Tensor:
            return function(x, a, **options)

        inputs = (
            x.clone().requires_grad_(),
            torch.tensor(1.4, dtype=torch.float64, requires_grad=True),
        )
        assert gradcheck(of, inputs, check_forward_ad=True)


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_infinities_nan_and_masked_items_stay_out_of_the_strengths_gradient(name: str) -> None:
    function = WITH_STRENGTH[name]
    x = torch.tensor([[0.0, INF, 1.0, -INF, 3.0, 2.0], [INF, INF, -INF, INF, INF, INF]])
    mask = torch.tensor([True, True, True, True, True, False]).expand(2, 6)
    strength = torch.tensor(1.4, requires_grad=True)
    actual, expected = function(x, strength, mask=mask), function(x, 1.4, mask=mask)
    assert torch.equal(actual.isinf(), expected.isinf())
    finite = expected.isfinite()
    assert (actual - expected)[finite].abs().max() <= 1e-6
    actual[finite].sum().backward()
    assert strength.grad is not None
    assert strength.grad.isfinite()


@pytest.mark.parametrize("name", WITH_STRENGTH)
@pytest.mark.parametrize("strength", [0.0, -1.0, INF, NAN])
def test_a_tensor_strength_that_makes_no_sense_gives_nan_where_items_count(
    strength: float, name: str
) -> None:
    x, mask = torch.tensor([0.0, INF, 1.0, 2.0]), torch.tensor([True, True, True, False])
    result = WITH_STRENGTH[name](x, torch.tensor(strength), mask=mask)
    assert result.isnan().sum() == (3 if result.dim() else 1)


def test_a_tensor_strength_is_refused_for_kl() -> None:
    with pytest.raises(ValueError, match=r"soft_sort: regularization_strength.*'kl'.*\.item\(\)"):
        soft_sort(torch.randn(3), torch.tensor(1.0), method="kl")


def test_extreme_strengths_that_are_tensors_overflow_nothing() -> None:
    x = torch.tensor([3e38, -3e38, 1e-38, 0.0])
    for strength in (1e-38, 1e-20, 1.0, 1e20, 1e38):
        leaf = x.clone().requires_grad_()
        alpha = torch.tensor(strength, requires_grad=True)
        values = soft_sort(leaf, alpha)
        assert not values.isnan().any()
        assert (values.diff() >= 0).all()
        (gradient,) = torch.autograd.grad(values[1], leaf)
        assert not gradient.isnan().any()


# Dtypes


@HALVES
def test_half_precision_is_float32_under_autocast(half: torch.dtype) -> None:
    x = torch.randn(2, 9).to(half)
    for function in (
        soft_sort,
        lambda x, *a: soft_quantile(x, 0.4, *a),
        lambda x, *a: soft_topk(x, 3, *a),
    ):
        plain = function(x.float())
        assert function(x).dtype == half
        with torch.autocast("cpu", half):
            assert function(x).dtype == torch.float32
            assert torch.equal(function(x), plain)
            assert function(x, torch.tensor(1.0)).dtype == torch.float32
        assert function(x, torch.tensor(1.0)).dtype == half


# Modules


def test_modules_are_the_functions_with_options() -> None:
    x, mask = torch.randn(3, 6), torch.rand(3, 6) > 0.2
    sort = rank_relax.SoftSort(2.0, method="gaussian", descending=True, dim=0)
    expected = soft_sort(x, 2.0, method="gaussian", descending=True, dim=0, mask=mask)
    assert torch.equal(sort(x, mask), expected)
    quantile = rank_relax.SoftQuantile(torch.tensor([0.2, 0.5]), 2.0, method="gaussian", dim=-1)
    assert torch.equal(quantile(x), soft_quantile(x, quantile.q, 2.0, method="gaussian"))
    topk = rank_relax.SoftTopK(2, 2.0, method="gaussian", largest=False)
    expected = soft_topk(x, 2, 2.0, method="gaussian", largest=False, mask=mask)
    assert torch.equal(topk(x, mask), expected)
    assert "q=[0.2" in repr(quantile)
    assert "k=2, regularization_strength=2.0, method='gaussian'" in repr(topk)
    assert "descending=True" in repr(sort)


@pytest.mark.parametrize(
    "make",
    [
        rank_relax.SoftSort,
        lambda a: rank_relax.SoftQuantile(0.3, a),
        lambda a: rank_relax.SoftTopK(2, a),
    ],
    ids=["SoftSort", "SoftQuantile", "SoftTopK"],
)
def test_a_modules_strength_is_learnt_or_scheduled(make: Callable[..., nn.Module]) -> None:
    x = torch.randn(4, 7)
    learnt = make(nn.Parameter(torch.tensor(1.5)))
    (learnt(x) * torch.linspace(-1, 1, learnt(x).numel()).view_as(learnt(x))).sum().backward()
    assert [name for name, _ in learnt.named_parameters()] == ["regularization_strength"]
    assert learnt.regularization_strength.grad.abs() > 0
    scheduled = make(torch.tensor(1.5))
    assert list(scheduled.state_dict()) == ["regularization_strength"]
    before = scheduled(x)
    scheduled.regularization_strength.fill_(8.0)
    assert not torch.equal(before, scheduled(x))


def test_a_tensor_q_or_k_moves_with_its_module() -> None:
    quantile, topk = (
        rank_relax.SoftQuantile(torch.tensor(0.5)),
        rank_relax.SoftTopK(torch.tensor(2)),
    )
    assert list(quantile.state_dict()) == ["q"]
    assert topk.to("meta").k.is_meta


# Errors

X = torch.randn(2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: soft_sort(X, 0.0), ValueError, "soft_sort: regularization_strength must be pos"),
        (lambda: soft_sort(X, method="l3"), ValueError, "method must be one of 'sigmoid', 'gau"),
        (lambda: soft_sort(X, method=1), TypeError, "soft_sort: method must be a string"),
        (lambda: soft_sort(X.long()), TypeError, "soft_sort: input must be float64.*got int64"),
        (lambda: soft_sort(X.long(), descending=True), TypeError, "got int64"),
        (lambda: soft_sort([1.0]), TypeError, r"input must be a torch\.Tensor, got list"),
        (lambda: soft_sort(torch.tensor(1.0)), ValueError, "input must have at least one dim"),
        (lambda: soft_sort(X, mask=X), TypeError, "soft_sort: mask must be bool"),
        (lambda: soft_sort(X, mask=X[0] > 0), ValueError, "mask must have the shape of input"),
        (lambda: soft_sort(X, dim=0, mask=X.T > 0), ValueError, r"\[2, 3\], got \[3, 2\]"),
        (lambda: soft_sort(X, torch.ones(2)), ValueError, "regularization_strength.*0-dim"),
        (
            lambda: soft_quantile(X, 1.5),
            ValueError,
            "soft_quantile: q must lie between 0 and 1, got 1.5",
        ),
        (lambda: soft_quantile(X, NAN), ValueError, "q must lie between 0 and 1, got nan"),
        (lambda: soft_quantile(X, "median"), TypeError, "q must be a float or a tensor, got 'med"),
        (lambda: soft_quantile(X, torch.ones(2, 2)), ValueError, r"q must be.*got shape \[2, 2\]"),
        (lambda: soft_quantile(X, torch.tensor(1)), TypeError, "q must be float64.*got int64"),
        (
            lambda: soft_quantile(X, 0.5, method="l2"),
            ValueError,
            "method must be one of 'sigmoid', 'gaussian', got 'l2'",
        ),
        (lambda: soft_quantile(X[:, :0], 0.5), ValueError, "input must have at least one item"),
        (
            lambda: soft_quantile(torch.tensor(1.0), 0.5),
            ValueError,
            "input must have at least one dim",
        ),
        (lambda: soft_topk(X, -1), ValueError, "soft_topk: k must not be negative, got -1"),
        (lambda: soft_topk(X, NAN), ValueError, "soft_topk: k must not be negative, got nan"),
        (
            lambda: soft_topk(X, 4),
            ValueError,
            "k must not exceed the size of input's dimension -1, 3, got 4",
        ),
        (lambda: soft_topk(X, True), TypeError, "k must be a number or a tensor, got True"),
        (lambda: soft_topk(X, torch.ones(3)), ValueError, "k must be one number or have the batch"),
        (lambda: soft_topk(X, torch.tensor(True)), TypeError, "k must be of an integer or a float"),
        (
            lambda: soft_topk(X, 1, method="kl"),
            ValueError,
            "method must be one of 'sigmoid', 'gaussian', got 'kl'",
        ),
        (lambda: soft_topk(torch.tensor(1.0), 1), ValueError, "input must have at least one dim"),
        (lambda: rank_relax.SoftQuantile(2.0), ValueError, "SoftQuantile: q must lie between"),
        (lambda: rank_relax.SoftTopK(-2), ValueError, "SoftTopK: k must not be negative"),
        (lambda: rank_relax.SoftSort("sharp"), TypeError, "SoftSort: regularization_strength"),
    ],
)
def test_arguments_that_make_no_sense_are_named(
    call: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        call()
    assert type(caught.value) is error


@pytest.mark.parametrize("dim", [2, -3])
def test_a_dimension_out_of_range_is_an_index_error(dim: int) -> None:
    for function in (
        soft_sort,
        lambda x, dim: soft_topk(x, 1, dim=dim),
        lambda x, dim: soft_quantile(x, 0.5, dim=dim),
    ):
        with pytest.raises(IndexError, match=str(dim)):
            function(X, dim=dim)


def test_levels_have_no_derivative_and_say_so() -> None:
    q, k = torch.tensor(0.5, requires_grad=True), torch.tensor(1.5, requires_grad=True)
    for call in (lambda: soft_quantile(X, q), lambda: soft_topk(X, k)):
        with pytest.raises(ValueError, match="no derivative: detach"):
            call()
    with torch.no_grad():
        assert soft_quantile(X, q).isfinite().all()


def test_the_two_kinds_of_soft_sort_are_the_operators_forwards() -> None:
    x = torch.randn(3, 8)
    for method in ("sigmoid", "gaussian"):
        assert torch.equal(
            soft_sort(x, method=method), OPS._quantile_sort_forward(x, 1.0, method, None)[0]
        )
        with pytest.raises(ValueError, match="method must be one of 'l2', 'kl'"):
            OPS._permutahedron_sort_forward(x, 1.0, method, None)
    for method in ("l2", "kl"):
        assert torch.equal(
            soft_sort(x, method=method), OPS._permutahedron_sort_forward(x, 1.0, method, None)[0]
        )
        with pytest.raises(ValueError, match="method must be one of 'sigmoid', 'gaussian'"):
            OPS._quantile_sort_forward(x, 1.0, method, None)


@SMOOTH
def test_a_gradient_of_the_sum_is_one_for_each_item(method: str) -> None:
    """Each sorted value's weights add up to 1: a shift of all items shifts all of them."""
    x = torch.randn(5, 60, dtype=torch.float64)
    for alpha in (0.01, 1.0, 100.0):
        leaf = x.clone().requires_grad_()
        soft_sort(leaf, alpha, method=method).sum().backward()
        assert leaf.grad is not None
        assert (leaf.grad.sum(-1) - 60).abs().max() <= 1e-10
        values, tangent = torch.func.jvp(
            lambda x, a=alpha: SOFT_SORT((x,), Setting(a, method)), (x,), (torch.ones_like(x),)
        )
        assert (tangent - 1).abs().max() <= 1e-12
        assert torch.equal(values, soft_sort(x, alpha, method=method))


@SMOOTH
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_gradients_of_lists_far_from_zero_add_up_too(dtype: torch.dtype, method: str) -> None:
    """Where a double shows beside 1/alpha, weights are those of the points as they are rounded."""
    spread = torch.randn(70, dtype=dtype)
    ties = torch.ones(4, dtype=dtype)
    for x, alpha in ((spread + 1e6, 1e3), (1e8 * ties, 1e9), (1e4 * ties, 1e8), (1e3 * ties, 1e12)):
        gradient = gradient_of(lambda x, a=alpha: soft_sort(x, a, method=method).sum(), x)
        rounding = 1e-10 if dtype == torch.float64 else 1e-6
        assert abs(gradient.double().sum().item() - len(x)) <= rounding * len(x)


@SMOOTH
def test_masks_of_lists_far_from_zero_add_up_too(method: str) -> None:
    for values, k, alpha in (
        ([1e8] * 3, 1, 1e6),
        ([1e4] * 3, 1, 1e10),
        ([0.5, 1e6, 1e6, 1e6, 3e6], 2, 1e6),
        ([1.0] * 3, 1, 1e16),
    ):
        chosen = soft_topk(torch.tensor(values), k, alpha, method=method)
        assert abs(chosen.double().sum().item() - k) <= 1e-6 * k


@SMOOTH
def test_lists_as_wide_as_doubles_are_sorted(method: str) -> None:
    huge = torch.tensor([-1.7e308, 0.0, 1.7e308], dtype=torch.float64)
    for alpha in (3.7e-307, 1e-300, 1.0):
        values = soft_sort(huge, alpha, method=method)
        assert values[1].abs() <= 1e290
        assert (values.diff() >= 0).all()
        levels = soft_quantile(
            huge, torch.linspace(0, 1, 9, dtype=torch.float64), alpha, method=method
        )
        assert not levels.isnan().any()


@SMOOTH
def test_a_level_in_a_gap_of_any_width_is_found(method: str) -> None:
    x = torch.tensor([-1e200, 0.0, 1e200], dtype=torch.float64)
    assert soft_topk(x, 1.9999, method=method).sum().item() == pytest.approx(1.9999, abs=1e-9)
    y = torch.tensor([-5.0, 0.0, 1.0, 2.0], dtype=torch.float64)
    assert soft_quantile(y, 0.5, 1e160, method=method).item() == 0.5
    weights = gradient_of(lambda y: soft_quantile(y, 0.5, 1e160, method=method), y)
    assert weights.tolist() == pytest.approx([0, 0.5, 0.5, 0], abs=1e-9)


@SMOOTH
def test_what_does_not_count_gets_no_gradient_beside_a_nan(method: str) -> None:
    x = torch.tensor([1.0, torch.nan, 2.0, 5.0, torch.inf])
    mask = torch.tensor([True, True, True, False, True])
    gradient = gradient_of(lambda x: soft_quantile(x, 0.5, method=method, mask=mask), x)
    assert gradient.isnan().tolist() == [True, False, True, False, False]
    assert gradient[1:].nan_to_num(7).tolist() == [0.0, 7.0, 0.0, 0.0]
