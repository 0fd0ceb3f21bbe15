"""``rank_relax.torchsort`` against torchsort's own results, and where torchsort has none.

``torchsort_results.json`` holds what torchsort 0.1.10 returned in float64 for the values and the
incoming gradient in it, made by::

    for function in ("soft_rank", "soft_sort"):
        for regularization in ("l2", "kl"):
            for strength in (0.1, 1.0, 4.0):
                leaf = values.clone().requires_grad_()
                output = getattr(torchsort, function)(leaf, regularization, strength)
                output.backward(grad_output)
"""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import rank_relax
from rank_relax import torchsort

RESULTS = json.loads(Path(__file__).with_name("torchsort_results.json").read_text())
INF, NAN = math.inf, math.nan
FUNCTIONS = pytest.mark.parametrize("function", [torchsort.soft_rank, torchsort.soft_sort])
REGULARIZATIONS = pytest.mark.parametrize("regularization", ["l2", "kl"])
HALVES = pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)


def recorded(name: str) -> Tensor:
    return torch.tensor(RESULTS[name], dtype=torch.float64)


def value_and_gradient(function: Any, values: Tensor, *options: Any) -> tuple[Tensor, Tensor]:
    """The result, and its gradient for a fixed cotangent that differs from item to item."""
    leaf = values.detach().clone().requires_grad_()
    output = function(leaf, *options)
    cotangent = torch.linspace(-1, 2, values.numel(), dtype=torch.float64) ** 3
    (gradient,) = torch.autograd.grad(output, leaf, cotangent.to(output.dtype).view_as(output))
    return output.detach(), gradient


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)], ids=str
)
@pytest.mark.parametrize(
    "result",
    RESULTS["results"],
    ids=lambda r: f"{r['function']}-{r['regularization']}-{r['regularization_strength']}",
)
def test_results_and_gradients_are_those_of_torchsort(
    result: dict[str, Any], dtype: torch.dtype, tolerance: float
) -> None:
    leaf = recorded("values").to(dtype).requires_grad_()
    output = getattr(torchsort, result["function"])(
        leaf, result["regularization"], result["regularization_strength"]
    )
    output.backward(recorded("grad_output").to(dtype))
    assert leaf.grad is not None
    for actual, name in ((output, "output"), (leaf.grad, "gradient")):
        expected = torch.tensor(result[name], dtype=torch.float64)
        # Ranks reach 12, gradients 30.
        assert ((actual - expected).abs() <= tolerance * (1 + expected.abs())).all()


def test_arguments_have_the_names_and_defaults_of_torchsort() -> None:
    x = torch.randn(2, 5)
    for function in (torchsort.soft_rank, torchsort.soft_sort):
        assert torch.equal(
            function(x), function(values=x, regularization="l2", regularization_strength=1.0)
        )


@REGULARIZATIONS
def test_ranks_are_those_of_soft_rank_counted_from_one(regularization: str) -> None:
    x = torch.randn(3, 7, dtype=torch.float64)
    ranks = torchsort.soft_rank(x, regularization, 0.4)
    expected = 1 + 6 * rank_relax.soft_rank(x, 2.5, method=regularization)
    assert (ranks - expected).abs().max() <= 1e-14 * 7


@FUNCTIONS
@REGULARIZATIONS
def test_any_number_of_dimensions_is_a_batch(function: Any, regularization: str) -> None:
    x = torch.randn(2, 3, 5, 6)
    whole = function(x, regularization, 0.3)
    assert whole.shape == x.shape
    assert torch.equal(whole[1, 2, 3], function(x[1, 2, 3], regularization, 0.3))


@FUNCTIONS
@REGULARIZATIONS
def test_derivatives_of_second_order_are_right(function: Any, regularization: str) -> None:
    x = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    # Close enough for blocks of several items.
    strength = 0.8 if function is torchsort.soft_rank else 2.0

    def call(x: Tensor) -> Tensor:
        output: Tensor = function(x, regularization, strength)
        return output

    assert gradcheck(call, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, x, check_fwd_over_rev=True, check_batched_grad=True)
    if regularization == "kl":
        hessian = torch.func.hessian(lambda x: call(x).pow(2).sum())(x.detach())
        assert (hessian - hessian.permute(2, 3, 0, 1)).abs().max() <= 1e-10


@HALVES
@FUNCTIONS
@REGULARIZATIONS
@pytest.mark.parametrize("n", [400, 5000])
def test_long_rows_of_half_precision_are_the_exact_result_rounded(
    n: int, regularization: str, function: Any, half: torch.dtype
) -> None:
    x = torch.randn(2, n).to(half)
    actual, gradient = value_and_gradient(function, x, regularization, 0.5)
    expected, exact_gradient = value_and_gradient(function, x.double(), regularization, 0.5)
    assert actual.dtype == gradient.dtype == half
    # Half a step of the result: float32's own error is far below.
    step = torch.finfo(half).eps
    assert ((actual.double() - expected).abs() <= 0.51 * step * expected.abs().clamp(1e-3)).all()
    scale = exact_gradient.abs().max()
    # The incoming gradient was rounded too.
    assert (gradient.double() - exact_gradient).abs().max() <= 4 * step * scale.clamp(min=1)


@FUNCTIONS
@REGULARIZATIONS
def test_a_rank_of_one_item_is_one_and_its_value_is_its_own(
    function: Any, regularization: str
) -> None:
    output, gradient = value_and_gradient(function, torch.tensor([[2.5], [-1.0]]), regularization)
    if function is torchsort.soft_rank:
        assert output.tolist() == [[1], [1]]
        assert gradient.tolist() == [[0], [0]]
    else:
        assert output.tolist() == [[2.5], [-1.0]]
    assert function(torch.empty(2, 0), regularization).shape == (2, 0)


@REGULARIZATIONS
def test_infinities_rank_first_and_last(regularization: str) -> None:
    x = torch.tensor([0.5, INF, 0.0, -INF, INF])
    ranks, gradient = value_and_gradient(torchsort.soft_rank, x, regularization, 0.1)
    assert (ranks - torch.tensor([3.0, 4.5, 2.0, 1.0, 4.5])).abs().max() <= 1e-6
    assert gradient[x.isinf()].tolist() == [0, 0, 0]
    assert gradient.isfinite().all()


@REGULARIZATIONS
def test_infinities_keep_their_place_in_a_soft_sort(regularization: str) -> None:
    x = torch.tensor([0.5, INF, 3.0, -INF, INF, NAN, 0.0])
    values, gradient = value_and_gradient(torchsort.soft_sort, x, regularization, 2.0)
    alone = torchsort.soft_sort(torch.tensor([0.5, 3.0, 0.0]), regularization, 2.0)
    assert torch.equal(values[1:4], alone)
    assert values[[0, 4, 5]].tolist() == [-INF, INF, INF]
    assert values[6].isnan()
    assert gradient[x.isinf()].tolist() == [0, 0, 0]
    assert torch.equal(gradient.isnan(), x.isnan())


@FUNCTIONS
@REGULARIZATIONS
def test_a_small_strength_gives_the_hard_result_and_a_large_one_the_mean(
    function: Any, regularization: str
) -> None:
    x = torch.randn(40, dtype=torch.float64)
    hard, soft = function(x, regularization, 1e-12), function(x, regularization, 1e12)
    if function is torchsort.soft_rank:
        assert (hard - (1 + x.argsort().argsort())).abs().max() <= 1e-9
        assert (soft - 20.5).abs().max() <= 1e-9
    else:
        assert (hard - x.sort().values).abs().max() <= 1e-14
        mean = x.mean() if regularization == "l2" else -(torch.logsumexp(-x, 0) - math.log(40))
        assert (soft - mean).abs().max() <= 1e-9


@FUNCTIONS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@REGULARIZATIONS
def test_huge_and_tiny_values_overflow_nothing(
    regularization: str, dtype: torch.dtype, function: Any
) -> None:
    info = torch.finfo(dtype)
    x = torch.tensor([info.max, -info.max, info.tiny, 0.0, -info.max, 1.0], dtype=dtype)
    for strength in (1e-300, 1e-30, 1.0, 1e30, 1e300):
        output, gradient = value_and_gradient(function, x, regularization, strength)
        assert output.isfinite().all()
        assert not gradient.isnan().any()
        if function is torchsort.soft_sort:
            # By as much as the largest value is rounded.
            assert (output.diff() >= -4 * info.eps * info.max).all()


def test_half_precision_is_float32_under_autocast() -> None:
    x = torch.randn(2, 9, dtype=torch.bfloat16)
    with torch.autocast("cpu"):
        for function in (torchsort.soft_rank, torchsort.soft_sort):
            assert function(x).dtype == torch.float32
            assert torch.equal(function(x), function(x.float()))


@pytest.mark.slow
@FUNCTIONS
def test_they_compile_and_vmap(function: Any) -> None:
    x = torch.randn(3, 2, 7, dtype=torch.float64)
    for regularization in ("l2", "kl"):
        expected = value_and_gradient(function, x, regularization, 0.5)
        graph = torch.compile(function, fullgraph=True, backend="aot_eager")
        for actual, exact in zip(
            value_and_gradient(graph, x, regularization, 0.5), expected, strict=True
        ):
            assert torch.equal(actual, exact)
        torch._C._functorch._set_vmap_fallback_enabled(False)
        try:
            batched = torch.func.vmap(lambda row, r=regularization: function(row, r, 0.5), 1)(x)
        finally:
            torch._C._functorch._set_vmap_fallback_enabled(True)
        assert torch.equal(batched, expected[0].movedim(1, 0))


@FUNCTIONS
@pytest.mark.parametrize("strength", [0.0, -1.0, NAN, INF, 1e-320, 10**400])
def test_a_strength_without_an_inverse_is_a_value_error(function: Any, strength: float) -> None:
    with pytest.raises(ValueError, match=r"regularization_strength.*softer"):
        function(torch.randn(2, 3), "l2", strength)


@FUNCTIONS
def test_other_arguments_that_make_no_sense_are_refused(function: Any) -> None:
    with pytest.raises(ValueError, match="regularization must be one of 'l2', 'kl', got 'l1'"):
        function(torch.randn(2, 3), "l1")
    with pytest.raises(ValueError, match="regularization must be one of"):
        function(torch.randn(2, 3), "sigmoid")
    with pytest.raises(TypeError, match="regularization_strength"):
        function(torch.randn(2, 3), "l2", "1")
    with pytest.raises(TypeError, match=r"values must be a torch\.Tensor"):
        function([1.0, 2.0])
    with pytest.raises(TypeError, match="int64"):
        function(torch.arange(3))
    with pytest.raises(ValueError, match="dimension"):
        function(torch.tensor(1.0))
