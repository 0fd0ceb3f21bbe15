"""The stages of a rank of a list that is split: moments of parts add up to those of the list."""

from pathlib import Path
from typing import Any

import oracle
import pytest
import torch
from comparison import assert_within
from instruction_sets import IN_USE, USABLE, start_with_instruction_set
from operators import SPLIT_METHODS, Setting, derivative_bound
from torch import Tensor

import rank_relax  # noqa: F401  (loads the operators)

operators = torch.ops.rank_relax


def derivative_of_parts(
    directions: list[Tensor], x: Tensor, setting: Setting, lengths: list[int]
) -> Tensor:
    """Every stage part by part, and sums and maxima in between, as between processes."""
    strength, method, mask = setting
    order = len(directions)
    parts = x.split(lengths, -1)
    masks = [None] * len(parts) if mask is None else mask.split(lengths, -1)
    of_parts = list(zip(*(d.double().split(lengths, -1) for d in directions), strict=True))
    along = [list(of_part) for of_part in of_parts] or [[] for _ in parts]
    summaries = [
        operators._split_rank_summary(*of_part) for of_part in zip(along, parts, masks, strict=True)
    ]
    extents = torch.stack([extent for extent, _ in summaries]).amax(0) * torch.tensor([-1.0, 1.0])
    sums = torch.stack([of_part for _, of_part in summaries]).sum(0)
    strengths = torch.full(x.shape[:-1], strength, dtype=torch.float64)
    size = operators._split_rank_sizes(extents, strengths, order, x.dtype, method).max()
    centers = sums[..., 4:] / sums[..., :1].clamp(min=1)
    whole = (extents, strengths, centers)
    moments = sum(
        operators._split_rank_moments(v, part, *whole, int(size), method, of_mask)
        for v, part, of_mask in zip(along, parts, masks, strict=True)
    )
    results = [
        operators._split_rank_derivative(v, part, *whole, sums[..., :3], moments, method, of_mask)
        for v, part, of_mask in zip(along, parts, masks, strict=True)
    ]
    return torch.cat(results, -1)


# Around the widths at which a list goes from one box to a grid, and at which one has more terms.
SPREADS = (1e-9, 0.1, 1.3, 2.9, 5.7, 6.5, 7.9, 8.0, 20.0, 70.0, 400.0)


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("method", SPLIT_METHODS)
def test_the_sums_of_parts_are_those_of_the_list(
    method: str, dtype: torch.dtype, order: int, masked: bool
) -> None:
    n = 141
    x = torch.rand(len(SPREADS), n, dtype=torch.float64)
    x[:, :2] = torch.tensor([0.0, 1.0])
    for center in (0.0, 0.3, -17.0):
        values = (torch.tensor(SPREADS)[:, None] * x + center).to(dtype)
        setting = Setting(1.0, method, torch.rand(values.shape) < 0.7 if masked else None)
        directions = [7 + torch.randn(values.shape, dtype=torch.float64) for _ in range(order)]
        actual = derivative_of_parts(directions, values, setting, [0, 1, 100, 40])
        expected = oracle.soft_rank_derivative(directions, values, *setting)
        bound = derivative_bound((*directions, values), setting, dtype)
        if order == 0:  # a centred rank is as exact, however narrow the list
            bound = bound * 2 * expected.abs().amax(-1, keepdim=True)
        assert_within(actual, expected, bound)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in USABLE if name != IN_USE])
def test_every_instruction_set_gives_the_same(name: str, tmp_path: Path) -> None:
    chosen = [
        "-m",
        "pytest",
        "-q",
        "--tb=short",
        "-p",
        "no:cacheprovider",
        "-k",
        "(sums and sigmoid and not masked) or threads",
    ]
    process = start_with_instruction_set(name, [*chosen, __file__], tmp_path)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output


# The dispatcher


def stages(method: str, mask: Tensor | None, dtype: torch.dtype) -> dict[str, tuple[Any, ...]]:
    """Arguments of the operators between the collectives, for lists that are not split at all."""
    x = torch.randn(2, 3, 7).to(dtype)
    directions = [torch.randn(2, 3, 7, dtype=torch.float64)]
    largest, sums = operators._split_rank_summary(directions, x, mask)
    extents = largest * torch.tensor([-1.0, 1.0], dtype=torch.float64)
    strengths = torch.full((2, 3), 1.5, dtype=torch.float64)
    size = int(operators._split_rank_sizes(extents, strengths, 1, dtype, method).max())
    centers = sums[..., 4:] / sums[..., :1]
    moments = operators._split_rank_moments(
        directions, x, extents, strengths, centers, size, method, mask
    )
    known = (directions, x, extents, strengths, centers)
    return {
        "_split_rank_summary": (directions, x, mask),
        "_split_rank_sizes": (extents, strengths, 1, dtype, method),
        "_split_rank_moments": (*known, size, method, mask),
        "_split_rank_derivative": (*known, sums[..., :3], moments, method, mask),
    }


STAGES = (
    "_split_rank_summary",
    "_split_rank_sizes",
    "_split_rank_moments",
    "_split_rank_derivative",
)


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("name", STAGES)
def test_opcheck_passes(name: str, dtype: torch.dtype, masked: bool) -> None:
    mask = torch.rand(2, 3, 7) < 0.7 if masked else None
    arguments = stages("gaussian", mask, dtype)[name]
    torch.library.opcheck(getattr(operators, name).default, arguments)


@pytest.mark.parametrize("name", STAGES)
def test_a_vmapped_stage_is_one_call_on_the_whole_batch(name: str) -> None:
    arguments = stages("sigmoid", torch.rand(2, 3, 7) < 0.7, torch.float32)[name]
    operator = getattr(operators, name).default
    lists = [isinstance(argument, Tensor | list) for argument in arguments]

    def call_with(*tensors: Any) -> Any:
        given = iter(tensors)
        return operator(
            *(next(given) if is_list else a for a, is_list in zip(arguments, lists, strict=True))
        )

    given = [a for a, is_list in zip(arguments, lists, strict=True) if is_list]
    torch._C._functorch._set_vmap_fallback_enabled(False)
    try:
        actual = torch.vmap(call_with)(*given)
    finally:
        torch._C._functorch._set_vmap_fallback_enabled(True)
    torch.testing.assert_close(actual, operator(*arguments), rtol=0, atol=0)


def test_moments_without_room_are_refused() -> None:
    *known, _, method, mask = stages("sigmoid", None, torch.float32)["_split_rank_moments"]
    with pytest.raises(ValueError, match=r"_split_rank_moments: .* got room for 3; ask"):
        operators._split_rank_moments(*known, 3, method, mask)


@pytest.mark.parametrize(
    ("name", "place", "wrong", "error", "message"),
    [
        ("_split_rank_summary", 1, torch.ones(2, 3, 7, dtype=torch.half), TypeError, "input"),
        ("_split_rank_summary", 0, [torch.ones(2, 3, 7)], TypeError, "directions must have dtype"),
        ("_split_rank_sizes", 2, 3, ValueError, "order must be at most 2, got 3"),
        ("_split_rank_sizes", 4, "l2", ValueError, "method must be one of 'sigmoid', 'gaussian'"),
        ("_split_rank_sizes", 3, torch.half, TypeError, "dtype must be float64 or float32"),
        (
            "_split_rank_moments",
            2,
            torch.ones(2, 3).double(),
            ValueError,
            "extents must have shape",
        ),
        ("_split_rank_moments", 4, torch.ones(2, 3, 2).double(), ValueError, "centers must have"),
        ("_split_rank_moments", 5, -1, ValueError, "size must not be negative, got -1"),
        ("_split_rank_derivative", 5, torch.ones(2, 3, 3), TypeError, "counts must have dtype"),
        (
            "_split_rank_derivative",
            6,
            torch.ones(3).double(),
            ValueError,
            "moments must have shape",
        ),
    ],
)
def test_a_stage_refuses_arguments_that_do_not_fit(
    name: str, place: int, wrong: Any, error: type[Exception], message: str
) -> None:
    arguments = list(stages("sigmoid", None, torch.float32)[name])
    arguments[place] = wrong
    with pytest.raises(error, match=f"{name}: {message}"):
        getattr(operators, name)(*arguments)


@pytest.mark.parametrize("threads", [1, 3])
def test_stages_give_the_same_bits_for_any_number_of_threads(
    keep_threads: None, threads: int
) -> None:
    x = torch.randn(300_000)

    def results() -> tuple[Tensor, ...]:
        directions = [x.double().sin()]
        largest, sums = operators._split_rank_summary(directions, x, None)
        known = (largest * torch.tensor([-1.0, 1.0]).double(), torch.tensor(20.0).double())
        size = int(operators._split_rank_sizes(*known, 1, x.dtype, "sigmoid"))
        centers = torch.zeros(1).double()
        stage = (directions, x, *known, centers)
        moments = operators._split_rank_moments(*stage, size, "sigmoid", None)
        ranked = operators._split_rank_derivative(*stage, sums[:3], moments, "sigmoid", None)
        return largest, sums, moments, ranked

    torch.set_num_threads(2)
    expected = results()
    torch.set_num_threads(threads)
    for actual, reference in zip(results(), expected, strict=True):
        assert torch.equal(actual, reference)
