"""What ``soft_sort`` promises, case by case: values in order, each a mean of its neighbours.

The same questions as of every operator are in test_operators.py; the formulas in oracle.py.
"""

import itertools
import math

import oracle
import pytest
import torch
from operators import (
    DERIVATIVE_ERROR,
    METHODS,
    PLACE_ERROR,
    SHARE_ERROR,
    SOFT_SORT,
    SORT_ERROR,
    Setting,
    point_bound,
    sort_bound,
)
from order_statistics import FLOATS, SMOOTH, TINY, doubles, gradient_of
from torch import Tensor

from rank_relax import soft_sort, soft_topk

INF, NAN = math.inf, math.nan
OPS = torch.ops.rank_relax


@pytest.mark.parametrize("rows", [1, 32])
def test_a_mask_of_float32_is_cut_where_its_tails_balance_however_far_they_are(rows: int) -> None:
    """A thousand items far below one weigh more than it does."""
    x = torch.tensor([-4.0] * 999 + [0.0, 66.0]).expand(rows, 1001)
    k = torch.ones(rows, 1)
    densities, expected = (
        OPS._soft_topk_forward(lists, k, 1.0, "sigmoid", None)[1].view(torch.float64)
        for lists in (x, x.double())
    )
    assert (densities / expected - 1).abs().max() <= 1e-6


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
    for method, furthest in (
        ("sigmoid", math.log(2 * n - 1)),
        ("gaussian", -float(torch.special.ndtri(doubles(0.5 / n)))),
        ("laplace", math.log(n)),
        ("cauchy", 1 / math.tan(math.pi / (2 * n))),
    ):
        values = soft_sort(x, alpha, method=method)
        most = (furthest + TINY * (1 + furthest)) / alpha + TINY
        assert (values[:, 0] >= x.amin(-1) - most).all()
        assert (values[:, -1] <= x.amax(-1) + most).all()
        equal = soft_sort(torch.full((n,), 0.3, dtype=torch.float64), alpha, method=method)
        assert abs(float(0.3 - equal[0]) - furthest / alpha) <= TINY * (1 + furthest) / alpha


@SMOOTH
def test_the_oracles_derivative_is_that_of_the_implicit_function_theorem(method: str) -> None:
    x, alpha = torch.randn(12, dtype=torch.float64), 1.3
    jacobian = torch.func.jacrev(lambda x: oracle.soft_sort(x, alpha, method))(x)
    y = oracle.soft_sort(x, alpha, method)
    density = oracle.cdf_derivative(alpha * (y[:, None] - x), method, 1)
    assert (jacobian - density / density.sum(-1, keepdim=True)).abs().max() <= TINY


@SMOOTH
@FLOATS
@pytest.mark.parametrize("distribution", ["clusters", "outlier", "geometric", "ties", "constant"])
def test_lists_of_any_kind_are_sorted_as_exactly(
    distribution: str, dtype: torch.dtype, method: str
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
    levels = doubles(0.25, 1, 2.5, n / 2, n - 0.3)
    for alpha in (1.0, 1e3):
        setting = Setting(alpha, method)
        exact = oracle.soft_sort(x, *setting)
        error = (soft_sort(x, alpha, method=method) - exact).abs()
        assert (error <= sort_bound((x,), setting, dtype)).all()
        points = OPS._quantile_at_levels(x, levels, *setting)
        expected = oracle.points_at_levels(x, levels, *setting)
        assert ((points - expected).abs() <= point_bound(x, setting, 0.25 / n)).all()


@SMOOTH
@FLOATS
def test_a_list_has_among_others_what_it_has_alone(
    dtype: torch.dtype, method: str, subtests: pytest.Subtests
) -> None:
    """Sharp short lists are sorted abreast, in another form than one that goes alone."""
    lists: list[tuple[str, Tensor, float]] = [
        (
            f"{n} equal gaps up to {extent}, and an outlier",
            torch.cat([torch.linspace(0, extent, n - 1), torch.tensor([100.0])]),
            1.0,
        )
        for n, extent in itertools.product((12, 64, 300), (1e-4, 0.1, 10.0))
    ]
    lists += [
        ("two", torch.tensor([1.0, 2.0]), 1e3),
        ("pairs of equal items", torch.arange(60).div(2, rounding_mode="floor"), 3.0),
        ("threes of equal items", torch.arange(63).div(3, rounding_mode="floor"), 30.0),
        ("all equal", torch.ones(40), 2.0),
        ("heavy tails", torch.empty(200).log_normal_(0, 3), 0.3),
        ("half of a gap", torch.arange(64) % 2 * 1e3, 1.0),
        ("far apart", torch.arange(50) * 1e4, 1e2),
        ("wide", torch.arange(64) % 2 * 3e38 - 1.5e38, 2e-38),
        ("no difference", torch.randn(30), 1e-30),
    ]
    if dtype == torch.float64:
        lists += [
            ("denormal gaps", torch.arange(64, dtype=dtype) * 1e-308, 1e308),
            ("gaps that overflow", (torch.arange(64, dtype=dtype) % 2 * 2 - 1) * 1.7e308, 1e-306),
        ]
    for name, items, alpha in lists:
        x = items.to(dtype)
        n, setting = len(x), Setting(alpha, method)
        v = torch.linspace(-1, 1, n, dtype=dtype).sin()
        bounds = SORT_ERROR[dtype] * x.abs().max().double() + PLACE_ERROR[dtype] / alpha
        with subtests.test(name=name):
            many, vs = x.repeat(32, 1), v.repeat(32, 1)
            alone = OPS._quantile_sort_forward(x[None], *setting)
            among = OPS._quantile_sort_forward(many, *setting)
            for result in among:
                assert torch.equal(result, result[:1].expand_as(result))
            values, expected = among[0][0], alone[0][0]
            error = (values - expected).abs().masked_fill(values == expected, 0)  # both inf
            assert (error.double() <= 2 * bounds).all()
            for product in (OPS._quantile_sort_backward, OPS._quantile_sort_tangent):
                expected = product(v[None], x[None], *alone[1:], *setting)[0]
                actual = product(vs, many, *among[1:], *setting)[0]
                assert (actual - expected).abs().max() <= 4 * DERIVATIVE_ERROR[dtype] * n
            for k in (1e-9, 1.00000001, n // 2, n / 2 + 1e-12, n / 4 + 0.1, n - 1e-9):
                wanted = torch.tensor([[k]], dtype=torch.float64)
                shares, _ = OPS._soft_topk_forward(x[None], wanted, *setting)
                chosen, _ = OPS._soft_topk_forward(many, wanted.expand(32, 1), *setting)
                assert (chosen - shares).abs().max() <= 2 * SHARE_ERROR[dtype]
                assert torch.equal(chosen, chosen[:1].expand_as(chosen))
            q = torch.tensor([[0.5, 0.0, 0.25, 1.0, 1 - 1e-12]], dtype=torch.float64)
            alone = OPS._soft_quantile_forward(x[None], q, *setting)
            among = OPS._soft_quantile_forward(many, q.expand(32, 5), *setting)
            for result in among:
                assert torch.equal(result, result[:1].expand_as(result))
            points, expected = (each[1][0].view(torch.float64) for each in (among, alone))
            bound = SORT_ERROR[torch.float64] * x.abs().max().double()
            bound = bound + PLACE_ERROR[torch.float64] / alpha
            assert ((points - expected).abs() <= 2 * bound).all()
            g = torch.linspace(-1, 2, 5, dtype=dtype)
            gradient, expected = (
                OPS._soft_quantile_backward(
                    g.expand(len(lists), 5), lists, q.expand(len(lists), 5), *forward[1:], *setting
                )[0]
                for lists, forward in ((many, among), (x[None], alone))
            )
            assert (gradient - expected).abs().max() <= 4 * DERIVATIVE_ERROR[dtype]


@SMOOTH
@FLOATS
def test_lists_that_have_little_in_common_are_sorted_side_by_side(
    dtype: torch.dtype, method: str, subtests: pytest.Subtests
) -> None:
    """Where a level lies, lanes differ by many items."""
    for n, alpha in itertools.product((2, 7, 30, 130), (1.0, 30.0, 1e4)):
        place = torch.arange(n)
        lists = [
            torch.full((n,), 0.7),
            (place < 1).double(),
            (place < 0.9 * n).double(),
            torch.randint(0, 5, (n,)),
            place.div(3, rounding_mode="floor"),
            torch.randn(n).clamp(min=0.5),
            torch.randn(n),
            torch.where(place == 0, 1e6, torch.randn(n)),
        ]
        x = torch.stack([items.to(dtype) for items in lists]).repeat(4, 1)
        setting = Setting(alpha, method)
        with subtests.test(n=n, alpha=alpha):
            among = OPS._quantile_sort_forward(x, *setting)[0]
            for i in range(len(lists)):
                alone = OPS._quantile_sort_forward(x[i : i + 1], *setting)[0][0]
                bound = 2 * sort_bound((x[i],), setting, dtype)
                assert ((among[i] - alone).abs().double() <= bound).all()
                assert torch.equal(among[i], among[i + len(lists)])


@pytest.mark.parametrize("method", ["sigmoid", "laplace"])
def test_masks_that_are_cut_in_a_gap_are_those_of_a_list_alone(method: str) -> None:
    """Whose tails there are as little as what k lacks to a whole number."""
    for gap in (30.0, 45.0, 53.0, 60.0, 65.0, 90.0):
        x = torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0], dtype=torch.float64) * gap
        for k in (3.0, 3.0000000000000004, 3 + 1e-14, 3 - 1e-12, 3 + 1e-9):
            leaf = x.repeat(16, 1).requires_grad_()
            chosen = soft_topk(leaf, k, method=method)
            assert (chosen.sum(-1) - k).abs().max() <= 1e-14
            alone = x.clone().requires_grad_()
            v = torch.linspace(-1, 1, 5, dtype=torch.float64)
            (gradient,) = torch.autograd.grad((soft_topk(alone, k, method=method) * v).sum(), alone)
            (gradients,) = torch.autograd.grad((chosen * v).sum(), leaf)
            assert (gradients - gradient).abs().max() <= 1e-6 * gradient.abs().max() + 1e-300


@SMOOTH
@pytest.mark.parametrize("rows", [1, 32])
@pytest.mark.parametrize("point", [math.nan, math.inf])
def test_points_that_are_not_finite_end_nothing_but_their_products(
    rows: int, point: float, method: str
) -> None:
    x, v = torch.randn(2, rows, 64, dtype=torch.float64)
    setting = Setting(50.0, method)
    _, points, densities = OPS._quantile_sort_forward(x, *setting)
    broken = points.view(torch.float64).clone()
    broken[0, 30:] = point
    for product in (OPS._quantile_sort_backward, OPS._quantile_sort_tangent):
        result = product(v, x, broken.view(torch.int64), densities, *setting)
        assert result[0].isnan().any()
        expected = product(v, x, points, densities, *setting)
        if rows > 1:
            assert (result[1:] - expected[1:]).abs().max() <= 1e-10


@pytest.mark.parametrize(
    ("method", "n"),
    [
        ("sigmoid", 20_000),
        ("laplace", 20_000),
        ("cauchy", 2000),  # of which every value takes a sum over all items
    ],
)
def test_a_long_list_is_as_exact(method: str, n: int) -> None:
    x = torch.randn(n)
    for alpha in (1.0, 100.0, 1e5):
        some = torch.cat([torch.arange(5), torch.randint(n, (20,)), torch.arange(n - 5, n)])
        check_sorted_values(x, Setting(alpha, method), some)


@FLOATS
def test_pieces_of_a_sharp_list_know_of_what_is_beside_them(
    dtype: torch.dtype, subtests: pytest.Subtests
) -> None:
    """A list in which few items are near one another is cut into pieces that go abreast."""
    lists = {f"{n} items": (torch.randn(n), n / 2.0) for n in (63, 64, 65, 200, 1000, 4097, 9000)}
    lists |= {
        "a piece ends within equal items": ((torch.arange(2000) / 7).floor(), 9.0),
        "ten in each place": (torch.arange(3000) % 300 * 100.0, 1.0),
        "half of them equal": (torch.randn(3000).clamp(min=0), 1e4),
        "a dense cluster": (torch.cat([torch.randn(2000) * 1e3, torch.rand(400)]), 30.0),
        "gaps of any width": (torch.empty(3000).log_normal_(0, 3).cumsum(0), 2.0),
        "far from 0": (torch.randn(500) + 1e4, 1e2),
    }
    # Pieces of 512 in lanes of 8, whose outermost points lie 7 beyond their ends, and many beyond.
    places = torch.arange(8.0) * 1000
    for distance in (18.0, 24.5, 30.0, 34.5, 40.0, 52.5, 60.0):
        places[1] = distance
        lists[f"a piece {distance} from another"] = (places.repeat_interleave(512), 1.0)
    for name, (items, alpha) in lists.items():
        with subtests.test(name=name):
            x, n = items.to(dtype), len(items)
            ends = torch.arange(0, n + 1, -(-n // 8))[:, None] + torch.arange(-3, 3)
            some = torch.cat([torch.arange(0, n, n // 60 + 1), ends.clamp(0, n - 1).flatten()])
            check_sorted_values(x[torch.randperm(n)], Setting(alpha, "sigmoid"), some)


def check_sorted_values(x: Tensor, setting: Setting, some: Tensor) -> None:
    """By what the smoothed count is at the points of some places, and the densities there."""
    alpha, method, _ = setting
    values, bits, densities = OPS._quantile_sort_forward(x, alpha, method, None)
    d = alpha * (bits.view(torch.float64)[some, None] - x.double())
    tails = d.sign() * -oracle.tail(-d.abs(), method)
    excess = (d > 0).sum(-1) - (some + 0.5) + torch.where(d == 0, 0.5, tails).sum(-1)
    density = oracle.cdf_derivative(d, method, 1).sum(-1)
    bound = sort_bound((x,), setting, x.dtype)
    assert ((excess / density).abs() / alpha <= bound).all()
    # The logarithm of a density has a slope of 1 at most, and d is rounded by that of the points.
    rounding = torch.finfo(torch.float64).eps * alpha * x.double().abs().max()
    error = (densities.view(torch.float64)[some] / density - 1).abs()
    assert (error <= 2 * DERIVATIVE_ERROR[x.dtype] + 2 * rounding).all()
    assert (values.diff() >= 0).all()


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


@pytest.mark.parametrize("method", [*METHODS, "l2", "kl"])
def test_one_value_alone_is_itself(method: str) -> None:
    x = torch.tensor([[2.5], [-INF], [1e30]], requires_grad=True)
    values = soft_sort(x, 3.0, method=method)
    assert values.tolist() == x.tolist()
    (gradient,) = torch.autograd.grad(values, x, torch.ones_like(values))
    assert gradient[:, 0].tolist() == pytest.approx([1, 0, 1], abs=1e-6)
    assert soft_sort(torch.empty(2, 0), method=method).shape == (2, 0)


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


def test_the_two_kinds_of_soft_sort_are_the_operators_forwards() -> None:
    x = torch.randn(3, 8)
    for method in METHODS:
        assert torch.equal(
            soft_sort(x, method=method), OPS._quantile_sort_forward(x, 1.0, method, None)[0]
        )
        with pytest.raises(ValueError, match="method must be one of 'l2', 'kl'"):
            OPS._permutahedron_sort_forward(x, 1.0, method, None)
    for method in ("l2", "kl"):
        assert torch.equal(
            soft_sort(x, method=method), OPS._permutahedron_sort_forward(x, 1.0, method, None)[0]
        )
        with pytest.raises(ValueError, match=r"method must be one of 'sigmoid', .*'cauchy', got"):
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
