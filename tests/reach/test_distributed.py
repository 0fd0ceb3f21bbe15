"""Lists that are split over processes: what they give is what the whole list gives in one."""

import contextlib
import numbers
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import oracle
import pytest
import torch
import torch.distributed as dist
from comparison import assert_within
from operators import (
    SOFT_RANK,
    SPEARMAN_LOSS,
    SPLIT_METHODS,
    Setting,
    derivative_bound,
    spearman_backward_vjp_bound,
)
from process_group import BytesSent, ProcessGroup
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

import rank_relax
from rank_relax import distributed

SIZES = (1, 2, 4)
EXAMPLE = Path(__file__).resolve().parents[2] / "docs/examples/train_distributed.py"

HAS_GLOO = dist.is_available() and dist.is_gloo_available()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_GLOO, reason="this torch was built without gloo"),
]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGroup]:
    group = ProcessGroup(tmp_path_factory.mktemp("group"), SIZES)
    yield group
    group.close()


def lengths(n: int, size: int, how: str) -> list[int]:
    """Of the parts of n items: unequal ones are 0, 1 and the rest, as far as there are so many."""
    if how == "equal":
        return [n // size + (rank < n % size) for rank in range(size)]
    return {1: [n], 2: [1, n - 1], 4: [0, n // 3, n - n // 3 - 1, 1]}[size]


def split(values: Tensor | None, size: int, how: str) -> list[Tensor | None]:
    if values is None:
        return [None] * size
    return [part.clone() for part in values.split(lengths(values.shape[-1], size, how), -1)]


def joined(answers: list[Any]) -> Any:
    """The parts put together, tuples of parts one by one."""
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    if isinstance(answers[0], tuple):
        return tuple(joined(list(parts)) for parts in zip(*answers, strict=True))
    return torch.cat(answers, -1)


# What the processes are asked


def ranks_of(
    rank: int,
    group: dist.ProcessGroup,
    parts: list[Tensor],
    strength: float,
    method: str,
    masks: list[Tensor | None],
    options: dict[str, Any],
) -> Tensor:
    return distributed.soft_rank(
        parts[rank], strength, method=method, mask=masks[rank], group=group, **options
    )


def derivatives_of_ranks(
    rank: int,
    group: dist.ProcessGroup,
    parts: list[Tensor],
    strength: float,
    method: str,
    masks: list[Tensor | None],
    directions: list[list[Tensor]],
) -> tuple[Tensor, ...]:
    """The ranks, and for every direction the gradient along it of what came before."""
    input = parts[rank].requires_grad_()
    results = [distributed.soft_rank(input, strength, method=method, mask=masks[rank], group=group)]
    for direction in directions:
        (gradient,) = torch.autograd.grad(results[-1], input, direction[rank], create_graph=True)
        results.append(gradient)
    return tuple(result.detach() for result in results)


def loss_and_derivatives(
    rank: int,
    group: dist.ProcessGroup,
    predictions: list[Tensor],
    targets: list[Tensor],
    strength: float,
    method: str,
    masks: list[Tensor | None],
    directions: list[Tensor] | None,
) -> tuple[Tensor, ...]:
    """The losses; their gradients; and those of the first gradient along a direction."""
    p, t = predictions[rank].requires_grad_(), targets[rank].requires_grad_()
    losses = distributed.spearman_loss(
        p,
        t,
        strength,
        method=method,
        mask=masks[rank],
        reduction="none",
        target_ranks="soft",
        group=group,
    )
    gradients = torch.autograd.grad(losses.sum(), (p, t), create_graph=directions is not None)
    seconds: tuple[Tensor, ...] = ()
    if directions is not None:
        seconds = torch.autograd.grad(gradients[0], (p, t), directions[rank])
    return losses[..., None].detach(), *(x.detach() for x in (*gradients, *seconds))


def counts_and_derivatives(
    rank: int,
    group: dist.ProcessGroup,
    points: list[Tensor],
    values: list[Tensor],
    weights: list[Tensor],
    options: list[dict[str, Any]],
    cotangents: list[Tensor],
    directions: list[tuple[Tensor, ...]],
) -> tuple[Tensor, ...]:
    """Counts, their gradients along the cotangents, and those of these along the directions."""
    inputs = [part[rank].clone().requires_grad_() for part in (points, values, weights)]
    counts = distributed.soft_count(*inputs, 1.5, group=group, **options[rank])
    gradients = torch.autograd.grad(counts, inputs, cotangents[rank], create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, directions[rank], strict=True))
    seconds = torch.autograd.grad(along, inputs)
    return tuple(x.detach() for x in (counts, *gradients, *seconds))


class Case(NamedTuple):
    x: Tensor
    mask: Tensor | None = None
    strength: float = 1.0


def ask_ranks(
    processes: ProcessGroup,
    case: Case,
    size: int,
    how: str,
    method: str = "sigmoid",
    **options: Any,
) -> Tensor:
    arguments = (case.strength, method, split(case.mask, size, how), options)
    answer: Tensor = joined(processes.ask(size, ranks_of, split(case.x, size, how), *arguments))
    return answer


def ask_losses(
    processes: ProcessGroup,
    predictions: Tensor,
    targets: Tensor,
    setting: Setting,
    size: int,
    how: str,
    direction: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """One loss a list, after a check that every process has the same; and the derivatives."""
    strength, method, mask = setting
    directions = None if direction is None else split(direction, size, how)
    answers = processes.ask(
        size,
        loss_and_derivatives,
        split(predictions, size, how),
        split(targets, size, how),
        strength,
        method,
        split(mask, size, how),
        directions,
    )
    losses, *derivatives = joined(answers)
    first = losses[..., :1]
    assert torch.equal(losses.nan_to_num(9), first.expand(losses.shape).nan_to_num(9))
    return first[..., 0], *derivatives


SPREADS = {"narrow": 1e-4, "one box": 3.0, "a few boxes": 30.0, "many boxes": 300.0}


@pytest.mark.parametrize(
    ("dtype", "masked"),
    [(torch.float32, False), (torch.float64, True)],
    ids=["float32", "float64, masked"],
)
@pytest.mark.parametrize("method", SPLIT_METHODS)
@pytest.mark.parametrize("how", ["equal", "unequal"])
@pytest.mark.parametrize("size", SIZES)
def test_ranks_and_their_first_two_derivatives_are_those_of_the_whole_list(
    processes: ProcessGroup, size: int, how: str, method: str, dtype: torch.dtype, masked: bool
) -> None:
    n = 410  # so that the list of many boxes is gathered, and the others are not
    spreads = torch.tensor(list(SPREADS.values()), dtype=torch.float64)
    x = (spreads[:, None] * torch.rand(len(spreads), n, dtype=torch.float64) - 1.5).to(dtype)
    mask = torch.rand(x.shape) < 0.8 if masked else None
    setting = Setting(1.0, method, mask)
    # Far from 0 beside their spread: they must be centred over all processes.
    directions = [1e5 + torch.randn(x.shape, dtype=torch.float64).to(dtype) for _ in range(2)]
    answers = joined(
        processes.ask(
            size,
            derivatives_of_ranks,
            split(x, size, how),
            1.0,
            method,
            split(mask, size, how),
            [split(direction, size, how) for direction in directions],
        )
    )
    for order, answer in enumerate(answers):
        assert answer.dtype == dtype
        expected = oracle.soft_rank_derivative(directions[:order], x, *setting)
        if order == 0:
            expected = oracle.soft_rank(x, *setting)
        bound = derivative_bound((*directions[:order], x), setting, dtype)
        assert_within(answer, expected, bound)


@pytest.mark.parametrize("how", ["equal", "unequal"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("method", SPLIT_METHODS)
def test_the_loss_and_its_first_two_derivatives_are_those_of_the_whole_list(
    processes: ProcessGroup, method: str, dtype: torch.dtype, size: int, how: str
) -> None:
    """The gradients times the number of processes, the second ones too."""
    shape = (2, 3, 40)
    for strength, mask in ((1.5, None), (8.0, torch.rand(shape) < 0.8)):
        setting = Setting(strength, method, mask)
        p, t = tensors = tuple(torch.randn(shape, dtype=torch.float64).to(dtype) for _ in "pt")
        direction = torch.randn(shape, dtype=torch.float64).to(dtype)
        loss, *gradients = ask_losses(processes, p, t, setting, size, how, direction)
        assert_within(
            loss,
            oracle.spearman_loss(p, t, *setting),
            SPEARMAN_LOSS.error_bound(tensors, setting, dtype),
        )
        doubles = [tensor.double().requires_grad_() for tensor in tensors]
        exact = oracle.spearman_loss(*doubles, *setting)
        firsts = torch.autograd.grad(exact.sum(), doubles, create_graph=True)
        bounds = SPEARMAN_LOSS.vjp_error_bound(torch.ones_like(loss), tensors, setting, dtype)
        for actual, first, bound in zip(gradients[:2], firsts, bounds, strict=True):
            assert_within(actual, size * first, size * bound)
        seconds = torch.autograd.grad(firsts[0], doubles, direction.double())
        ones = torch.ones(shape[:-1], dtype=dtype)
        _, *bounds = spearman_backward_vjp_bound(direction, (ones, *tensors), setting, dtype)
        for actual, second, bound in zip(gradients[2:], seconds, bounds, strict=True):
            rounding = torch.finfo(dtype).eps * second.abs()  # of the result to its dtype
            assert_within(actual, size * second, size * (bound + rounding))


def test_a_third_derivative_is_that_of_the_whole_list(processes: ProcessGroup) -> None:
    x, *directions = (torch.randn(2, 9, dtype=torch.float64) for _ in range(4))
    *_, third = joined(
        processes.ask(
            4,
            derivatives_of_ranks,
            split(x, 4, "unequal"),
            1.0,
            "sigmoid",
            [None] * 4,
            [split(direction, 4, "unequal") for direction in directions],
        )
    )
    expected = oracle.soft_rank_derivative(directions, x)
    assert_within(third, expected, derivative_bound((*directions, x), Setting(), torch.float64))


def third_derivative_of_loss(
    rank: int,
    group: dist.ProcessGroup,
    predictions: list[Tensor],
    targets: list[Tensor],
    directions: list[list[Tensor]],
) -> Tensor:
    p = predictions[rank].requires_grad_()
    result = distributed.spearman_loss(p, targets[rank], target_ranks="soft", group=group)
    (result,) = torch.autograd.grad(result, p, create_graph=True)
    for direction in directions:
        (result,) = torch.autograd.grad(result, p, direction[rank], create_graph=True)
    return result.detach()


def test_a_third_derivative_of_the_loss_is_that_of_the_whole_list(processes: ProcessGroup) -> None:
    p, t, *directions = (torch.randn(2, 9, dtype=torch.float64) for _ in range(4))
    parts = [split(direction, 2, "unequal") for direction in directions]
    lists = split(p, 2, "unequal"), split(t, 2, "unequal")
    actual = joined(processes.ask(2, third_derivative_of_loss, *lists, parts))
    p.requires_grad_()
    expected = oracle.spearman_loss(p, t).mean()
    (expected,) = torch.autograd.grad(expected, p, create_graph=True)
    for direction in directions:
        (expected,) = torch.autograd.grad(expected, p, direction, create_graph=True)
    torch.testing.assert_close(actual, 2 * expected, rtol=1e-10, atol=1e-10)


# Lists out of the ordinary


inf, nan = torch.inf, torch.nan
UNUSUAL = {
    "no items": Case(torch.empty(2, 0)),
    "one item": Case(torch.tensor([[3.0]])),
    "one item beside masked ones": Case(
        torch.tensor([[3.0, 1.0, nan]]), torch.tensor([[False, True, False]])
    ),
    "one item, which is NaN": Case(torch.tensor([[nan], [3.0]])),
    "constant": Case(torch.full((1, 9), 1e30), None, 1e3),
    "infinities": Case(torch.tensor([[inf, 0.0, -inf, 1.0, inf, -2.0]])),
    "infinities alone": Case(torch.tensor([[inf, -inf, inf, inf]])),
    "NaN": Case(torch.tensor([[nan, 0.0, 1.0, nan, 0.5], [4.0, 3.0, 2.0, 1.0, 0.0]])),
    "NaN beside an infinity": Case(torch.tensor([[nan, 0.0, inf, 1.0, -inf, 2.0]])),
    "narrow beside an infinity": Case(
        torch.cat([torch.randn(2, 7) * 1e-12, torch.tensor([[inf], [-inf]])], -1)
    ),
    "NaN alone": Case(torch.full((2, 5), nan)),
    "masked whole": Case(torch.randn(2, 6), torch.zeros(2, 6, dtype=torch.bool)),
    "an outlier": Case(torch.cat([torch.linspace(-1, 1, 99), torch.tensor([1e9])]), None, 50.0),
    "the whole range": Case(torch.tensor([[-3e38, 3e38, 0.0, 1.0, 2.0, -1.0]])),
    "a sharp strength": Case(torch.randn(2, 50), None, 1e30),
    "a vanishing strength": Case(torch.randn(2, 50), None, 1e-30),
    "denormals": Case(torch.tensor([1.0, 5.0, 2.0, 2.0, 7.0]) * 1e-45, None, 1e44),
    "a large offset": Case(1e6 + torch.rand(3, 200), None, 30.0),
    "narrow beside wide": Case(torch.randn(3, 60) * torch.tensor([[1e-9], [1.0], [1e9]])),
    "no lists": Case(torch.empty(0, 4)),
}


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_list_has_the_ranks_it_has_in_one_process(
    processes: ProcessGroup, name: str, size: int
) -> None:
    case = UNUSUAL[name]
    how = "equal" if case.x.shape[-1] < 4 else "unequal"
    for method in SPLIT_METHODS:
        setting = Setting(case.strength, method, case.mask)
        actual = ask_ranks(processes, case, size, how, method)
        bound = SOFT_RANK.error_bound((case.x,), setting, torch.float32)
        assert_within(actual, oracle.soft_rank(case.x, *setting), bound)


@pytest.mark.parametrize("name", UNUSUAL)
def test_an_unusual_list_has_the_loss_and_gradients_it_has_in_one_process(
    processes: ProcessGroup, name: str
) -> None:
    size, case = 4, UNUSUAL[name]
    how = "equal" if case.x.shape[-1] < 4 else "unequal"
    targets = torch.randn(case.x.shape)
    setting = Setting(case.strength, "sigmoid", case.mask)
    p, t = case.x.clone().requires_grad_(), targets.clone().requires_grad_()
    exact = torch.ops.rank_relax.spearman_loss(p, t, *setting, "soft")
    gradients = torch.autograd.grad(exact.sum(), (p, t))
    loss, *actual = ask_losses(processes, case.x, targets, setting, size, how)
    bound = SPEARMAN_LOSS.error_bound((case.x, targets), setting, torch.float32)
    assert_within(loss, exact, 2 * torch.as_tensor(bound))  # both have an error
    for gradient, reference in zip(actual, gradients, strict=True):
        scale = reference.nan_to_num(0).abs().amax(-1, keepdim=True) if reference.numel() else 0.0
        assert_within(gradient, size * reference, size * 1e-5 * scale)


def scaled_ranks_and_losses(
    rank: int,
    group: dist.ProcessGroup,
    parts: list[Tensor],
    targets: list[Tensor],
    masks: list[Tensor | None],
    method: str,
) -> tuple[Tensor, ...]:
    """Ranks, and gradients of both functions, of first and second order; the strength's apart."""
    x, t = parts[rank].requires_grad_(), targets[rank].requires_grad_()
    options = {"method": method, "mask": masks[rank], "scale": "std", "group": group}
    ranks = distributed.soft_rank(x, 1.3, **options)
    (of_ranks,) = torch.autograd.grad(ranks.pow(3).sum(), x)
    alpha = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    loss = distributed.spearman_loss(x, t, alpha, reduction="sum", target_ranks="soft", **options)
    size = dist.get_world_size(group)
    of_loss = [g / size for g in torch.autograd.grad(loss, (x, t), create_graph=True)]
    second = torch.autograd.grad(sum(g.square().sum() for g in of_loss), x)
    return tuple(result.detach() for result in (ranks, of_ranks, *of_loss, *second))


@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("method", SPLIT_METHODS)
def test_the_standard_deviation_is_that_of_the_whole_list(
    processes: ProcessGroup, method: str, size: int
) -> None:
    x, t = (torch.randn(2, 3, 40, dtype=torch.float64) * 30 + 500).unbind()
    x[1, 5], x[1, 6], x[2] = torch.inf, -torch.inf, 7.0
    mask = torch.rand(3, 40) > 0.2
    parts = [split(tensor, size, "unequal") for tensor in (x, t, mask)]
    actual = joined(processes.ask(size, scaled_ranks_and_losses, *parts, method))
    x.requires_grad_(), t.requires_grad_()
    options: Any = {"method": method, "mask": mask, "scale": "std"}
    ranks = rank_relax.soft_rank(x, 1.3, **options)
    loss = rank_relax.spearman_loss(x, t, 1.3, reduction="sum", target_ranks="soft", **options)
    of_loss = torch.autograd.grad(loss, (x, t), create_graph=True)
    expected = (
        ranks,
        *torch.autograd.grad(ranks.pow(3).sum(), x),
        *of_loss,
        *torch.autograd.grad(sum(g.square().sum() for g in of_loss), x),
    )
    for one, other in zip(actual, expected, strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-9, atol=1e-11)


def gradients_with_a_mask_that_changes(
    rank: int, group: dist.ProcessGroup, parts: list[Tensor], masks: list[Tensor], change: bool
) -> tuple[Tensor, ...]:
    """Of the ranks and of the loss, the mask refilled between forward and backward or not."""
    x = parts[rank].requires_grad_()
    gradients = []
    for function in (distributed.soft_rank, distributed.spearman_loss):
        mask = masks[rank].clone()
        arguments = (x,) if function is distributed.soft_rank else (x, x.detach() ** 3)
        output = function(*arguments, mask=mask, group=group)
        if change:
            mask.logical_not_()
        gradients += torch.autograd.grad(output.sin().sum(), x)
    return tuple(gradients)


def test_a_mask_that_changes_after_the_forward_leaves_the_gradient(processes: ProcessGroup) -> None:
    x, mask = torch.randn(2, 30), torch.rand(2, 30) < 0.6
    parts = split(x, 2, "unequal"), split(mask, 2, "unequal")
    kept, changed = (
        joined(processes.ask(2, gradients_with_a_mask_that_changes, *parts, change))
        for change in (False, True)
    )
    for expected, actual in zip(kept, changed, strict=True):
        assert torch.count_nonzero(expected) == mask.sum()
        assert torch.equal(actual, expected)


def test_equal_values_get_equal_ranks_wherever_they_are(processes: ProcessGroup) -> None:
    x = torch.randn(50).repeat(4)
    for strength in (1e-3, 1.0, 30.0, 1e4):
        ranks = ask_ranks(processes, Case(x, None, strength), 4, "equal")
        assert all(torch.equal(part, ranks[:50]) for part in ranks.split(50))


def test_a_correlation_of_narrow_lists_keeps_its_relative_precision(
    processes: ProcessGroup,
) -> None:
    p, t = torch.rand(2, 3, 30, dtype=torch.float64).unbind()
    for spread in (1e-4, 1e-8, 1e-30, 1e-250):
        loss, *_ = ask_losses(processes, p * spread, t * spread, Setting(), 4, "unequal")
        correlations = [torch.corrcoef(torch.stack(pair))[0, 1] for pair in zip(p, t, strict=True)]
        # The ranks are linear but for a term of the square of the spread.
        assert_within(loss, 1 - torch.stack(correlations), 1e-12 + spread**2)


def test_a_correlation_near_one_keeps_the_relative_precision_of_the_loss(
    processes: ProcessGroup,
) -> None:
    p, noise = torch.randn(2, 3, 30, dtype=torch.float64).unbind()
    for scale in (0.0, 1e-3, 1e-6):
        sides = (p, p + scale * noise)
        loss, *gradients = ask_losses(processes, *sides, Setting(), 4, "unequal")
        leaves = [side.clone().requires_grad_() for side in sides]
        expected = torch.ops.rank_relax.spearman_loss(*leaves, 1.0, "sigmoid", None, "soft")
        # Differences by the scale, of ranks that are rounded by 1e-16.
        relative = 0 if scale == 0 else 1e-14 / scale
        assert_within(loss, expected.detach(), 2 * relative * expected.detach().max())
        for actual, gradient in zip(
            gradients, torch.autograd.grad(expected.sum(), leaves), strict=True
        ):
            # Of the sum of the equal losses of all processes; a difference of two terms up to 1,
            # of which one is rounded before it is added.
            bound = relative * gradient.abs().max() + 2**-53
            assert_within(actual / 4, gradient, bound)


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_is_computed_in_float32(processes: ProcessGroup, half: torch.dtype) -> None:
    x = torch.randn(3, 60).to(half)
    ranks = ask_ranks(processes, Case(x), 4, "unequal")
    assert ranks.dtype == half
    assert torch.equal(ranks, ask_ranks(processes, Case(x.float()), 4, "unequal").to(half))


def test_options_of_the_order_and_the_counts_are_those_of_one_process(
    processes: ProcessGroup,
) -> None:
    case = Case(torch.tensor([[0.5, nan, 3.0, -1.0, 2.0], [1.0, 2.0, 2.0, 7.0, 0.0]]))
    for options in ({"descending": True}, {"normalize": False}):
        expected = rank_relax.soft_rank(case.x, **options)
        actual = ask_ranks(processes, case, 4, "unequal", **options)
        torch.testing.assert_close(actual, expected, equal_nan=True, rtol=1e-6, atol=1e-6)


TARGETS: dict[str, Callable[[Tensor], Tensor]] = {
    "float64": lambda t: t,
    "bfloat16": lambda t: t.bfloat16(),
    "ties and infinities": lambda t: t.round().masked_fill(t > 1.5, inf),
    "NaN": lambda t: torch.where(torch.arange(30) == 4, nan, t),
    "constant": lambda t: t * 0,
    "bool": lambda t: t > 0,
    "uint16": lambda t: (t * 100 + 2**15).long().to(torch.uint16),
    "int64 beyond float64": lambda t: (t * 10).long() + 2**62,
}


@pytest.mark.parametrize("kind", TARGETS)
@pytest.mark.parametrize("size", [2, 4])
def test_hard_ranks_of_targets_are_those_of_the_whole_list(
    processes: ProcessGroup, size: int, kind: str
) -> None:
    p = torch.randn(2, 30, dtype=torch.float64)
    t = TARGETS[kind](torch.randn(2, 30, dtype=torch.float64))
    direction = torch.randn(2, 30, dtype=torch.float64)
    sent = t.long() if t.dtype == torch.uint16 else t  # which torch cannot unpickle
    for mask in (None, torch.rand(2, 30) < 0.8):
        for scale in (None, "std"):
            options: dict[str, Any] = {"scale": scale, "reduction": "none"}
            lists = [split(tensor, size, "unequal") for tensor in (p, sent, direction)]
            masks = [None] * size if mask is None else split(mask, size, "unequal")
            answers = processes.ask(
                size, hard_loss_and_derivatives, *lists, t.dtype, masks, options
            )
            leaf = p.clone().requires_grad_()
            loss = rank_relax.spearman_loss(leaf, t, mask=mask, **options)
            (first,) = torch.autograd.grad(loss.sum(), leaf, create_graph=True)
            (second,) = torch.autograd.grad(first, leaf, direction)
            for answer in answers:
                torch.testing.assert_close(answer[0][..., 0], loss.detach(), equal_nan=True)
            for actual, expected in zip(joined(answers)[1:], (first, second), strict=True):
                torch.testing.assert_close(
                    actual, size * expected.detach(), rtol=1e-9, atol=1e-11, equal_nan=True
                )


def hard_loss_and_derivatives(
    rank: int,
    group: dist.ProcessGroup,
    predictions: list[Tensor],
    targets: list[Tensor],
    directions: list[Tensor],
    dtype: torch.dtype,
    masks: list[Tensor | None],
    options: dict[str, Any],
) -> tuple[Tensor, ...]:
    p = predictions[rank].requires_grad_()
    t = targets[rank].to(dtype)
    loss = distributed.spearman_loss(p, t, mask=masks[rank], group=group, **options)
    (first,) = torch.autograd.grad(loss.sum(), p, create_graph=True)
    (second,) = torch.autograd.grad(first, p, directions[rank])
    return loss[..., None].detach(), first.detach(), second


def plain_loss(
    rank: int,
    group: dist.ProcessGroup,
    predictions: list[Tensor],
    targets: list[Tensor],
    options: dict[str, Any],
) -> Tensor:
    return distributed.SpearmanLoss(group=group, **options)(predictions[rank], targets[rank])


# A strength that is a tensor


def loss_of_strength(
    rank: int, group: dist.ProcessGroup, p: list[Tensor], t: list[Tensor], strength: float
) -> tuple[Tensor, Tensor]:
    learnt = torch.tensor(strength, dtype=torch.float64, requires_grad=True)
    loss = distributed.spearman_loss(p[rank], t[rank], learnt, group=group)
    loss.backward()
    return loss.detach(), learnt.grad


def test_a_strength_that_is_learnt_gets_the_gradient_of_one_process_from_all(
    processes: ProcessGroup,
) -> None:
    p, t = 100 + torch.randn(2, 3, 50, dtype=torch.float64)
    strength = torch.tensor(1.3, dtype=torch.float64, requires_grad=True)
    exact = rank_relax.spearman_loss(p, t, strength)
    exact.backward()
    for size in SIZES:
        parts = split(p, size, "unequal"), split(t, size, "unequal")
        answers = processes.ask(size, loss_of_strength, *parts, 1.3)
        torch.testing.assert_close(answers[0][0], exact.detach())
        averaged = sum(gradient for _, gradient in answers) / size
        torch.testing.assert_close(averaged, strength.grad, rtol=1e-9, atol=1e-12)


# Training


def network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1)).double()


def train(model: nn.Module, loss: nn.Module, features: Tensor, targets: Tensor) -> list[Tensor]:
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(10):
        optimizer.zero_grad()
        loss(model(features).squeeze(-1), targets).backward()
        optimizer.step()
    return [parameter.detach() for parameter in model.parameters()]


def train_in_a_group(
    rank: int, group: dist.ProcessGroup, features: list[Tensor], targets: list[Tensor]
) -> list[Tensor]:
    model = DistributedDataParallel(network(), process_group=group)
    loss = distributed.SpearmanLoss(4.0, group=group)
    return train(model, loss, features[rank], targets[rank])


@pytest.mark.parametrize("how", ["equal", "unequal"])
@pytest.mark.parametrize("size", SIZES)
def test_a_model_trains_as_in_one_process_that_holds_all_the_data(
    processes: ProcessGroup, size: int, how: str
) -> None:
    features = torch.randn(101, 6, dtype=torch.float64)
    targets = features.prod(-1) + torch.randn(101, dtype=torch.float64)
    expected = train(network(), rank_relax.SpearmanLoss(4.0), features, targets)
    start = [parameter.detach() for parameter in network().parameters()]
    assert max((a - b).abs().max() for a, b in zip(expected, start, strict=True)) > 0.05
    parts = [part.clone() for part in features.split(lengths(101, size, how))]
    for answer in processes.ask(size, train_in_a_group, parts, split(targets, size, how)):
        for actual, exact in zip(answer, expected, strict=True):
            torch.testing.assert_close(actual, exact, rtol=0, atol=1e-6)


def run_example(processes: int, *arguments: str) -> subprocess.Popen[str]:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    return subprocess.Popen(
        [sys.executable, *torchrun, f"--nproc-per-node={processes}", str(EXAMPLE), *arguments],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def end(run: subprocess.Popen[str]) -> None:
    """Ends torchrun and the processes that it started, unless they have ended."""
    if run.poll() is None:
        run.terminate()  # torchrun ends its workers, which have sessions of their own
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.communicate(timeout=40)  # it gives them 30 seconds
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, signal.SIGKILL)
    run.wait()


def test_the_example_reaches_the_same_correlation_on_one_process_and_on_four() -> None:
    runs = {processes: run_example(processes, "--steps=60") for processes in (1, 4)}
    try:
        outputs = {processes: run.communicate(timeout=150)[0] for processes, run in runs.items()}
    finally:
        for run in runs.values():
            end(run)
    reached = {}
    for processes, output in outputs.items():
        assert runs[processes].returncode == 0, output
        assert f"processes: {processes}\n" in output
        found = re.search(r"held-out Spearman: (\S+) before training, (\S+) after", output)
        assert found is not None, output
        before, reached[processes] = map(float, found.groups())
        assert reached[processes] > before + 0.2
    # Sums in another order: roundings of float32 in sixty steps.
    assert reached[4] == pytest.approx(reached[1], abs=1e-5)


# Traffic


def bytes_sent(
    rank: int, group: dist.ProcessGroup, n: int, spread: float, function: str
) -> tuple[int, int]:
    """In forward and in backward, for lists of n items of this spread."""
    generator = torch.Generator().manual_seed(rank)
    length = lengths(n, dist.get_world_size(group), "equal")[rank]
    x, t = spread * torch.rand(2, length, generator=generator)
    x[:2] = t[:2] = torch.tensor([0.0, spread])
    x.requires_grad_()
    with BytesSent() as forward:
        if function == "soft_rank":
            output = distributed.soft_rank(x, group=group).sum()
        else:
            output = distributed.spearman_loss(x, t, target_ranks="soft", group=group)
    with BytesSent() as backward:
        output.backward()
    return forward.bytes, backward.bytes


@pytest.mark.parametrize("spread", [0.01, 4.0, 100.0, 999.0])
def test_traffic_does_not_grow_with_the_number_of_items(
    processes: ProcessGroup, spread: float
) -> None:
    sent = {
        n: processes.ask(2, bytes_sent, n, spread, "spearman_loss") for n in (10**4, 10**5, 10**7)
    }
    assert sent[10**4] == sent[10**5] == sent[10**7]


def test_a_thousand_boxes_take_some_64_kilobytes(processes: ProcessGroup) -> None:
    few = 2000  # of what is agreed on beforehand
    for forward, backward in processes.ask(2, bytes_sent, 10**4, 999.0, "soft_rank"):
        assert 64_000 <= forward <= 64_000 + few
        assert 128_000 <= backward <= 128_000 + few


def test_a_list_with_more_boxes_than_items_is_gathered(processes: ProcessGroup) -> None:
    for forward, _ in processes.ask(2, bytes_sent, 1000, 1e6, "soft_rank"):
        assert 500 * 4 <= forward <= 500 * 4 + 2000


# Errors


def call(
    rank: int, group: dist.ProcessGroup, arguments: list[dict[str, Any]], function: str
) -> Tensor:
    result: Tensor = getattr(distributed, function)(group=group, **arguments[rank])
    return result


X = torch.tensor([[1.0, 2.0, 3.0]])
DIFFERENT = {
    "method": ({"method": "sigmoid"}, {"method": "gaussian"}, "'sigmoid' on ranks 0, 1, 3; "),
    "regularization_strength": (
        {"regularization_strength": 1.0},
        {"regularization_strength": 2.0},
        "1.0 on ranks 0, 1, 3; 2.0 on rank 2",
    ),
    "the kind of regularization_strength": (
        {"regularization_strength": 1.0},
        {"regularization_strength": torch.tensor(1.0)},
        r"1.0 on ranks 0, 1, 3; 1.0 \(a tensor\) on rank 2",
    ),
    "input.device": ({}, {"input": X.to("meta")}, "cpu on ranks 0, 1, 3; meta on rank 2"),
    "input.dtype": ({}, {"input": X.double()}, "float32 on ranks 0, 1, 3; torch.float64 on rank 2"),
    "the batch shape": ({}, {"input": X[0]}, r"\[1\] on ranks 0, 1, 3; \[\] on rank 2"),
    "mask": ({}, {"mask": X > 1}, "none on ranks 0, 1, 3; a tensor on rank 2"),
    "descending": ({}, {"descending": True}, "False on ranks 0, 1, 3; True on rank 2"),
    "what requires a gradient": (
        {},
        {"input": X.clone().requires_grad_()},
        "nothing on ranks 0, 1, 3; input on rank 2",
    ),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_arguments_that_differ_raise_on_every_process(processes: ProcessGroup, name: str) -> None:
    usual, other, message = DIFFERENT[name]
    argument = name.removeprefix("the kind of ")
    arguments = [{"input": X} | (other if rank == 2 else usual) for rank in range(4)]
    answers = processes.ask(4, call, arguments, "soft_rank")
    assert [type(answer) for answer in answers] == [ValueError] * 4
    for answer in answers:
        with pytest.raises(
            ValueError, match=f"soft_rank: {argument} must be the same on every process.*{message}"
        ):
            raise answer


def test_a_long_batch_shape_is_told_apart_too(processes: ProcessGroup) -> None:
    shapes = [[1] * 60 + [rank] + [1] * 2 for rank in (0, 1)]
    answers = processes.ask(
        2, call, [{"input": torch.empty(shape)} for shape in shapes], "soft_rank"
    )
    for answer in answers:
        assert isinstance(answer, ValueError)
        assert "the batch shape must be the same" in str(answer)


INVALID: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "dtype": (
        {"predictions": torch.tensor([1, 2])},
        TypeError,
        "predictions must be float64, float32, bfloat16 or float16, got int64",
    ),
    "shape": ({"targets": X[0]}, ValueError, "targets must have the shape of predictions"),
    "no tensor": (
        {"predictions": [1.0]},
        TypeError,
        "predictions must be a torch.Tensor, got list",
    ),
    "strength": (
        {"regularization_strength": -1.0},
        ValueError,
        "regularization_strength must be positive and finite, got -1",
    ),
    "tensor strength": (
        {"regularization_strength": torch.tensor(nan)},
        ValueError,
        "regularization_strength must be positive and finite, got nan",
    ),
    "integer strength": (
        {"regularization_strength": 10**400},
        ValueError,
        "regularization_strength must be positive and finite, got inf",
    ),
    "strength without a value": (
        {"regularization_strength": torch.tensor(1.0, device="meta")},
        ValueError,
        "regularization_strength is on meta and has no value; give it one with to_empty",
    ),
    "mask": ({"mask": X}, TypeError, "mask must be bool"),
    "sparse": (
        {"predictions": X.to_sparse()},
        TypeError,
        r"predictions must be a dense tensor, got layout Sparse; convert it with to_dense\(\)",
    ),
    "sparse targets": (
        {"targets": X.long().to_sparse()},
        TypeError,
        "targets must be a dense tensor, got layout Sparse",
    ),
    "sparse mask": (
        {"mask": (X > 1).to_sparse()},
        TypeError,
        "mask must be a dense tensor, got layout Sparse",
    ),
    "many characters": (
        {"method": "\U0001d70c\N{GREEK SMALL LETTER RHO}\ud800\n" * 1000},
        ValueError,
        "method must be one of 'sigmoid', 'gaussian', got '\U0001d70c\N{GREEK SMALL LETTER RHO}",
    ),
    "method": (
        {"method": "l2"},
        ValueError,
        "method must be one of 'sigmoid', 'gaussian', got 'l2'",
    ),
    "reduction": ({"reduction": "max"}, ValueError, "reduction must be one of"),
    "target ranks": ({"target_ranks": "max"}, ValueError, "target_ranks must be one of"),
    "learnt targets": (
        {"targets": X.clone().requires_grad_()},
        ValueError,
        "targets have no gradient with target_ranks='hard'",
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_argument_that_makes_no_sense_on_one_process_raises_on_all(
    processes: ProcessGroup, name: str
) -> None:
    wrong, error, message = INVALID[name]
    arguments = [{"predictions": X, "targets": X} | (wrong if rank == 1 else {}) for rank in (0, 1)]
    answers = processes.ask(2, call, arguments, "spearman_loss")
    with pytest.raises(error, match=f"spearman_loss: {message}"):
        raise answers[1]
    with pytest.raises(
        ValueError, match=f"rank 1 of the group raised {error.__name__}: .*{message}"
    ):
        raise answers[0]


@numbers.Real.register
class Unreadable:
    def __float__(self) -> float:
        raise OSError("the file is gone")


def test_an_error_of_any_other_type_on_one_process_raises_on_all(processes: ProcessGroup) -> None:
    arguments = [{"input": X}, {"input": X, "regularization_strength": Unreadable()}]
    answers = processes.ask(2, call, arguments, "soft_rank")
    assert [type(answer) for answer in answers] == [ValueError, OSError]
    assert "rank 1 of the group raised OSError: the file is gone" in str(answers[0])


def test_a_process_outside_of_the_group_is_told(processes: ProcessGroup) -> None:
    for answer in processes.ask(4, call_in_a_smaller_group)[1:]:
        with pytest.raises(ValueError, match="group must hold this process, rank"):
            raise answer


def call_in_a_smaller_group(rank: int, group: dist.ProcessGroup) -> Tensor:
    return distributed.soft_rank(X, group=dist.new_group([0]))


def test_without_a_process_group_it_says_how_to_have_one() -> None:
    with pytest.raises(RuntimeError, match=r"call torch.distributed.init_process_group first"):
        distributed.soft_rank(X)


def fail(rank: int, group: dist.ProcessGroup, how: str) -> Tensor:
    """Rank 1 fails between the forward and the backward."""
    x = torch.randn(5, requires_grad=True)
    loss = distributed.spearman_loss(x, torch.randn(5), group=group)
    if rank == 1 and how == "dies":
        os._exit(1)
    if rank == 1 and how == "hangs":
        time.sleep(3600)
    loss.backward()
    return loss.detach()


@pytest.mark.parametrize("how", ["dies", "hangs"])
def test_when_a_process_fails_the_others_do_within_the_timeout(tmp_path: Path, how: str) -> None:
    processes = ProcessGroup(tmp_path, (2,), collective_seconds=5)
    try:
        # Far less than the hour that rank 1 hangs for.
        answer = processes.ask_first(2, 45, fail, how)
        with pytest.raises(RuntimeError):
            raise answer
    finally:
        processes.kill()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("method", "order", "keyed"),
    [("sigmoid", 0, False), ("sigmoid", -1, True), ("gaussian", 1, False), ("cauchy", 0, True)],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_counts_of_split_values_are_those_of_the_whole(
    processes: ProcessGroup, size: int, method: Any, order: int, keyed: bool, dtype: torch.dtype
) -> None:
    m, n = 30, 70
    points, values = torch.randn(2, m, dtype=dtype), torch.randn(2, n, dtype=dtype)
    weights, cotangent = torch.randn(2, 3, n, dtype=dtype), torch.randn(2, 3, m, dtype=dtype)
    mask = torch.rand(2, n) < 0.8
    keys = [torch.randint(4, (2, k)) if keyed else None for k in (n, m)]
    vectors = [torch.randn_like(x) for x in (points, values, weights)]
    # Each process has some of the points, the first none; the others' values lie elsewhere.
    parts = {
        name: split(tensor, size, how)
        for name, tensor, how in (
            ("points", points, "unequal"),
            ("values", values, "equal"),
            ("weights", weights, "equal"),
            ("mask", mask, "equal"),
            ("keys", keys[0], "equal"),
            ("point_keys", keys[1], "unequal"),
            ("cotangent", cotangent, "unequal"),
        )
    }
    options = [
        {
            "method": method,
            "order": order,
            **{name: parts[name][rank] for name in ("mask", "keys", "point_keys")},
        }
        for rank in range(size)
    ]
    split_vectors = [
        split(v, size, h) for v, h in zip(vectors, ("unequal", "equal", "equal"), strict=True)
    ]
    found = joined(
        processes.ask(
            size,
            counts_and_derivatives,
            parts["points"],
            parts["values"],
            parts["weights"],
            options,
            parts["cotangent"],
            list(zip(*split_vectors, strict=True)),
        )
    )
    inputs = [x.clone().requires_grad_() for x in (points, values, weights)]
    counts = rank_relax.soft_count(
        *inputs, 1.5, method=method, order=order, mask=mask, keys=keys[0], point_keys=keys[1]
    )
    gradients = torch.autograd.grad(counts, inputs, cotangent, create_graph=True)
    along = sum((g * v).sum() for g, v in zip(gradients, vectors, strict=True))
    seconds = torch.autograd.grad(along, inputs)
    expected = [x.detach() for x in (counts, *gradients, *seconds)]
    for ours, whole in zip(found, expected, strict=True):
        # Of a sum over processes that no other order of its terms has.
        bound = (1e-13 if dtype == torch.float64 else 1e-5) * float(whole.abs().max())
        assert float((ours - whole).abs().max()) <= bound


def counts_that_differ(rank: int, group: dist.ProcessGroup, options: list[dict[str, Any]]) -> None:
    distributed.soft_count(torch.zeros(2), torch.zeros(3), group=group, **options[rank])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([{}, {"order": 1}], "order"),
        ([{}, {"weights": torch.ones(3)}], "weights"),
        ([{}, {"mask": torch.ones(3, dtype=torch.bool)}], "mask"),
        ([{"keys": torch.zeros(3)}, {}], "keys and point_keys must be given both or neither"),
        ([{"weights": torch.ones(2, 3)}, {"weights": torch.ones(4, 3)}], "weights"),
        (
            [
                {"keys": torch.zeros(3), "point_keys": torch.zeros(2)},
                {"keys": torch.zeros(3).long(), "point_keys": torch.zeros(2).long()},
            ],
            "keys",
        ),
        ([{"weights": [1.0, 2.0, 3.0]}, {}], "weights must be a torch.Tensor"),
        ([{"keys": [1, 2, 3], "point_keys": [1, 2]}, {}], "must be a torch.Tensor"),
        ([{"mask": torch.ones(3)}, {}], "mask must be"),
    ],
)
def test_counts_whose_arguments_differ_raise_everywhere(
    processes: ProcessGroup, options: list[dict[str, Any]], message: str
) -> None:
    for answer in processes.ask(2, counts_that_differ, options):
        assert isinstance(answer, (ValueError, TypeError))
        assert message in str(answer)
