"""Lists of any lengths one behind the other are what the same lists are one by one."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend

import rank_relax

Function = Callable[..., Tensor]

FUNCTIONS: dict[str, Function] = {
    "soft_rank": rank_relax.soft_rank,
    "soft_rank, counts": functools.partial(rank_relax.soft_rank, normalize=False),
    "soft_rank, descending, in units": functools.partial(
        rank_relax.soft_rank, descending=True, scale="std"
    ),
    "soft_rank, l2": functools.partial(rank_relax.soft_rank, method="l2"),
    "soft_rank, cauchy, learnt": lambda x, **options: rank_relax.soft_rank(
        x, torch.tensor(0.7, dtype=torch.double), method="cauchy", **options
    ),
    "soft_sort": rank_relax.soft_sort,
    "soft_sort, descending, kl": functools.partial(
        rank_relax.soft_sort, descending=True, method="kl"
    ),
    "soft_sort, in units": functools.partial(rank_relax.soft_sort, scale="std"),
    "soft_topk": functools.partial(rank_relax.soft_topk, k=torch.tensor(2)),
    "soft_topk, in units": functools.partial(
        rank_relax.soft_topk, k=torch.tensor(1.5), scale="std", largest=False
    ),
    "soft_quantile": functools.partial(rank_relax.soft_quantile, q=0.3),
    "soft_quantile, several": functools.partial(
        rank_relax.soft_quantile, q=torch.tensor([0.0, 0.5, 0.9], dtype=torch.double)
    ),
    "spearman_loss": lambda x, **options: rank_relax.spearman_loss(
        x, targets_of(x), reduction="none", **options
    ),
    "spearman_loss, in units": lambda x, **options: rank_relax.spearman_loss(
        x, targets_of(x), reduction="none", scale="std", **options
    ),
    "spearman_loss, soft": lambda x, **options: rank_relax.spearman_loss(
        x, targets_of(x).to(x.dtype), reduction="none", target_ranks="soft", **options
    ),
    "spearman_loss, soft integers": lambda x, **options: rank_relax.spearman_loss(
        x, targets_of(x), reduction="none", target_ranks="soft", **options
    ),
}

# Runs of one length, which have rows of their own, and others between; and a few, gradients of
# which are soon checked.
LENGTHS = {
    "many": [*[5] * 40, 0, 1, 1, 2, 90, 7, 3, *[16] * 33, 64, 0, 33, 12, 12, 6],
    "few": [3, 1, 5, 2],
}


def targets_of(x: Tensor) -> Tensor:
    """Integers with ties, the same for an item wherever it lies."""
    return (x.detach() * 3).round().long()


def offsets_of(lengths: list[int]) -> Tensor:
    return torch.tensor([0, *itertools.accumulate(lengths)])


def one_by_one(case: str, x: Tensor, offsets: Tensor, mask: Tensor | None) -> Tensor:
    """The function of each list alone."""
    is_quantile = case.startswith("soft_quantile")
    results = []
    for begin, end in itertools.pairwise(offsets.tolist()):
        part = x[begin:end]
        kept = None if mask is None else mask[begin:end]
        if end == begin and is_quantile:  # no items, of which there is no quantile
            part, kept = x.new_zeros(1), torch.zeros(1, dtype=torch.bool)
        results.append(FUNCTIONS[case](part, mask=kept))
    if not is_quantile and results[0].dim() == 1:
        return torch.cat(results)
    return torch.stack(results, -1)


of_every_function = pytest.mark.parametrize("case", FUNCTIONS)


# Rows of another length may be summed in another order.
TOLERANCES = {torch.float64: 1e-11, torch.float32: 3e-5, torch.bfloat16: 2e-2}


@of_every_function
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_lists_are_as_they_are_alone(case: str, masked: bool, subtests: pytest.Subtests) -> None:
    offsets = offsets_of(LENGTHS["many"])
    for dtype, tolerance in TOLERANCES.items():
        x = torch.randn(int(offsets[-1])).to(dtype)
        mask = torch.rand(x.shape) < 0.7 if masked else None
        with subtests.test(dtype=dtype):
            found = FUNCTIONS[case](x, mask=mask, offsets=offsets)
            expected = one_by_one(case, x, offsets, mask)
            assert found.dtype == expected.dtype
            close = {"rtol": tolerance, "atol": tolerance}
            torch.testing.assert_close(found, expected, **close, equal_nan=True)


@of_every_function
def test_few_lists_are_as_they_are_alone(case: str, subtests: pytest.Subtests) -> None:
    for lengths in ([4, 4, 4], [7], [0, 0], [0, 3, 0]):
        offsets = offsets_of(lengths)
        x = torch.randn(int(offsets[-1]), dtype=torch.double)
        with subtests.test(lengths=lengths):
            found = FUNCTIONS[case](x, offsets=offsets)
            expected = one_by_one(case, x, offsets, None)
            torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11, equal_nan=True)


@of_every_function
def test_gradients_are_those_of_each_list(case: str) -> None:
    offsets = offsets_of(LENGTHS["many"])
    x = torch.randn(int(offsets[-1]), dtype=torch.double, requires_grad=True)
    found = FUNCTIONS[case](x, offsets=offsets)
    weights = torch.randn_like(found)
    (gradient,) = torch.autograd.grad((found * weights).nansum(), x)
    expected = one_by_one(case, x, offsets, None)
    (of_each,) = torch.autograd.grad((expected * weights).nansum(), x)
    torch.testing.assert_close(gradient, of_each, rtol=1e-9, atol=1e-10)


@of_every_function
def test_derivatives_of_second_order_and_forward(case: str) -> None:
    offsets = offsets_of(LENGTHS["few"])
    x = torch.randn(int(offsets[-1]), dtype=torch.double, requires_grad=True)
    fixed = targets_of(x)

    def function(x: Tensor) -> Tensor:
        assert torch.equal(targets_of(x), fixed)  # which a small step does not change
        return FUNCTIONS[case](x, offsets=offsets).nan_to_num()

    torch.autograd.gradcheck(function, x, check_forward_ad=True)
    torch.autograd.gradgradcheck(function, x)


@of_every_function
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_one_graph_serves_all_lengths(case: str, masked: bool) -> None:
    torch._dynamo.reset()
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(
        lambda x, mask, offsets: FUNCTIONS[case](x, mask=mask, offsets=offsets).nan_to_num(),
        fullgraph=True,
        dynamic=True,
        backend=counter,
    )
    graphs = 0
    for lengths in ([3, 9, 0, 5], [40, 2, 2], [1, 1, 30, 7, 7]):
        offsets = offsets_of(lengths)
        x = torch.randn(int(offsets[-1]), requires_grad=True)
        mask = torch.rand(x.shape) < 0.7 if masked else None
        found, eager = (
            compiled(x, mask, offsets),
            FUNCTIONS[case](x, mask=mask, offsets=offsets).nan_to_num(),
        )
        torch.testing.assert_close(found, eager)
        (gradient,) = torch.autograd.grad((found * found).sum(), x)
        (of_eager,) = torch.autograd.grad((eager * eager).sum(), x)
        torch.testing.assert_close(gradient, of_eager)
        graphs = graphs or counter.frame_count
    assert counter.frame_count == graphs


@of_every_function
def test_samples_of_vmap_share_their_lists(case: str) -> None:
    offsets = offsets_of(LENGTHS["few"])
    x = torch.randn(3, int(offsets[-1]), dtype=torch.double)
    found = torch.vmap(lambda x: FUNCTIONS[case](x, offsets=offsets))(x)
    expected = torch.stack([FUNCTIONS[case](sample, offsets=offsets) for sample in x])
    torch.testing.assert_close(found, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("outer", "inner"),
    [*itertools.product(["jacrev", "jacfwd"], repeat=2)],
)
def test_transforms_within_transforms_may_take_offsets(outer: str, inner: str) -> None:
    """Which are then wrapped themselves."""
    offsets = offsets_of(LENGTHS["few"])
    x = torch.randn(int(offsets[-1]), dtype=torch.double)

    def function(x: Tensor, offsets: Tensor) -> Tensor:
        return (rank_relax.soft_rank(x, 2.0, offsets=offsets) ** 2).sum()

    found = getattr(torch.func, outer)(getattr(torch.func, inner)(function))(x, offsets)
    closed = torch.autograd.functional.hessian(lambda x: function(x, offsets), x)
    torch.testing.assert_close(found, closed)


def test_each_list_has_a_k_of_its_own() -> None:
    offsets = offsets_of([3, 5, 2])
    x, k = torch.randn(10, dtype=torch.double), torch.tensor([1.0, 4.5, 2.0])
    found = rank_relax.soft_topk(x, k, 3.0, offsets=offsets)
    torch.testing.assert_close(rank_relax._ragged.RaggedLists(offsets, 10).sum(found), k.double())
    for place, (begin, end) in enumerate(itertools.pairwise(offsets.tolist())):
        alone = rank_relax.soft_topk(x[begin:end], k[place], 3.0)
        torch.testing.assert_close(found[begin:end], alone)


def test_a_learnt_strength_has_the_gradient_of_all_lists() -> None:
    offsets = offsets_of(LENGTHS["many"])
    x = torch.randn(int(offsets[-1]), dtype=torch.double)
    strengths = [torch.tensor(2.0, dtype=torch.double, requires_grad=True) for _ in range(2)]
    weights = torch.randn_like(x)
    found = rank_relax.soft_rank(x, strengths[0], offsets=offsets)
    (found * weights).sum().backward()
    for begin, end in itertools.pairwise(offsets.tolist()):
        alone = rank_relax.soft_rank(x[begin:end], strengths[1])
        (alone * weights[begin:end]).sum().backward()
    torch.testing.assert_close(strengths[0].grad, strengths[1].grad)


def test_half_precisions_are_ranked_in_float32_under_autocast() -> None:
    offsets = offsets_of([3, 5, 2])
    x = torch.randn(10).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = rank_relax.soft_rank(x, offsets=offsets)
        expected = torch.cat([rank_relax.soft_rank(part) for part in x.split([3, 5, 2])])
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("offsets", "error", "message"),
    [
        ([0, 4, 10], TypeError, "soft_rank: offsets must be a torch.Tensor, got list"),
        (torch.tensor([0.0, 10.0]), TypeError, "soft_rank: offsets must be int64, got float32"),
        (torch.tensor([0]), ValueError, r"soft_rank: offsets must be \[L \+ 1\]"),
        (torch.tensor([[0, 10]]), ValueError, r"soft_rank: offsets must be \[L \+ 1\]"),
        (torch.tensor([1, 10]), ValueError, "must rise from 0 .* 10, got 1 at place 0"),
        (torch.tensor([0, 7, 4, 10]), ValueError, "must rise from 0 .* 10, got 4 at place 2"),
        (torch.tensor([0, 12, 10]), ValueError, "must rise from 0 .* 10, got 12 at place 1"),
        (torch.tensor([0, 4, 9]), ValueError, "must rise from 0 .* 10, got 9 at place 2"),
    ],
    ids=["list", "floats", "one", "rows", "begin", "fall", "beyond", "short"],
)
def test_offsets_that_are_none_are_refused(
    offsets: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        rank_relax.soft_rank(torch.randn(10), offsets=offsets)


def test_what_has_no_ragged_form_is_refused() -> None:
    offsets = torch.tensor([0, 4, 10])
    with pytest.raises(ValueError, match=r"soft_sort: with offsets, input must be \[N\]"):
        rank_relax.soft_sort(torch.randn(2, 5), offsets=offsets)
    with pytest.raises(ValueError, match="soft_topk: k must be one number or have the batch"):
        rank_relax.soft_topk(torch.randn(10), torch.ones(3), offsets=offsets)
    with pytest.raises(ValueError, match="spearman_loss: targets must have the shape"):
        rank_relax.spearman_loss(torch.randn(10), torch.ones(9), offsets=offsets)
    with pytest.raises(ValueError, match="targets of an integer dtype are ranked softly"):
        rank_relax.spearman_loss(
            torch.randn(10), torch.arange(10), scale="std", target_ranks="soft", offsets=offsets
        )
    with pytest.raises(ValueError, match="soft_rank: mask must have the shape of input"):
        rank_relax.soft_rank(torch.randn(10), mask=torch.ones(9).bool(), offsets=offsets)


@pytest.mark.parametrize(
    "module",
    [
        rank_relax.SoftRank(temperature=0.5),
        rank_relax.SoftSort(temperature=0.5),
        rank_relax.SoftTopK(2, temperature=0.5),
        rank_relax.SoftQuantile(0.5, temperature=0.5),
    ],
    ids=lambda module: type(module).__name__,
)
def test_modules_take_offsets(module: torch.nn.Module) -> None:
    offsets = offsets_of([3, 5, 2])
    x = torch.randn(10)
    alone = [module(part).reshape(-1) for part in x.split([3, 5, 2])]
    torch.testing.assert_close(module(x, offsets=offsets), torch.cat(alone))


def test_the_loss_is_a_mean_over_lists() -> None:
    offsets = offsets_of([3, 5, 2])
    x, y = torch.randn(10), torch.randn(10)
    loss = rank_relax.SpearmanLoss(5.0)
    alone = [loss(p, t) for p, t in zip(x.split([3, 5, 2]), y.split([3, 5, 2]), strict=True)]
    torch.testing.assert_close(loss(x, y, offsets=offsets), torch.stack(alone).mean())


def test_offsets_come_from_lengths_and_ids() -> None:
    lengths = torch.tensor([3, 0, 2], dtype=torch.int32)
    assert rank_relax.offsets_from_lengths(lengths).tolist() == [0, 3, 3, 5]
    ids = torch.tensor([7, 2, 7, 7, 2], dtype=torch.uint8)
    order, offsets = rank_relax.sort_by_ids(ids)
    assert offsets.tolist() == [0, 2, 5]
    assert order.tolist() == [1, 4, 0, 2, 3]
    assert rank_relax.offsets_from_ids(ids[order]).equal(offsets)
    with pytest.raises(ValueError, match="equal ids must stand together"):
        rank_relax.offsets_from_ids(ids)
    with pytest.raises(TypeError, match="lengths must be of an integer dtype, got float32"):
        rank_relax.offsets_from_lengths(torch.ones(2))
    with pytest.raises(ValueError, match=r"ids must have one dimension.* got shape \[0\]"):
        rank_relax.sort_by_ids(torch.ones(0).long())


def nested(values: Tensor, offsets: Tensor) -> Tensor:
    return torch.nested.nested_tensor_from_jagged(values, offsets)


def test_nested_tensors_are_lists() -> None:
    offsets = offsets_of([3, 1, 6])
    x = torch.randn(10, requires_grad=True)
    y, mask = torch.randn(10), torch.rand(10) < 0.7
    lists, kept = nested(x, offsets), nested(mask, offsets)
    for function in (
        functools.partial(rank_relax.soft_rank, descending=True),
        rank_relax.soft_sort,
        functools.partial(rank_relax.soft_topk, k=1),
    ):
        found = function(lists, mask=kept)
        assert found.shape == lists.shape
        expected = function(x, mask=mask, offsets=offsets)
        torch.testing.assert_close(found.values(), expected)
        (gradient,) = torch.autograd.grad((found.values() ** 2).sum(), x)
        torch.testing.assert_close(gradient, torch.autograd.grad((expected**2).sum(), x)[0])
    medians = rank_relax.soft_quantile(lists, 0.5)
    torch.testing.assert_close(medians, rank_relax.soft_quantile(x, 0.5, offsets=offsets))
    for loss in (rank_relax.spearman_loss, rank_relax.ndcg_loss, rank_relax.kendall_loss):
        labels = (y > 0).float()
        found = loss(lists, nested(labels, offsets.clone()), mask=kept)
        torch.testing.assert_close(found, loss(x, labels, mask=mask, offsets=offsets))


def test_nested_tensors_of_another_kind_are_refused() -> None:
    offsets = offsets_of([3, 1, 6])
    lists = nested(torch.randn(10), offsets)
    with pytest.raises(ValueError, match="offsets must be None for nested tensors"):
        rank_relax.soft_rank(lists, offsets=offsets)
    with pytest.raises(TypeError, match="mask must be a nested tensor as input is"):
        rank_relax.soft_rank(lists, mask=torch.ones(10).bool())
    with pytest.raises(ValueError, match="labels must have the lists of scores"):
        rank_relax.ndcg_loss(lists, nested(torch.ones(10), offsets_of([3, 2, 5])))
    with pytest.raises(ValueError, match=r"input must be a nested tensor \[L, \*\]"):
        rank_relax.soft_sort(nested(torch.randn(10, 2), offsets))
