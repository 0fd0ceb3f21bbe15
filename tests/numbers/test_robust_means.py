"""The trimmed mean and the CVaR of losses, against their definitions item by item in float64."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import scipy.stats
import torch
from torch import Tensor

import rank_relax
from rank_relax import cvar, soft_topk, trimmed_mean

nan, inf = torch.nan, torch.inf
# Between the worst share that is left out and the worst share within.
CASES: list[tuple[Any, Any, float, float]] = [
    (trimmed_mean, 0.3, 0.3, 1.0),
    (trimmed_mean, (0.25, 0.125), 0.125, 0.75),
    (trimmed_mean, (0.4, 0), 0.0, 0.6),
    (trimmed_mean, 0.0, 0.0, 1.0),
    (cvar, 0.2, 0.0, 0.2),
    (cvar, 0.77, 0.0, 0.77),
    (cvar, 1, 0.0, 1.0),
]
every_mean = pytest.mark.parametrize(
    ("function", "share", "low", "high"), CASES, ids=lambda x: getattr(x, "__name__", str(x))
)


def hard_mean(losses: Tensor, weights: Tensor, low: float, high: float) -> float:
    """Of what lies between two shares of the losses in falling order, two of them in part."""
    total, done = 0.0, 0.0
    for i in losses.argsort(descending=True).tolist():
        end = done + float(weights[i] / weights.sum())
        total += max(0.0, min(end, high) - max(done, low)) * float(losses[i])
        done = end
    return total / (high - low)


def mask_of(losses: Tensor, weights: Tensor, level: float) -> Tensor:
    """The soft top-k mask in units of T, by bisection of the place of its threshold."""
    if level in (0, 1):
        return torch.full_like(losses, level)
    share, low, high = weights / weights.sum(), -1e4, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        above = (share * torch.sigmoid(losses - middle)).sum()
        low, high = (middle, high) if above > level else (low, middle)
    return torch.sigmoid(losses - low)


def soft_mean(
    losses: Tensor, weights: Tensor, low: float, high: float, temperature: float
) -> tuple[float, Tensor]:
    """The mean and the weights of its gradient, by the definition as it is written."""
    share, total = weights / weights.sum(), 0.0
    masks = [mask_of(losses / temperature, weights, level) for level in (low, high)]
    for sign, level, mask in zip((-1, 1), (low, high), masks, strict=True):
        entropy = torch.zeros_like(losses)
        if level not in (0, 1):
            entropy = torch.special.xlogy(mask, mask / level)
            entropy = entropy + torch.special.xlogy(1 - mask, (1 - mask) / (1 - level))
        # What is left out is a minimum of what is in.
        total += sign * float((share * (mask * losses - temperature * entropy)).sum())
    return total / (high - low), share * (masks[1] - masks[0]) / (high - low)


LENGTHS = (0, 1, 4, 17, 60, 2)
BEGINS = torch.tensor([0, *LENGTHS]).cumsum(0)


def padded(flat: Tensor, filler: float) -> Tensor:
    rows = torch.full((len(LENGTHS), max(LENGTHS)), filler, dtype=flat.dtype)
    for i, (begin, end) in enumerate(itertools.pairwise(BEGINS.tolist())):
        rows[i, : end - begin] = flat[begin:end]
    return rows


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("shape", ["ragged", "padded"])
@pytest.mark.parametrize("temperature", [0.5, 1e-3])
@every_mean
def test_values_and_gradients_are_those_of_the_definition(
    function: Any,
    share: Any,
    low: float,
    high: float,
    temperature: float,
    shape: str,
    weighted: bool,
    dtype: torch.dtype,
) -> None:
    losses = torch.randn(int(BEGINS[-1]), dtype=dtype).exp()
    losses[::5] = losses[-1]
    weights = torch.ones_like(losses)
    if weighted:
        weights = torch.rand_like(losses)
        weights[1::3] = 0
    expected, gradient = [], torch.zeros(losses.shape, dtype=torch.float64)
    for begin, end in itertools.pairwise(BEGINS.tolist()):
        of_list, its = losses[begin:end].double(), weights[begin:end].double()
        if its.sum() == 0:
            expected.append(0.0)
            continue
        value, gradient[begin:end] = soft_mean(of_list, its, low, high, temperature)
        expected.append(value)
    losses.requires_grad_()
    arguments: dict[str, Any] = {"offsets": BEGINS, "temperature": temperature}
    given = [losses, weights]
    if shape == "padded":
        del arguments["offsets"]
        arguments["mask"] = padded(torch.ones_like(losses, dtype=torch.bool), False)
        given = [padded(losses, nan), padded(weights, inf)]
    if weighted:
        arguments["weights"] = given[1]
    means = function(given[0], share, **arguments, reduction="none")
    assert means.dtype == dtype
    bound = 1e-12 if dtype == torch.float64 else 1e-6
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(means.detach().double(), wanted, rtol=bound, atol=bound)
    (actual,) = torch.autograd.grad(means.sum(), losses)
    # In a gap of a thousand T the threshold of the definition has no more digits.
    torch.testing.assert_close(actual.double(), gradient, rtol=bound, atol=10 * bound)
    assert (actual >= -1e-12).all()
    has_mean = torch.tensor([bool(w.sum() > 0) for w in weights.split(LENGTHS)])
    mean = function(given[0], share, **arguments)
    torch.testing.assert_close(mean, means[has_mean].mean())
    total = function(given[0], share, **arguments, reduction="sum")
    torch.testing.assert_close(total, means.sum())


@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@every_mean
def test_as_the_temperature_falls_they_are_the_exact_means(
    function: Any, share: Any, low: float, high: float, weighted: bool, ragged: bool
) -> None:
    for n in (1, 2, 3, 7, 8, 40, 1001):
        losses = torch.randn(n, dtype=torch.float64)
        weights = torch.rand_like(losses) if weighted else torch.ones_like(losses)
        arguments: dict[str, Any] = {"weights": weights} if weighted else {}
        if ragged:
            arguments["offsets"] = torch.tensor([0, n])
        mean = function(losses, share, **arguments, temperature=1e-9)
        expected = hard_mean(losses, weights, low, high)
        assert mean.item() == pytest.approx(expected, abs=1e-7)


@every_mean
def test_as_it_grows_they_are_the_mean_and_in_between_they_lie_between(
    function: Any, share: Any, low: float, high: float
) -> None:
    losses = torch.randn(200, dtype=torch.float64).exp()
    exact = hard_mean(losses, torch.ones(200).double(), low, high)
    mean, entropy = losses.mean().item(), 0.0
    for level in {low, high} - {0.0, 1.0}:
        entropy -= level * math.log(level) + (1 - level) * math.log(1 - level)
    for temperature in (1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3):
        value = function(losses, share, temperature=temperature).item()
        assert abs(value - exact) <= temperature * entropy / (high - low) + 1e-12
        if low == 0 or high == 1:
            assert min(mean, exact) - 1e-12 <= value <= max(mean, exact) + 1e-12
    assert function(losses, share, temperature=1e6).item() == pytest.approx(mean, rel=1e-5)
    equal = torch.full((7,), 3.7)
    assert function(equal, share, temperature=0.5).item() == pytest.approx(3.7)
    shifted = function(losses + 100, share).item()
    assert shifted == pytest.approx(100 + function(losses, share).item(), rel=1e-12)


def test_weights_of_the_gradient_are_shares_of_soft_topk() -> None:
    losses = torch.randn(3, 50, dtype=torch.float64, requires_grad=True)
    (of_worst,) = torch.autograd.grad(cvar(losses, 0.13, reduction="sum"), losses)
    share = soft_topk(losses.detach(), 0.13 * 50, temperature=0.1) / (0.13 * 50)
    torch.testing.assert_close(of_worst, share)
    mean = trimmed_mean(losses, (0.1, 0.2), reduction="sum")
    (of_rest,) = torch.autograd.grad(mean, losses)
    largest = soft_topk(losses.detach(), 10, temperature=0.1)
    smallest = soft_topk(losses.detach(), 5, temperature=0.1, largest=False)
    torch.testing.assert_close(of_rest, (1 - largest - smallest) / 35)


def test_a_trimmed_mean_is_scipys_where_it_cuts_whole_items() -> None:
    losses = torch.randn(40, dtype=torch.float64)
    for cut in (0.05, 0.1, 0.25):
        expected = scipy.stats.trim_mean(losses.numpy(), cut)
        mean = trimmed_mean(losses, (cut, cut), temperature=1e-6)
        assert mean.item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("form", ["rows", "ragged", "weighted"])
@pytest.mark.parametrize("outlier", [1e3, 1e9, 1e18, 1e30, 1e200])
@pytest.mark.parametrize("n", [7, 10, 49])
def test_outliers_that_are_left_out_take_no_digit(n: int, outlier: float, form: str) -> None:
    losses = torch.randn(n, dtype=torch.float64)
    losses[0], losses[-1] = outlier, -outlier
    arguments: dict[str, Any] = {"offsets": torch.tensor([0, n])} if form == "ragged" else {}
    if form == "weighted":
        arguments["weights"] = torch.full((n,), 0.3, dtype=torch.float64)
    losses.requires_grad_()

    def check(mean: Tensor, kept: Tensor, entropy: float, weight: float) -> None:
        (gradient,) = torch.autograd.grad(mean, losses)
        wanted = torch.zeros(n, dtype=torch.float64)
        wanted[kept] = weight
        torch.testing.assert_close(gradient, wanted, rtol=1e-10, atol=1e-10)
        expected = losses.detach()[kept].sum() * weight + 0.1 * entropy
        torch.testing.assert_close(mean.detach(), expected, rtol=1e-9, atol=1e-9)

    entropy = -math.log(1 / n) / n - math.log(1 - 1 / n) * (1 - 1 / n)
    item = torch.arange(n)
    inside = (item > 0) & (item < n - 1)
    both = trimmed_mean(losses, (1 / n, 1 / n), **arguments)
    check(both, inside, 0.0, 1 / (n - 2))
    with_small = trimmed_mean(losses, 1 / n, **arguments)
    (gradient,) = torch.autograd.grad(with_small, losses)
    torch.testing.assert_close(gradient[1:], torch.full((n - 1,), 1 / (n - 1)).double())
    assert gradient[0].abs() < 1e-10
    without_small = losses[:-1]
    if form == "rows":
        mean = trimmed_mean(without_small, 1 / (n - 1))
        entropy = -math.log(1 / (n - 1)) / (n - 1) - math.log1p(-1 / (n - 1)) * (n - 2) / (n - 1)
        check(mean, inside, entropy * (n - 1) / (n - 2), 1 / (n - 2))
        worst = cvar(losses[1:], (n - 2) / (n - 1))
        check(worst, inside, -entropy * (n - 1) / (n - 2), 1 / (n - 2))
    assert cvar(losses, 1 / n, **arguments).item() == pytest.approx(outlier, rel=1e-3)
    # A part of the outlier counts as much as it should.
    half = trimmed_mean(losses[:-1], 0.5 / (n - 1), temperature=1e-3)
    expected = (outlier / 2 + losses[1:-1].sum().item()) / (n - 1.5)
    assert half.item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weighted", [False, True], ids=["", "weighted"])
@pytest.mark.parametrize("form", ["rows", "ragged"])
@every_mean
def test_derivatives_are_right_to_the_second_order(
    function: Any, share: Any, low: float, high: float, form: str, weighted: bool
) -> None:
    losses = torch.randn(3, 9, dtype=torch.float64)
    leaves = [losses.requires_grad_(), torch.tensor(0.7, dtype=torch.float64, requires_grad=True)]
    if weighted:
        leaves.append((0.1 + torch.rand(3, 9, dtype=torch.float64)).requires_grad_())
    offsets = torch.tensor([0, 4, 27])

    def mean(losses: Tensor, temperature: Tensor, weights: Tensor | None = None) -> Tensor:
        arguments: dict[str, Any] = {"temperature": temperature, "reduction": "none"}
        if form == "ragged":
            losses, arguments["offsets"] = losses.flatten(), offsets
            weights = None if weights is None else weights.flatten()
        result: Tensor = function(losses, share, weights=weights, **arguments)
        return result

    assert torch.autograd.gradcheck(mean, leaves)
    assert torch.autograd.gradgradcheck(mean, leaves)


@every_mean
def test_vmap_gives_the_same(function: Any, share: Any, low: float, high: float) -> None:
    losses, weights = torch.randn(2, 4, 20, dtype=torch.float64).exp()
    for mean in (
        lambda x, w: function(x, share),
        lambda x, w: function(x, share, weights=w, temperature=0.5),
    ):
        expected = torch.stack([mean(*rows) for rows in zip(losses, weights, strict=True)])
        torch.testing.assert_close(torch.vmap(mean)(losses, weights), expected)
        gradients = torch.vmap(torch.func.grad(mean))(losses, weights)
        inputs = losses.clone().requires_grad_()
        sum(mean(*rows) for rows in zip(inputs, weights, strict=True)).backward()
        torch.testing.assert_close(gradients, inputs.grad)


@pytest.mark.slow
@pytest.mark.parametrize(("function", "share"), [(trimmed_mean, (0.25, 0.125)), (cvar, 0.2)])
def test_compiled_graphs_give_the_same(function: Any, share: Any) -> None:
    losses, weights = torch.randn(2, 80, dtype=torch.float64).exp()
    graph = torch.compile(function, fullgraph=True, dynamic=True, backend="aot_eager")
    for rows in (4, 8):
        given = (losses.reshape(rows, -1), share)
        torch.testing.assert_close(graph(*given), function(*given))
    # What offsets add is in the capture; test_ragged.py asks AOTAutograd about them.
    graph = torch.compile(function, fullgraph=True, dynamic=True, backend="eager")
    for offsets in (torch.tensor([0, 9, 80]), torch.tensor([0, 0, 3, 80])):
        arguments = {"weights": weights, "offsets": offsets}
        torch.testing.assert_close(
            graph(losses, share, **arguments), function(losses, share, **arguments)
        )


@every_mean
def test_whole_weights_are_repetitions_in_any_unit(
    function: Any, share: Any, low: float, high: float
) -> None:
    losses, times = torch.randn(40, dtype=torch.float64), torch.randint(0, 4, (40,))
    repeated = function(losses.repeat_interleave(times), share)
    for unit in (1.0, 1e-30, 1e30):
        weighted = function(losses, share, weights=unit * times.double())
        torch.testing.assert_close(weighted, repeated, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("form", ["rows", "ragged"])
@every_mean
def test_what_is_not_finite_stays_in_its_list(
    function: Any, share: Any, low: float, high: float, form: str
) -> None:
    losses = torch.randn(3, 6)
    expected = function(losses[::2], share, reduction="none")
    for unknown in (nan, inf, -inf):
        x, temperature = losses.clone(), torch.tensor(0.1, requires_grad=True)
        x[1, 2] = unknown
        x.requires_grad_()
        arguments: dict[str, Any] = {"temperature": temperature, "reduction": "none"}
        if form == "ragged":
            arguments["offsets"] = torch.arange(0, 19, 6)
        means = function(x if form == "rows" else x.flatten(), share, **arguments)
        assert means[1].isnan()
        torch.testing.assert_close(means[::2], expected)
        gradients = torch.autograd.grad(means[::2].sum(), [x, temperature], allow_unused=True)
        assert gradients[0][::2].isfinite().all()
        assert gradients[1] is None or gradients[1].isfinite()
    for wrong in (0.0, -1.0, nan):
        assert function(losses, share, temperature=torch.tensor(wrong)).isnan()


@every_mean
def test_lists_without_items_have_no_mean(
    function: Any, share: Any, low: float, high: float
) -> None:
    temperature = torch.tensor(0.1, requires_grad=True)
    for shape in ((0,), (3, 0), (0, 4)):
        losses = torch.randn(shape, requires_grad=True)
        mean = function(losses, share, temperature=temperature)
        mean.backward()
        assert mean == 0
        assert losses.grad is not None
    losses = torch.randn(2, 3, requires_grad=True)
    mask = torch.tensor([[False, False, False], [True, True, False]])
    mean = function(losses, share, mask=mask, temperature=temperature)
    torch.testing.assert_close(mean, function(losses[1, :2], share))
    mean.backward()
    assert losses.grad is not None
    assert (losses.grad[~mask] == 0).all()
    assert temperature.grad is not None
    assert temperature.grad.isfinite()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16], ids=str)
def test_half_precisions_are_of_their_dtype(half: torch.dtype) -> None:
    losses = torch.rand(5, 40).to(half)
    for mean in (lambda x: cvar(x, 0.1), lambda x: trimmed_mean(x, 0.1)):
        assert mean(losses).dtype == half
        assert mean(losses) == mean(losses.float()).to(half)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert mean(losses).dtype == torch.float32


def test_nested_tensors_are_lists() -> None:
    parts = [torch.rand(n) for n in (3, 7, 5)]
    losses = torch.nested.nested_tensor(parts, layout=torch.jagged)
    expected = torch.stack([cvar(part, 0.3) for part in parts])
    torch.testing.assert_close(cvar(losses, 0.3, reduction="none"), expected)


@pytest.mark.parametrize(
    "module",
    [
        rank_relax.TrimmedMean((0.1, 0.2), temperature=0.3),
        rank_relax.TrimmedMean(0.25, reduction="sum"),
        rank_relax.CVaR(0.4, temperature=torch.tensor(0.7)),
    ],
    ids=["both", "largest", "worst"],
)
def test_modules_are_their_functions(module: Any) -> None:
    losses, weights, mask = torch.randn(3, 9), torch.rand(3, 9), torch.rand(3, 9) < 0.8
    function: Callable[..., Tensor] = type(module).function
    expected = function(
        losses, weights=weights, mask=mask, temperature=module.temperature, **module.options
    )
    torch.testing.assert_close(module(losses, mask, weights), expected)
    assert module(losses.flatten(), offsets=torch.tensor([0, 27])).shape == ()
    for name, value in module.options.items():
        assert f"{name}={value!r}" in repr(module)
    parameter = torch.nn.Parameter(torch.tensor(0.3))
    share = next(iter(module.options.values()))
    learner = type(module)(share, temperature=parameter)
    learner(losses).backward()
    assert parameter.grad is not None
    assert parameter.grad != 0


def test_errors_name_the_argument_and_what_to_do() -> None:
    x = torch.randn(2, 3)
    for share, kind, message in (
        ("0.1", TypeError, "trim must be a number or two, .low, high., got '0.1'"),
        (True, TypeError, "trim must be a number or two"),
        ((0.1, 0.1, 0.1), TypeError, "trim must be a number or two"),
        ((0.5, 0.5), ValueError, r"trim must be shares from 0 up whose sum is below 1, got \(0"),
        (1, ValueError, "trim must be shares from 0 up whose sum is below 1, got 1"),
        (-0.1, ValueError, "trim must be shares from 0 up"),
        (nan, ValueError, "trim must be shares from 0 up"),
    ):
        with pytest.raises(kind, match=f"^trimmed_mean: {message}"):
            trimmed_mean(x, share)
        with pytest.raises(kind, match=f"^TrimmedMean: {message}"):
            rank_relax.TrimmedMean(share)
    for level, kind, message in (
        (None, TypeError, "level must be a number, got None"),
        ((0.1, 0.2), TypeError, "level must be a number"),
        (0, ValueError, "level must be the share of the worst, above 0 and at most 1, got 0"),
        (1.01, ValueError, "level must be the share of the worst"),
        (nan, ValueError, "level must be the share of the worst"),
    ):
        with pytest.raises(kind, match=f"^cvar: {message}"):
            cvar(x, level)
        with pytest.raises(kind, match=f"^CVaR: {message}"):
            rank_relax.CVaR(level)
    for name, function in (("cvar", cvar), ("trimmed_mean", trimmed_mean)):
        for losses, arguments, kind, message in (
            ([1.0], {}, TypeError, "losses must be a torch.Tensor, got list"),
            (x.long(), {}, TypeError, "losses must be float64, float32, bfloat16"),
            (x[0, 0], {}, ValueError, "losses must have at least one dimension"),
            (x, {"mask": x}, TypeError, "mask must be bool"),
            (x, {"mask": x[0] > 0}, ValueError, r"mask must have the shape of losses, \[2, 3\]"),
            (x, {"weights": x.long()}, TypeError, "weights must be float64, float32"),
            (x, {"weights": x[0]}, ValueError, "weights must have the shape of losses"),
            (x, {"offsets": torch.tensor([0, 3])}, ValueError, r"with offsets, losses must be \["),
            (
                x[0],
                {"offsets": torch.tensor([0, 2])},
                ValueError,
                "offsets must rise from 0 to the",
            ),
            (x, {"temperature": 0.0}, ValueError, "temperature must be positive and finite"),
            (x, {"temperature": "1"}, TypeError, "temperature must be a float or a 0-dim"),
            (x, {"reduction": "max"}, ValueError, "reduction must be one of 'mean'"),
        ):
            with pytest.raises(kind, match=f"^{name}: {message}"):
                function(losses, 0.2, **arguments)
