"""Hard ranks and Spearman's correlation: of every dtype, against counts of pairs and SciPy."""

import itertools
import math
from contextlib import suppress

import numpy as np
import pytest
import scipy.stats
import torch
import torch._lazy.ts_backend
from layouts import LAYOUTS
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

import rank_relax
from rank_relax import hard_rank, spearman_correlation

inf, nan = torch.inf, torch.nan
FLOATS = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
INTEGERS = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool),
)
DTYPES = pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS], ids=str)
# Lists whose ends are those of the dtype, with ties, shorter and longer than what is counted.
SIZES = (1, 2, 5, 64, 65, 200)


def counted(items: list[float], counts: list[bool]) -> list[float]:
    """Of the items that count and are not NaN, smaller ones and half of the other equal ones."""
    others = [y for y, c in zip(items, counts, strict=True) if c and y == y]
    ranks = []
    for x, c in zip(items, counts, strict=True):
        rank = sum(y < x for y in others) + (sum(y == x for y in others) - 1) / 2
        ranks.append(0.0 if not c else rank if x == x else nan)
    return ranks


def items_of(dtype: torch.dtype, size: int) -> Tensor:
    """Random items with ties, and the ends of the dtype among them."""
    if dtype == torch.bool:
        return torch.rand(size) > 0.5
    if dtype in FLOATS:
        items = torch.randn(size, dtype=torch.float64).mul(3).round(decimals=1).tolist()
        ends = [inf, -0.0, -inf, 0.0, nan, inf, torch.finfo(dtype).max, torch.finfo(dtype).tiny]
    else:
        items = torch.randint(0, 100, (size,)).tolist()
        info = torch.iinfo(dtype)
        ends = [info.max, info.min, info.max - 1, info.min + 1, info.max, info.max - 2]
    for place, end in enumerate(ends[:size]):
        items[place * max(size // len(ends), 1) % size] = end
    return torch.tensor(items, dtype=dtype)


@pytest.fixture(params=["cpu", "elsewhere"])
def place(request: pytest.FixtureRequest) -> str:
    """The CPU, and a device that there is no kernel for: one of torch's own operators."""
    if request.param == "cpu":
        return "cpu"
    with suppress(RuntimeError):  # another test may have started it
        torch._lazy.ts_backend.init()
    return "lazy"


@DTYPES
def test_ranks_are_counts_of_smaller_items_and_half_of_the_equal_ones(
    dtype: torch.dtype, place: str
) -> None:
    for size in SIZES[: 6 if place == "cpu" else 4]:
        items = items_of(dtype, size)
        for mask in (None, torch.rand(size) > 0.3):
            counts = [True] * size if mask is None else mask.tolist()
            expected = torch.tensor(counted(items.tolist(), counts), dtype=torch.float64)
            there = None if mask is None else mask.to(place)
            ranks = hard_rank(items.to(place), normalize=False, mask=there).cpu()
            result = dtype if dtype in FLOATS else torch.float32
            assert ranks.dtype == result
            assert torch.equal(ranks.isnan(), expected.isnan())
            assert torch.equal(ranks.nan_to_num(), expected.to(result).nan_to_num())


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.int64], ids=str)
def test_ranks_are_those_of_scipy_for_long_lists(dtype: torch.dtype) -> None:
    for size in (2047, 2048, 300_000):
        items = (torch.randn(2, size, dtype=torch.float64) * 1e4).to(dtype)
        ranks = 1 + hard_rank(items.to(dtype), normalize=False)
        expected = scipy.stats.rankdata(items.numpy(), method="average", axis=-1)
        np.testing.assert_array_equal(ranks.numpy(), expected.astype(ranks.numpy().dtype))


def test_a_rank_between_0_and_1_is_the_count_over_the_others(place: str) -> None:
    x = torch.tensor([[5.0, 1.0, 5.0, 9.0], [nan, 2.0, 2.0, 2.0], [-inf, inf, 0.0, -0.0]])
    x = x.to(place)
    third = 1 / 3
    ascending = [[0.5, 0.0, 0.5, 1.0], [nan, 0.5, 0.5, 0.5], [0.0, 1.0, 0.5, 0.5]]
    descending = [[1 - r for r in row] for row in ascending]
    for given, expected in ((False, ascending), (True, descending)):
        actual = hard_rank(x, descending=given).cpu()
        torch.testing.assert_close(actual, torch.tensor(expected), equal_nan=True, rtol=0, atol=0)
    thirds = hard_rank(torch.tensor([3, 1, 7, 9], dtype=torch.int8).to(place)).cpu()
    assert thirds.tolist() == torch.tensor([third, 0, 2 * third, 1]).tolist()


def test_it_is_the_limit_of_the_soft_rank() -> None:
    x = torch.randint(0, 9, (4, 3, 30)).double()
    mask = torch.rand(x.shape) > 0.2
    for options in ({}, {"dim": 0}, {"dim": 1, "descending": True}, {"normalize": False}):
        for given in (None, mask):
            soft = rank_relax.soft_rank(x, 1e4, mask=given, **options)
            torch.testing.assert_close(hard_rank(x, mask=given, **options), soft)


def test_short_empty_and_masked_lists_are_those_of_the_soft_rank(place: str) -> None:
    assert hard_rank(torch.tensor([7], device=place)).tolist() == [0.0]
    assert hard_rank(torch.empty(2, 0, device=place)).shape == (2, 0)
    assert hard_rank(torch.empty(0, 4, dtype=torch.int64, device=place)).shape == (0, 4)
    mask = torch.tensor([[False, False], [True, False]], device=place)
    assert hard_rank(torch.tensor([[nan, 1.0], [nan, 1.0]], device=place), mask=mask)[
        0
    ].tolist() == [0, 0]
    assert math.isnan(hard_rank(torch.tensor([[nan, 1.0]], device=place), mask=mask[1:])[0, 0])


def test_half_precision_counts_can_be_had_in_another_dtype() -> None:
    items = torch.linspace(-1, 1, 70000).half()
    ranks = hard_rank(items, normalize=False, dtype=torch.float64)
    assert torch.equal(ranks, hard_rank(items.double(), normalize=False))
    assert hard_rank(items, normalize=False).isinf().any()


def test_integers_get_the_default_dtype() -> None:
    try:
        torch.set_default_dtype(torch.float64)
        assert hard_rank(torch.tensor([1, 2, 3])).dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    halves = torch.tensor([1.0, 2.0]).bfloat16()
    assert torch.ops.rank_relax.hard_rank(halves, dtype=torch.float64).dtype == torch.float64
    with torch.autocast("cpu"):
        assert hard_rank(halves).dtype == torch.float32
        # Compared in its own dtype: in bfloat16 these would be equal.
        assert hard_rank(torch.tensor([1.0, 1.0001])).tolist() == [0, 1]


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "negated view"])
def test_strides_do_not_change_a_rank_and_tensors_without_data_get_the_same_shape(
    layout: str,
) -> None:
    for dtype in (torch.float16, torch.float64, torch.int32, torch.bool):
        view = LAYOUTS[layout](items_of(dtype, 60).view(3, 4, 5))
        mask = LAYOUTS[layout]((torch.arange(60) % 3 > 0).view(3, 4, 5))
        ranks = hard_rank(view, mask=mask)
        dense = hard_rank(view.clone(memory_format=torch.contiguous_format), mask=mask.clone())
        assert torch.equal(ranks.nan_to_num(9), dense.nan_to_num(9))
        assert ranks.is_contiguous()
        assert ranks.untyped_storage().data_ptr() != view.untyped_storage().data_ptr()
        empty = hard_rank(view.to("meta"), mask=mask.to("meta"))
        assert (empty.shape, empty.stride(), empty.dtype) == (
            (ranks.shape, ranks.stride(), ranks.dtype)
        )
        with FakeTensorMode() as mode:
            fake = hard_rank(mode.from_tensor(view), mask=mode.from_tensor(mask))
        assert (fake.shape, fake.stride(), fake.dtype) == (
            (ranks.shape, ranks.stride(), ranks.dtype)
        )


@DTYPES
def test_lists_one_behind_the_other_have_the_ranks_of_each(dtype: torch.dtype) -> None:
    lengths = [5, 0, 1, 40, 700]
    items = torch.cat([items_of(dtype, n) for n in lengths])
    mask = torch.rand(items.shape) > 0.2
    offsets = rank_relax.offsets_from_lengths(torch.tensor(lengths))
    for options in ({}, {"descending": True, "normalize": False}, {"dtype": torch.float64}):
        for own in (None, mask):
            ranks = rank_relax.hard_rank(items, mask=own, offsets=offsets, **options)
            expected = torch.cat(
                [
                    rank_relax.hard_rank(
                        items[i:j], mask=None if own is None else own[i:j], **options
                    )
                    for i, j in itertools.pairwise(offsets.tolist())
                ]
            )
            torch.testing.assert_close(ranks, expected, equal_nan=True, rtol=0, atol=1e-7)
    with pytest.raises(ValueError, match="hard_rank: offsets must rise from 0 to the number of it"):
        rank_relax.hard_rank(items, offsets=torch.tensor([0, 5]))
    with pytest.raises(IndexError, match=r"got 7"):
        rank_relax.hard_rank(items, dim=7, offsets=offsets)


def test_a_nested_tensor_has_nested_ranks() -> None:
    nested = torch.nested.nested_tensor([torch.randn(3), torch.randn(5)], layout=torch.jagged)
    ranks = rank_relax.hard_rank(nested)
    for own, list in zip(ranks.unbind(), nested.unbind(), strict=True):
        torch.testing.assert_close(own, rank_relax.hard_rank(list))


def test_the_result_requires_no_gradient() -> None:
    x = torch.randn(3, 5, requires_grad=True)
    assert not hard_rank(x).requires_grad
    assert not spearman_correlation(x, x).requires_grad
    # What is beside it keeps its own.
    (hard_rank(x) * x).sum().backward()
    assert torch.equal(x.grad, hard_rank(x))
    value, tangent = torch.func.jvp(lambda v: hard_rank(v) * v, (x.detach(),), (torch.ones(3, 5),))
    assert torch.equal(tangent, hard_rank(x))
    assert torch.equal(value, hard_rank(x) * x)


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.uint16], ids=str)
def test_the_dispatcher_takes_it(dtype: torch.dtype, masked: bool) -> None:
    items = items_of(dtype, 30).view(2, 3, 5)
    if dtype.is_floating_point:
        items = items.nan_to_num()  # which opcheck takes for a difference
    mask = torch.arange(30).view(2, 3, 5) % 3 > 0 if masked else None
    torch.library.opcheck(torch.ops.rank_relax.hard_rank.default, (items, True, False, mask))
    arguments = (items, mask, torch.float64)
    torch.library.opcheck(torch.ops.rank_relax._centered_hard_rank.default, arguments)
    if dtype.is_floating_point:
        torch.library.opcheck(
            torch.ops.rank_relax.hard_rank.default, (items.requires_grad_(), False, True, mask)
        )


def test_it_compiles_and_is_batched_as_one() -> None:
    def of(x: Tensor, t: Tensor) -> Tensor:
        return hard_rank(x, dim=0, descending=True) + spearman_correlation(x, t, dim=0)

    graph = torch.compile(of, fullgraph=True, backend="aot_eager")
    for shape in ((8, 3), (8, 3), (6, 5)):
        x, t = torch.randn(shape), torch.randint(0, 4, shape)
        assert torch.equal(graph(x, t), of(x, t))
    x, t = torch.randn(5, 8, 3), torch.randint(0, 4, (8, 5, 3))
    batched = torch.vmap(of, in_dims=(0, 1))(x, t)
    assert torch.equal(batched, torch.stack([of(x[i], t[:, i]) for i in range(5)]))


def test_threads_do_not_change_a_rank(keep_threads: None) -> None:
    x = torch.randint(0, 50, (64, 500))
    torch.set_num_threads(1)
    alone = hard_rank(x)
    torch.set_num_threads(3)
    assert torch.equal(hard_rank(x), alone)


@pytest.mark.parametrize(
    ("error", "call", "message"),
    [
        (TypeError, lambda: hard_rank([1, 2]), "input must be a torch.Tensor, got list"),
        (TypeError, lambda: hard_rank(torch.tensor([1j])), "bool, got complex64"),
        (ValueError, lambda: hard_rank(torch.tensor(1)), "at least one dimension"),
        (
            ValueError,
            lambda: hard_rank(torch.ones(2, 3), mask=torch.ones(3).bool()),
            r"mask must have the shape of input, \[2, 3\], got \[3\]",
        ),
        (
            TypeError,
            lambda: hard_rank(torch.ones(3), mask=torch.ones(3)),
            "mask must be bool, true where an item counts, got float32",
        ),
        (
            ValueError,
            lambda: spearman_correlation(torch.ones(2, 3), torch.ones(3)),
            r"targets must have the shape of predictions, \[2, 3\], got \[3\]",
        ),
        (
            TypeError,
            lambda: torch.ops.rank_relax.hard_rank(torch.ones(3), dtype=torch.int64),
            "dtype must be float64, float32, bfloat16 or float16, got int64",
        ),
    ],
)
def test_errors_say_what_to_do(error: type[Exception], call: object, message: str) -> None:
    with pytest.raises(error, match=message):
        call()  # type: ignore[operator]


# Spearman's correlation


@pytest.mark.parametrize("target_dtype", [torch.float64, torch.float16, torch.int64], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8], ids=str)
def test_the_correlation_is_that_of_scipy(dtype: torch.dtype, target_dtype: torch.dtype) -> None:
    for size in (2, 3, 40, 3000):
        p = (torch.randn(3, size) * 20 + 60).to(dtype)
        t = (torch.randn(3, size) * 20).to(target_dtype)
        p[:, 0] += 1
        t[:, -1] += 1
        if target_dtype == torch.int64:
            t = t + (2**62 - 1)
        actual = spearman_correlation(p, t)
        promoted = torch.promote_types(dtype, target_dtype)
        assert actual.dtype == (promoted if promoted.is_floating_point else torch.float32)
        for row in range(3):
            near = t[row] - t[row].min() if target_dtype == torch.int64 else t[row]
            sides = p[row].double().numpy(), near.double().numpy()
            if min(np.ptp(side) for side in sides) == 0:
                assert actual[row] == 0
                continue
            expected = scipy.stats.spearmanr(*sides).statistic
            assert actual[row].double() == pytest.approx(
                expected, abs=torch.finfo(actual.dtype).eps
            )


def test_the_correlation_is_one_minus_the_loss_where_there_is_none() -> None:
    p = torch.tensor([[1.0, 1.0, 1.0], [1.0, 2.0, 3.0], [nan, 1.0, 2.0], [1.0, inf, inf]])
    t = torch.tensor([[3, 1, 2], [5, 5, 5], [1, 2, 3], [0, 7, 7]])
    correlation = spearman_correlation(p, t)
    assert correlation[:2].tolist() == [0, 0]
    assert math.isnan(correlation[2])
    assert correlation[3] == 1
    loss = rank_relax.spearman_loss(p, t, 100.0, reduction="none", target_ranks="hard")
    torch.testing.assert_close(1 - loss, correlation, equal_nan=True)
    for size in (0, 1):
        short = torch.ones(2, size)
        assert spearman_correlation(short, short).tolist() == [1, 1]
        assert rank_relax.spearman_loss(short, short) == 0


def test_the_correlation_takes_masks_dimensions_and_reductions() -> None:
    p, t = torch.randn(6, 4), torch.randint(0, 3, (6, 4))
    mask = torch.rand(6, 4) > 0.2
    mask[:2] = True
    rows = [spearman_correlation(p[mask[:, i], i], t[mask[:, i], i]) for i in range(4)]
    each = spearman_correlation(p, t, dim=0, mask=mask)
    assert torch.equal(each, torch.stack(rows))
    assert spearman_correlation(p, t, dim=0, mask=mask, reduction="mean") == each.mean()
    assert spearman_correlation(p, t, dim=0, mask=mask, reduction="sum") == each.sum()
    hidden = torch.where(mask, p, nan)
    assert torch.equal(spearman_correlation(hidden, t, dim=0, mask=mask), each)
