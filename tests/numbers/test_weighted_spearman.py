"""Spearman's loss of pairs that weigh different amounts, against its sums over pairs in float64."""

import itertools
from typing import Any

import oracle
import pytest
import scipy.stats
import torch
from torch import Tensor

from rank_relax import SpearmanLoss, spearman_loss

nan, inf = torch.nan, torch.inf
METHODS = ["sigmoid", "gaussian", "laplace", "cauchy"]
every_method = pytest.mark.parametrize("method", METHODS)
both_target_ranks = pytest.mark.parametrize("target_ranks", ["hard", "soft"])


def soft_rank(x: Tensor, weights: Tensor, strength: float, method: str) -> Tensor:
    differences = strength * (x[:, None] - x[None, :])
    return (weights * oracle.cdf_derivative(differences, method, 0)).sum(-1)


def hard_rank(x: Tensor, weights: Tensor) -> Tensor:
    below = (weights * (x[None, :] < x[:, None])).sum(-1)
    return below + (weights * (x[None, :] == x[:, None])).sum(-1) / 2


def by_definition(
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    strength: float = 1.0,
    method: str = "sigmoid",
    target_ranks: str = "hard",
    scale: str | None = None,
) -> Tensor:
    share = weights / weights.sum()
    if scale == "std":
        x = x / (share * (x - (share * x).sum()) ** 2).sum().sqrt()
        y = y / (share * (y - (share * y).sum()) ** 2).sum().sqrt()
    a, b = soft_rank(x, weights, strength, method), hard_rank(y, weights)
    if target_ranks == "soft":
        b = soft_rank(y, weights, strength, method)
    a, b = (side - (share * side).sum() for side in (a, b))
    squares = (share * a**2).sum() * (share * b**2).sum()
    return 1 - (share * a * b).sum() / squares.sqrt()


def lists(n: int = 23, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    x, y, weights = torch.randn(3, 4, n, dtype=dtype)
    x[:, ::5], y[:, ::3] = x[:, :1], y[:, :1]
    weights = weights.abs()
    weights[:, 2::4] = 0
    return x, y, weights


@both_target_ranks
@pytest.mark.parametrize("scale", [None, "std"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@every_method
def test_values_and_gradients_are_those_of_the_definition(
    method: Any, dtype: torch.dtype, scale: Any, target_ranks: Any
) -> None:
    given = [tensor.requires_grad_() for tensor in lists(dtype=dtype)]
    if target_ranks == "hard":
        given[1].requires_grad_(False)
    options = {"method": method, "scale": scale, "target_ranks": target_ranks}
    wide = [tensor.detach().double().requires_grad_() for tensor in given]
    expected = torch.stack([by_definition(*row, 2.0, **options) for row in zip(*wide, strict=True)])
    leaves = [tensor for tensor in given if tensor.requires_grad]
    wanted = [w for w, tensor in zip(wide, given, strict=True) if tensor.requires_grad]
    wanted = torch.autograd.grad(expected.sum(), wanted)
    bound = 1e-12 if dtype == torch.float64 else 1e-6

    def check(losses: Tensor, leaves: list[Tensor]) -> None:
        assert losses.dtype == dtype
        torch.testing.assert_close(losses.double(), expected.detach(), rtol=0, atol=bound)
        gradients = torch.autograd.grad(losses.sum(), leaves)
        for gradient, its in zip(gradients, wanted, strict=True):
            error = (gradient.double() - its).abs().max() / its.abs().max()
            assert error <= 10 * bound

    x, y, weights = given
    check(spearman_loss(x, y, 2.0, weights=weights, reduction="none", **options), leaves)
    module = SpearmanLoss(temperature=0.5, reduction="none", **options)
    flat = [tensor.flatten() for tensor in given]
    offsets = torch.arange(0, 93, 23)
    check(module(flat[0], flat[1], weights=flat[2], offsets=offsets), leaves)
    # In columns, the last of which is masked, whatever there is.
    columns = [torch.cat([tensor.detach().T, torch.full((1, 4), nan)]) for tensor in given]
    columns = [
        column.to(dtype).requires_grad_(tensor.requires_grad)
        for column, tensor in zip(columns, given, strict=True)
    ]
    mask = torch.ones(24, 4, dtype=torch.bool)
    mask[-1] = False
    losses = spearman_loss(
        columns[0],
        columns[1],
        torch.tensor(2.0),
        weights=columns[2],
        mask=mask,
        dim=0,
        reduction="none",
        **options,
    )
    torch.testing.assert_close(losses.double(), expected.detach(), rtol=0, atol=bound)
    gradients = torch.autograd.grad(losses.sum(), [c for c in columns if c.requires_grad])
    for gradient, its in zip(gradients, wanted, strict=True):
        assert (gradient[-1] == 0).all()
        assert (gradient[:-1].T - its).abs().max() / its.abs().max() <= 10 * bound


@both_target_ranks
@every_method
def test_equal_weights_change_nothing_and_whole_ones_are_repetitions(
    method: Any, target_ranks: Any
) -> None:
    for dtype, bound in ((torch.float64, 1e-14), (torch.float32, 3e-7)):
        x, y, _ = lists(dtype=dtype)
        times = torch.randint(0, 4, (23,))
        for options in ({}, {"scale": "std"}, {"offsets": torch.tensor([0, 40, 92])}):
            options |= {"method": method, "target_ranks": target_ranks, "reduction": "none"}
            p, t = (x.flatten(), y.flatten()) if "offsets" in options else (x, y)
            without = spearman_loss(p, t, 2.0, **options)
            for weight in (1.0, 3.7e-20, 3.7e20):
                loss = spearman_loss(p, t, 2.0, weights=torch.full_like(p, weight), **options)
                torch.testing.assert_close(loss, without, rtol=0, atol=bound)
        options = {"method": method, "target_ranks": target_ranks, "reduction": "none"}
        repeated = spearman_loss(
            x.repeat_interleave(times, -1), y.repeat_interleave(times, -1), **options
        )
        weighted = spearman_loss(x, y, weights=times.to(dtype).expand(4, 23), **options)
        torch.testing.assert_close(weighted, repeated, rtol=0, atol=bound)


def test_as_the_strength_grows_it_is_the_correlation_of_weighted_ranks() -> None:
    x, y, weights = (tensor[0] for tensor in lists())
    times = torch.randint(1, 5, (23,))
    loss = spearman_loss(x, y, 1e9, weights=times.double())
    rho = scipy.stats.spearmanr(*(side.repeat_interleave(times).numpy() for side in (x, y)))
    assert 1 - loss.item() == pytest.approx(rho.statistic, abs=1e-12)
    a, b = hard_rank(x, weights), hard_rank(y, weights)
    rho = torch.cov(torch.stack([a, b]), aweights=weights)
    expected = 1 - rho[0, 1] / (rho[0, 0] * rho[1, 1]).sqrt()
    torch.testing.assert_close(spearman_loss(x, y, 1e9, weights=weights), expected)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.uint64], ids=str)
def test_targets_of_integers_are_compared_as_they_are(dtype: torch.dtype) -> None:
    x, _, weights = lists()
    integers = torch.randint(0, 2 if dtype == torch.bool else 7, (4, 23))
    targets = integers.to(dtype)
    if dtype in (torch.int64, torch.uint64):
        targets = (integers + 2**60).to(dtype)
    expected = spearman_loss(x, integers.double(), weights=weights)
    torch.testing.assert_close(spearman_loss(x, targets, weights=weights), expected)


@both_target_ranks
@pytest.mark.parametrize("width", [1e-3, 1e-5, 1e-9, 1e-30, 1e-250])
@every_method
def test_narrow_lists_have_a_loss_to_many_digits(
    method: Any, width: float, target_ranks: Any
) -> None:
    """That of the limit, which the operator without weights has exactly."""
    x, y, _ = lists(200)
    x, y = width * x, width * y
    times = torch.randint(1, 4, (200,))
    options = {"method": method, "target_ranks": target_ranks, "reduction": "none"}
    sides = [side.repeat_interleave(times, -1).requires_grad_() for side in (x, y)]
    sides[1].requires_grad_(target_ranks == "soft")
    expected = spearman_loss(*sides, **options)
    x.requires_grad_()
    loss = spearman_loss(x, y, weights=times.double().expand(4, 200), **options)
    bound = 1e-7 if method == "laplace" else 1e-9
    torch.testing.assert_close(loss, expected, rtol=0, atol=bound)
    (gradient,) = torch.autograd.grad(loss.sum(), x)
    (wanted,) = torch.autograd.grad(expected.sum(), sides[0])
    item = torch.arange(200).repeat_interleave(times).expand(4, -1)
    wanted = torch.zeros_like(x).scatter_add(-1, item, wanted)
    assert (gradient - wanted).abs().max() <= 10 * bound * wanted.abs().max()


@both_target_ranks
@every_method
def test_derivatives_are_right_to_the_second_order(method: Any, target_ranks: Any) -> None:
    x, y, weights = (torch.randn(3, 2, 6, dtype=torch.float64)).abs()
    strength = torch.tensor(1.3, dtype=torch.float64)
    leaves = [tensor.clone().requires_grad_() for tensor in (x, weights, strength)]
    if target_ranks == "soft":
        leaves.append(y.clone().requires_grad_())

    def loss(x: Tensor, weights: Tensor, strength: Tensor, targets: Tensor = y) -> Tensor:
        return spearman_loss(
            x,
            targets,
            strength,
            weights=weights,
            method=method,
            scale="std",
            target_ranks=target_ranks,
            reduction="none",
        )

    assert torch.autograd.gradcheck(loss, leaves)
    assert torch.autograd.gradgradcheck(loss, leaves)


@both_target_ranks
def test_vmap_and_compiled_graphs_give_the_same(target_ranks: Any) -> None:
    x, y, weights = lists()

    def loss(x: Tensor, y: Tensor, weights: Tensor) -> Tensor:
        return spearman_loss(x, y, 2.0, weights=weights, target_ranks=target_ranks)

    expected = torch.stack([loss(*row) for row in zip(x, y, weights, strict=True)])
    torch.testing.assert_close(torch.vmap(loss)(x, y, weights), expected)
    inputs = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(inputs, y, weights), inputs)
    mapped = torch.vmap(torch.func.grad(loss))(x, y, weights)
    torch.testing.assert_close(mapped / 4, gradient)
    _, tangent = torch.func.jvp(lambda x: loss(x, y, weights), (x,), (x,))
    torch.testing.assert_close(tangent, (gradient * x).sum())
    graph = torch.compile(loss, fullgraph=True, dynamic=True, backend="aot_eager")
    for some in (23, 11):
        parts = [tensor[:, :some] for tensor in (x, y, weights)]
        torch.testing.assert_close(graph(*parts), loss(*parts))
    # What offsets add is in the capture; test_ragged.py asks AOTAutograd about them.
    ragged = torch.compile(spearman_loss, fullgraph=True, dynamic=True, backend="eager")
    flat = [tensor.flatten() for tensor in (x, y)]
    for offsets in (torch.tensor([0, 9, 92]), torch.tensor([0, 0, 41, 92])):
        given = {"weights": weights.flatten(), "offsets": offsets, "target_ranks": target_ranks}
        torch.testing.assert_close(ragged(*flat, **given), spearman_loss(*flat, **given))


@both_target_ranks
@pytest.mark.parametrize("ragged", [False, True], ids=["", "ragged"])
def test_short_and_constant_lists_are_as_without_weights(target_ranks: Any, ragged: bool) -> None:
    rows: list[tuple[list[float], list[float], list[float]]] = [
        ([0.1, 0.7, 0.5], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ([0.1, 0.1, 0.2], [1.0, 2.0, 3.0], [1.0, 2.0, 0.0]),
        ([0.1, 0.4, 0.2], [1.0, 2.0, 2.0], [0.0, 2.0, 3.0]),
        ([0.1, 0.4, 0.2], [1.0, 2.0, 3.0], [0.0, 2.0, 0.0]),
        ([0.1, 0.4, 0.2], [1.0, 2.0, 3.0], [0.0, 0.0, 0.0]),
        ([-inf, -inf, 0.2], [1.0, 2.0, 3.0], [1.0, 2.0, 0.0]),
        ([0.1, nan, 0.2], [1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
        ([0.1, 0.4, 0.2], [1.0, nan, 3.0], [1.0, 2.0, 3.0]),
        ([0.1, 0.4, 0.2], [1.0, 2.0, 3.0], [1.0, nan, 3.0]),
    ]
    x, y, weights = (torch.tensor(side) for side in zip(*rows, strict=True))
    options: dict[str, Any] = {"target_ranks": target_ranks, "reduction": "none"}
    x.requires_grad_()
    y.requires_grad_(target_ranks == "soft")
    given = {"weights": weights}
    losses = spearman_loss(x, y, **given, **options)
    if ragged:
        given = {"weights": weights.flatten(), "offsets": torch.arange(0, 28, 3)}
        losses = spearman_loss(x.flatten(), y.flatten(), **given, **options)
    assert 0 < losses[0] < 1
    assert losses[1:6].tolist() == [1, 1, 0, 0, 1]
    assert losses[6:].isnan().all()
    gradients = torch.autograd.grad(losses.sum(), [z for z in (x, y) if z.requires_grad])
    for gradient in gradients:
        assert (gradient[0] != 0).all()
        assert (gradient[1:6] == 0).all()
        assert gradient[6:].isnan().all()
    parts = (x[:6], y[:6]) if not ragged else (x[:6].flatten(), y[:6].flatten())
    given = {"weights": weights[:6].reshape(parts[0].shape)}
    if ragged:
        given["offsets"] = torch.arange(0, 19, 3)
    mean = spearman_loss(*parts, **given, target_ranks=target_ranks)
    torch.testing.assert_close(mean, losses[:6].mean())
    for nothing in (torch.randn(0), torch.randn(2, 0)):
        assert spearman_loss(nothing, nothing, weights=nothing, reduction="sum") == 0


def test_infinities_are_the_ends_of_a_list() -> None:
    x = torch.tensor([0.3, -inf, 0.1, inf, inf], dtype=torch.float64, requires_grad=True)
    y, weights = torch.tensor([3.0, 1.0, 2.0, 4.0, 5.0]), torch.rand(5, dtype=torch.float64)
    loss = spearman_loss(x, y, weights=weights)
    loss.backward()
    far = torch.tensor([0.3, -1e4, 0.1, 1e4, 1e4], dtype=torch.float64, requires_grad=True)
    expected = by_definition(far, y.double(), weights)
    expected.backward()
    torch.testing.assert_close(loss, expected)
    assert x.grad is not None
    assert far.grad is not None
    torch.testing.assert_close(x.grad[[0, 2]], far.grad[[0, 2]])
    assert (x.grad[[1, 3, 4]] == 0).all()


def test_half_precisions_are_of_their_dtype() -> None:
    x, y, weights = (tensor.bfloat16() for tensor in lists())
    loss = spearman_loss(x, y, weights=weights)
    assert loss.dtype == torch.bfloat16
    assert loss == spearman_loss(x.float(), y, weights=weights).bfloat16()
    mixed = spearman_loss(x, y.double(), weights=weights, target_ranks="soft")
    assert mixed.dtype == torch.float64
    with torch.autocast("cpu"):
        assert spearman_loss(x, y, weights=weights).dtype == torch.float32


def test_nested_tensors_have_nested_weights() -> None:
    parts = [[torch.randn(n) for n in (3, 7, 5)] for _ in range(3)]
    parts[2] = [part.abs() for part in parts[2]]
    x, y, weights = (torch.nested.nested_tensor(part, layout=torch.jagged) for part in parts)
    weights = torch.nested.nested_tensor_from_jagged(weights.values(), x.offsets())
    y = torch.nested.nested_tensor_from_jagged(y.values(), x.offsets())
    losses = spearman_loss(x, y, weights=weights, reduction="none")
    expected = [spearman_loss(p, t, weights=w) for p, t, w in zip(*parts, strict=True)]
    torch.testing.assert_close(losses, torch.stack(expected))


def test_errors_name_the_argument_and_what_to_do() -> None:
    x, w = torch.randn(3, 4), torch.ones(3, 4)
    for arguments, kind, message in (
        ({"weights": [1.0]}, TypeError, "weights must be a torch.Tensor, got list"),
        ({"weights": w.long()}, TypeError, "weights must be float64, float32, bfloat16 or float16"),
        ({"weights": w[0]}, ValueError, r"weights must have the shape of predictions, \[3, 4\]"),
        ({"weights": w[0], "dim": 0}, ValueError, "weights must have the shape of predictions"),
        (
            {"weights": w, "method": "l2"},
            ValueError,
            "with weights, method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', got "
            "'l2', whose ranks have no weights",
        ),
        ({"weights": w, "offsets": torch.tensor([0, 4])}, ValueError, "with offsets, predictions"),
        ({"weights": w, "mask": w}, TypeError, "mask must be bool"),
        ({"weights": w, "mask": w[0] > 0}, ValueError, "mask must have the shape of predictions"),
        ({"weights": w, "scale": "iqr"}, ValueError, "scale must be one of None, 'std'"),
    ):
        with pytest.raises(kind, match=f"^spearman_loss: {message}"):
            spearman_loss(x, x, **arguments)
    for targets, options, kind, message in (
        (x[0], {}, ValueError, r"targets must have the shape of predictions, \[3, 4\], got \[4\]"),
        (x.cfloat(), {}, TypeError, "targets must be float64, float32, bfloat16, float16, of an"),
        (x.long(), {"target_ranks": "soft"}, ValueError, "with weights, targets of an integer dt"),
        (x.clone().requires_grad_(), {}, ValueError, "targets"),
    ):
        with pytest.raises(kind, match=f"^spearman_loss: .*{message}"):
            spearman_loss(x, targets, weights=w, **options)


def test_the_weights_of_long_lists_cost_no_table_of_pairs() -> None:
    n = 200_000
    x, y = torch.randn(2, n)
    times = torch.randint(0, 3, (n,))
    loss = spearman_loss(x, y, weights=times.float())
    repeated = spearman_loss(x.repeat_interleave(times), y.repeat_interleave(times))
    torch.testing.assert_close(loss, repeated, rtol=0, atol=1e-6)
    for begin, end in itertools.pairwise((0, 50_000, n)):
        ragged = spearman_loss(
            x, y, weights=times.float(), offsets=torch.tensor([0, 50_000, n]), reduction="none"
        )
        alone = spearman_loss(x[begin:end], y[begin:end], weights=times[begin:end].float())
        torch.testing.assert_close(ragged[0 if begin == 0 else 1], alone, rtol=0, atol=1e-6)
