"""What sorted values, quantiles and top-k masks promise alike: options, modules, errors, dtypes.

The same questions as of every operator are in test_operators.py; the formulas in oracle.py.
"""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from order_statistics import FLOATS, HALVES, SMOOTH, TINY, doubles, gradient_of
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.func import hessian

import rank_relax
from rank_relax import soft_quantile, soft_sort, soft_topk

INF, NAN = math.inf, math.nan
OPS = torch.ops.rank_relax


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
        if method == "cauchy" and abs(far) < 1e17:
            continue  # F lacks 1/(pi alpha |far|) to 0 or 1 there, and should
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
def test_sharp_results_are_the_hard_ones(method: str) -> None:
    x = torch.randperm(60).view(3, 20).double() / 7
    sharp = 1e6
    # With a tail of 1/(pi d), 19 items at 1/7, 2/7... have tails of so much together, and move a
    # value, where the density is alpha/pi, by as much times pi/alpha.
    tails = 7 * 3.6 / (math.pi * sharp) if method == "cauchy" else 0.0
    moved = tails * math.pi / sharp
    assert (soft_sort(x, sharp, method=method) - x.sort(-1).values).abs().max() <= 1e-12 + moved
    for q in (0.0, 0.25, 0.3, 0.8, 1.0):
        hard = torch.quantile(x, q, -1, interpolation="nearest")
        # A level of 1/4 from a whole one is ln(3)/alpha from the item.
        quantile = soft_quantile(x, q, sharp, method=method)
        assert (quantile - hard).abs().max() <= 3 / sharp
    median = soft_quantile(x, 0.5, sharp, method=method)
    if method == "cauchy":  # where the sums of 1/distance on both sides agree, however sharp
        lower, upper = (
            torch.quantile(x, 0.5, -1, interpolation=end) for end in ("lower", "higher")
        )
        assert ((lower < median) & (median < upper)).all()
    else:
        middle = torch.quantile(x, 0.5, -1, interpolation="midpoint")
        assert (median - middle).abs().max() <= 1e-12
    for k in (0, 1, 7, 20):
        for largest in (True, False):
            hard = torch.zeros_like(x).scatter(-1, x.topk(k, -1, largest=largest).indices, 1.0)
            chosen = soft_topk(x, k, sharp, method=method, largest=largest)
            # The threshold is at least a twentieth of 1/7 from its neighbours.
            assert (chosen - hard).abs().max() <= 20 * tails


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


def test_elements_of_a_tensor_that_make_no_sense_give_nan() -> None:
    x = torch.randn(3, 5)
    chosen = soft_topk(x, torch.tensor([-1.0, NAN, 1e9]))
    assert chosen[:2].isnan().all()
    assert (chosen[2] == 1).all()
    quantiles = soft_quantile(x, torch.tensor([-0.1, NAN, 1.1, 0.5]))
    assert quantiles[:3].isnan().all()
    assert quantiles[3].isfinite().all()


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
            "method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', got 'l2'",
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
            "method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', got 'kl'",
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
    point = soft_quantile(y, 0.5, 1e160, method=method)
    weights = gradient_of(lambda y: soft_quantile(y, 0.5, 1e160, method=method), y)
    if method == "cauchy":  # all sums of 1/distance, and not the nearest two alone
        assert 0 < point < 1
        sides = (1 / (point - y)).split(2)
        assert sides[0].sum() == pytest.approx(float(-sides[1].sum()), rel=1e-12)
        expected = (point - y) ** -2
        assert weights.tolist() == pytest.approx((expected / expected.sum()).tolist(), abs=1e-9)
        return
    assert point.item() == 0.5
    assert weights.tolist() == pytest.approx([0, 0.5, 0.5, 0], abs=1e-9)


def test_second_derivatives_at_a_kink_are_the_mean_of_both_sides() -> None:
    """Where F'' jumps it counts as 0: of a median on an item, and of equal items."""
    x = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    median = hessian(lambda x: soft_quantile(x, 0.5, 1.0, method="laplace"))(x)
    in_sort = hessian(lambda x: soft_sort(x, 1.0, method="laplace")[1])(x)
    torch.testing.assert_close(median, in_sort, atol=1e-12, rtol=0)
    torch.testing.assert_close(median, -median.flip(0, 1), atol=1e-12, rtol=0)
    share = hessian(lambda x: soft_topk(x, 1.5, 1.0, method="laplace")[1])(x)
    assert abs(float(share[1, 1])) <= 1e-12
    weights = torch.tensor([1.0, 2.0, 3.0, 5.0], dtype=torch.float64)
    equal = torch.zeros(4, dtype=torch.float64)
    of_equals = hessian(lambda x: (soft_topk(x, 2, 1.0, method="laplace") * weights).sum())(equal)
    assert float(of_equals.abs().max()) <= 1e-12


@pytest.mark.parametrize("strength", [1.0, 1e3, 1e250])
def test_a_whole_level_in_a_gap_that_overflows_is_where_heavy_tails_are_equal(
    strength: float,
) -> None:
    """At a distance u of the gap's lower end, 1/u = 1/(gap - u) + 1/(gap - u + rest)."""
    x = torch.tensor([-1e308, 1e308, 1.2e308], dtype=torch.float64)
    u = float(soft_quantile(x, 0.25, strength, method="cauchy")) / 1e308 + 1
    assert abs(1 / u - 1 / (2 - u) - 1 / (2.2 - u)) <= 1e-12
