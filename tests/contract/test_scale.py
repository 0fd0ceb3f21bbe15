"""Sorts, quantiles and top-k masks of lists in units of their standard deviation."""

import copy
from collections.abc import Callable

import pytest
import torch
from operators import ALL_METHODS, METHODS
from torch import Tensor

import rank_relax
from rank_relax import soft_quantile, soft_rank, soft_sort, soft_topk

INF, NAN = torch.inf, torch.nan

# Whether a result is in the unit of the values.
FUNCTIONS: dict[str, tuple[Callable[..., Tensor], bool]] = {
    **{
        f"soft_sort {method}": (
            lambda x, *args, method=method, **options: soft_sort(
                x, *args, method=method, **options
            ),
            True,
        )
        for method in ALL_METHODS
    },
    **{
        f"soft_quantile {method}": (
            lambda x, *args, method=method, **options: soft_quantile(
                x, torch.tensor([0.2, 0.5, 0.9]), *args, method=method, **options
            ),
            True,
        )
        for method in METHODS
    },
    **{
        f"soft_topk {method}": (
            lambda x, *args, method=method, **options: soft_topk(
                x, 2, *args, method=method, **options
            ),
            False,
        )
        for method in METHODS
    },
}
BY_TENSOR = [name for name in FUNCTIONS if name != "soft_sort kl"]


def expected(name: str, x: Tensor, strength: float | Tensor, mask: Tensor) -> Tensor:
    """That of every list over its standard deviation, by autograd in float64, list by list."""
    function, has_unit = FUNCTIONS[name]
    lists = []
    for values, counts in zip(x.double(), mask, strict=True):
        kept = values[counts & values.isfinite()]
        deviation = kept.std(correction=0)
        result = function(values / deviation, strength, mask=counts)
        lists.append(result * deviation if has_unit else result)
    return torch.stack(lists, 1 if "quantile" in name else 0)


def example(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    x = torch.randn(3, 7, dtype=torch.float64) * torch.tensor([[0.02], [1.0], [50.0]]) + 3
    mask = torch.ones(3, 7, dtype=torch.bool)
    mask[0, 2] = mask[2, 5] = False
    return x.to(dtype).requires_grad_(), mask


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_strength_is_per_standard_deviation_of_the_list(name: str, dtype: torch.dtype) -> None:
    x, mask = example(dtype)
    doubles = x.detach().double().requires_grad_()
    actual = FUNCTIONS[name][0](x, 1.7, mask=mask, scale="std")
    exact = expected(name, doubles, 1.7, mask)
    assert actual.dtype == dtype
    # What is rounded is the result, and the gradient: both are found in float64.
    rounding = max(torch.finfo(dtype).eps, 1e-12)
    assert ((actual - exact).abs() <= rounding * exact.abs().clamp(min=1)).all()
    cotangent = torch.randn(exact.shape).to(dtype)
    (gradient,) = torch.autograd.grad(actual, x, cotangent)
    (exact_gradient,) = torch.autograd.grad(exact, doubles, cotangent.double())
    size = exact_gradient.abs().amax(-1, keepdim=True)
    assert ((gradient - exact_gradient).abs() <= 2 * rounding * size).all()
    assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("name", BY_TENSOR)
def test_it_goes_together_with_a_strength_that_is_learnt(name: str) -> None:
    function, _ = FUNCTIONS[name]
    for dtype, error in ((torch.float64, 1e-11), (torch.float32, 1e-6)):
        x, mask = example(dtype)
        strength = torch.tensor(1.7, dtype=dtype, requires_grad=True)
        by_tensor = function(x, strength, mask=mask, scale="std")
        by_number = function(x, strength.item(), mask=mask, scale="std")
        assert (by_tensor - by_number).abs().max() <= error * by_number.abs().max()
        alpha = strength.detach().double().requires_grad_()
        exact = expected(name, x.detach(), alpha, mask)
        weights = torch.randn(exact.shape).to(dtype)
        (gradient,) = torch.autograd.grad((by_tensor * weights).sum(), strength)
        (exact_gradient,) = torch.autograd.grad((exact * weights).sum(), alpha)
        assert abs(gradient - exact_gradient) <= error * exact_gradient.abs().clamp(min=1)


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_first_and_second_derivatives_pass_through_the_standard_deviation(name: str) -> None:
    x, mask = example()
    learnt = name in BY_TENSOR
    strength = torch.tensor(0.9, dtype=torch.float64, requires_grad=True)

    def function(x: Tensor, *strength: Tensor) -> Tensor:
        alpha = strength[0] if strength else 0.9
        return FUNCTIONS[name][0](x, alpha, mask=mask, scale="std")

    inputs = ((x / 10).detach().requires_grad_(), *([strength] if learnt else []))
    assert torch.autograd.gradcheck(function, inputs, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(function, inputs, check_fwd_over_rev=True)


@pytest.mark.parametrize("order", ["backward over backward", "forward over backward"])
@pytest.mark.parametrize("name", BY_TENSOR)
def test_second_derivatives_of_float32_are_those_of_float64(name: str, order: str) -> None:
    x, mask = example(torch.float32)

    def total(x: Tensor, strength: Tensor) -> Tensor:
        return FUNCTIONS[name][0](x, strength, mask=mask, scale="std").pow(3).sum()

    outer = torch.func.jacrev if order.startswith("backward") else torch.func.jacfwd
    hessian = outer(torch.func.jacrev(total, (0, 1)), (0, 1))
    inputs = (x.detach(), torch.tensor(0.9))
    actual = hessian(*inputs)
    exact = hessian(*(tensor.double() for tensor in inputs))
    for row, exact_row in zip(actual, exact, strict=True):
        for block, exact_block in zip(row, exact_row, strict=True):
            size = exact_block.abs().amax().clamp(min=1)
            assert block.dtype == torch.float32
            assert (block - exact_block).abs().max() <= 2e-6 * size


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_unit_of_the_values_does_not_matter(name: str) -> None:
    function, has_unit = FUNCTIONS[name]
    x = torch.randn(2, 9, dtype=torch.float64)
    plain = function(x, 1.5, scale="std")
    for factor, shift in ((1e-200, 0.0), (0.5, 3.0), (1e200, 0.0)):
        moved = function(factor * x + shift, 1.5, scale="std")
        want = factor * plain + shift if has_unit else plain
        assert (moved - want).abs().max() <= 1e-13 * want.abs().max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_constant_list_is_sorted_into_itself(name: str, dtype: torch.dtype) -> None:
    """Beside a deviation of 0 every strength is sharp; equal items have equal parts in a value."""
    function, has_unit = FUNCTIONS[name]
    x = torch.full((4,), 3.0, dtype=dtype, requires_grad=True)
    result = function(x, 1.5, scale="std")
    assert (result - (3.0 if has_unit else 0.5)).abs().max() <= 1e-6
    (gradient,) = torch.autograd.grad(result.sum(), x)
    share = len(result) / 4 if has_unit else 0.0
    assert (gradient - share).abs().max() <= 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_TENSOR)
def test_infinities_nan_and_masked_items_stay_out_of_the_standard_deviation(name: str) -> None:
    function, _ = FUNCTIONS[name]
    x = torch.tensor([0.4, INF, -2.0, -INF, 0.9, 1e9])
    mask = torch.tensor([True] * 5 + [False])
    for strength in (1.5, torch.tensor(1.5)):
        actual = function(x, strength, mask=mask, scale="std")
        deviation = x[[0, 2, 4]].double().std(correction=0)
        alpha = 1.5 * float(deviation) if "l2" in name else 1.5 / float(deviation)
        torch.testing.assert_close(
            actual, function(x, alpha, mask=mask), rtol=2e-6, atol=2e-6, equal_nan=True
        )
    with_nan = torch.cat([x, torch.tensor([NAN])])
    result = function(with_nan, 1.5, mask=torch.cat([mask, mask[:1]]), scale="std")
    assert result.isnan().sum() == (3 if "quantile" in name else 1)


def test_it_holds_along_any_dimension_under_vmap_and_compiled() -> None:
    x = torch.randn(2, 6, 3)
    strength = torch.tensor([0.7, 1.4])
    for name in BY_TENSOR:
        function, _ = FUNCTIONS[name]
        along = function(x, 1.3, dim=1, scale="std")
        last = function(x.movedim(1, -1), 1.3, scale="std")
        last = last if "quantile" in name else last.movedim(-1, 1)
        torch.testing.assert_close(along, last, rtol=0, atol=0)
        batched = torch.vmap(lambda x, a, f=function: f(x, a, scale="std"))(x, strength)
        for sample, alpha, result in zip(x, strength, batched, strict=True):
            torch.testing.assert_close(result, function(sample, alpha, scale="std"))

    def step(x: Tensor, strength: Tensor) -> Tensor:
        median = soft_quantile(x, 0.5, strength, scale="std")
        return (
            soft_sort(x, 2.0, scale="std").sum()
            + median.sum()
            + soft_topk(x, 2, strength, scale="std").square().sum()
        )

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    for alpha in (0.7, 1.4):
        gradients = []
        for run in (step, compiled):
            inputs = (x.clone().requires_grad_(), torch.tensor(alpha, requires_grad=True))
            gradients.append(torch.autograd.grad(run(*inputs), inputs))
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)


def test_modules_have_the_option() -> None:
    x = torch.randn(3, 5)
    for module, function in (
        (rank_relax.SoftSort(2.0, scale="std"), lambda x: soft_sort(x, 2.0, scale="std")),
        (
            rank_relax.SoftQuantile(0.3, 2.0, scale="std"),
            lambda x: soft_quantile(x, 0.3, 2.0, scale="std"),
        ),
        (rank_relax.SoftTopK(2, 2.0, scale="std"), lambda x: soft_topk(x, 2, 2.0, scale="std")),
    ):
        assert torch.equal(copy.deepcopy(module)(x), function(x))
        assert "scale='std'" in repr(module)


@pytest.mark.parametrize("function", [soft_sort, lambda x, **o: soft_quantile(x, 0.5, **o)])
def test_an_unknown_scale_is_refused(function: Callable[..., Tensor]) -> None:
    with pytest.raises(ValueError, match="scale must be one of None, 'std', got 'mad'"):
        function(torch.randn(3), scale="mad")
    with pytest.raises(ValueError, match="soft_topk: scale must be one of None, 'std', got 'mad'"):
        soft_topk(torch.randn(3), 1, scale="mad")


def test_float32_scores_keep_nothing_of_float64_for_the_backward() -> None:
    x = torch.randn(4, 9, requires_grad=True)
    saved: list[torch.dtype] = []

    def noted(tensor: Tensor) -> Tensor:
        saved.append(tensor.dtype)
        return tensor

    strength = torch.tensor(2.0, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(noted, lambda tensor: tensor):
        soft_rank(x, strength, scale="std")
        soft_sort(x, strength)
        soft_quantile(x, 0.3)
        soft_topk(x, 2)
    assert saved
    assert torch.float64 not in saved
