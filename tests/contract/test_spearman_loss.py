"""Targets of the loss that have no gradient: integers of any size, and hard ranks."""

import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import oracle
import pytest
import scipy.stats
import torch
import torch._lazy.ts_backend
from operators import ALL_METHODS, METHODS
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

import rank_relax
from rank_relax import SpearmanLoss, hard_rank, spearman_loss

soft_spearman_loss = partial(spearman_loss, target_ranks="soft")

inf, nan = torch.inf, torch.nan
INTEGERS = (
    *(torch.int8, torch.int16, torch.int32, torch.int64),
    *(torch.uint8, torch.uint16, torch.uint32, torch.uint64),
)
# Of a loss: ranks are off by 5e-7 and 1e-13 (answers/operators.py), relative to their deviation.
ERROR = {torch.float64: 1e-12, torch.float32: 5e-6, torch.bfloat16: 8e-3}


@pytest.fixture
def elsewhere() -> str:
    """A device that there is no kernel for."""
    with suppress(RuntimeError):  # another test may have started it
        torch._lazy.ts_backend.init()
    return "lazy"


def ranks_of_integers(items: list[int], strength: float, method: str) -> Tensor:
    """Soft ranks from differences of Python's integers, which are exact."""
    d = torch.tensor(
        [[max(min(strength * (x - y), 1e30), -1e30) for y in items] for x in items],
        dtype=torch.float64,
    )
    return (oracle.cdf_derivative(d, method, 0)).sum(-1)  # less 1/2 for each


def loss_of_integers(
    predictions: Tensor, integers: list[int], strength: float, method: str
) -> Tensor:
    """The loss of one list, by sums over pairs."""
    p = oracle.derivative_sums([], predictions, strength, method)
    t = ranks_of_integers(integers, strength, method)
    return 1 - oracle.pearson(p, t, None)


def near_the_end(dtype: torch.dtype, offsets: Tensor, mask: Tensor | None = None) -> Tensor:
    """Neighbours at the upper end of a dtype, and its other end where masked."""
    info = torch.iinfo(dtype)
    kept = torch.ones_like(offsets, dtype=torch.bool) if mask is None else mask
    rows = [
        [info.max - offset if keep else info.min for offset, keep in zip(*row, strict=True)]
        for row in zip(offsets.tolist(), kept.tolist(), strict=True)
    ]
    return torch.tensor(rows, dtype=dtype)


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("dtype", INTEGERS, ids=str)
def test_integers_are_compared_exactly_whatever_their_size(
    dtype: torch.dtype, method: str, elsewhere: str
) -> None:
    offsets = torch.randint(0, 40, (3, 11))
    mask = torch.rand(3, 11) > 0.2
    for floating in (torch.float64, torch.float32, torch.bfloat16):
        p = torch.randn(3, 11).to(floating)
        for given in (None, mask):
            t = near_the_end(dtype, offsets, given)
            expected = oracle.spearman_loss(p.double(), -offsets.double(), 0.7, method, given)
            for device in ("cpu", elsewhere):
                there = None if given is None else given.to(device)
                loss = torch.ops.rank_relax.spearman_loss(
                    p.to(device), t.to(device), 0.7, method, there, "soft"
                )
                assert loss.dtype == floating
                error = (loss.cpu().double() - expected).abs().max()
                assert error <= ERROR[floating], (floating, device)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("dtype", "items"),
    [
        (torch.int64, [0, 1, 2**62, 3, 2, 2**62 + 1]),
        (torch.int64, [-(2**63), 2**63 - 1, 0, -(2**63) + 1, 2**63 - 2, 1]),
        (torch.uint64, [2**64 - 1, 2**64 - 2, 2**63, 0, 1, 2**63 - 1]),
        (torch.int64, [2**53 + 1, 2**53, 2**53 + 2, 5, 4, 2**54]),
    ],
    ids=str,
)
def test_neighbours_in_a_list_wider_than_any_float_holds_are_told_apart(
    dtype: torch.dtype, items: list[int], method: str, elsewhere: str, subtests: pytest.Subtests
) -> None:
    for strength in (1e-30, 1e-19, 1e-3, 1.0, 1e6):
        with subtests.test(strength=strength):
            check_wide_list(dtype, items, method, strength, elsewhere)


def check_wide_list(
    dtype: torch.dtype, items: list[int], method: str, strength: float, elsewhere: str
) -> None:
    p = torch.tensor([0.5, 0.1, 0.9, 0.35, 0.6, 0.2], dtype=torch.float64)
    t = torch.tensor(items, dtype=dtype)
    expected = loss_of_integers(p, items, strength, method)
    # float64 rounds the scores of a list so wide by 2^-53 of its range: at the strengths at which
    # no gap is beyond reach that is 2^-53 of 750 each. A cut at 5e7 leaves 1/(π 5e7) of Cauchy's
    # tail, which is as much as the rounding of so long a gap.
    bound = 1e-11 if method != "cauchy" else 2e-8
    for device in ("cpu", elsewhere):
        actual = torch.ops.rank_relax.spearman_loss(
            p.to(device), t.to(device), strength, method, None, "soft"
        )
        assert abs(float(actual.cpu()) - float(expected)) <= bound
    learnt = torch.tensor(strength, dtype=torch.float64, requires_grad=True)
    loss = soft_spearman_loss(p, t, learnt, method=method)
    assert abs(float(loss.detach()) - float(expected)) <= bound
    (gradient,) = torch.autograd.grad(loss, learnt)
    step = 1e-5 * strength
    slope = (
        loss_of_integers(p, items, strength + step, method)
        - loss_of_integers(p, items, strength - step, method)
    ) / (2 * step)
    # Of the difference quotient; and a gap's length times what its tail is off by is no smaller.
    assert abs(float(gradient - slope)) * strength <= (1e-8 if method != "cauchy" else 1e-7)


@pytest.mark.parametrize("method", ["l2", "kl"])
def test_blocks_of_a_projection_do_not_reach_across_a_cut_gap(method: str) -> None:
    near = torch.randint(0, 300, (2, 900))
    far = torch.where(torch.arange(900) % 2 == 0, near, near + 2**61)
    p = torch.randn(2, 900, dtype=torch.float64)
    # 2^40 is as far for both, and exact in float64.
    expected = soft_spearman_loss(p, (far - near).clamp(max=2**40).double() + near, method=method)
    assert abs(float(soft_spearman_loss(p, far, method=method) - expected)) <= 1e-12


@pytest.mark.parametrize("scale", [None, "std"])
def test_the_function_the_module_and_the_operator_agree(scale: str | None) -> None:
    p = torch.randn(4, 9, requires_grad=True)
    t = torch.randint(0, 5, (4, 9)) + 1_700_000_000_000
    exact = (t - t.min()).double()
    mask = torch.rand(4, 9) > 0.2
    for given in (None, mask):
        options = {"mask": given, "reduction": "none", "scale": scale}
        loss = soft_spearman_loss(p, t, 1.5, **options)
        expected = soft_spearman_loss(p.double(), exact, 1.5, **options)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss.double(), expected, atol=ERROR[torch.float32], rtol=0)
        module = SpearmanLoss(1.5, reduction="none", scale=scale, target_ranks="soft")
        assert torch.equal(module(p, t, given), loss)
        strength = torch.tensor(1.5, requires_grad=True)
        torch.testing.assert_close(soft_spearman_loss(p, t, strength, **options), loss)
        gradient, reference = (
            torch.autograd.grad(value.sum(), p, retain_graph=True)[0] for value in (loss, expected)
        )
        torch.testing.assert_close(gradient, reference, atol=1e-5, rtol=1e-5)
        if scale is None:
            operator = torch.ops.rank_relax.spearman_loss(p, t, 1.5, "sigmoid", given, "soft")
            assert torch.equal(operator, loss)


def test_a_standard_deviation_is_that_of_integers_as_they_are() -> None:
    """Not of what is left of them once wide gaps are cut down."""
    p = torch.tensor([0.5, 0.1, 0.9, 0.35, 0.6], dtype=torch.float64)
    t = torch.tensor([0, 2**60, 2**61, 2**62, 3 * 2**60])
    expected = soft_spearman_loss(p, t.double(), 3.0, scale="std")  # powers of two are exact
    assert abs(float(soft_spearman_loss(p, t, 3.0, scale="std") - expected)) <= 1e-12
    # At such a strength neighbours differ by one unit of the score.
    t = torch.tensor([0, 1, 2**62, 3, 2**61])
    unit = float(t.double().std(correction=0))
    loss = soft_spearman_loss(p, t, unit, scale="std")
    of_predictions = oracle.derivative_sums([], p, unit / float(p.std(correction=0)))
    rho = oracle.pearson(of_predictions, ranks_of_integers(t.tolist(), 1.0, "sigmoid"), None)
    assert abs(float(loss - (1 - rho))) <= 1e-12


def test_lists_of_integers_are_the_same_alone_and_beside_wider_ones() -> None:
    """float32 serves the narrow ones, float64 the wide ones, each by itself."""
    p = torch.randn(40, 30)
    t = torch.randint(0, 100, (40, 30))
    t[3] += torch.randint(0, 2, (30,)) * 2**40
    t[7] *= 2**30
    together = soft_spearman_loss(p, t, 0.3, reduction="none")
    expected = soft_spearman_loss(p.double(), t, 0.3, reduction="none")
    torch.testing.assert_close(together.double(), expected, atol=ERROR[torch.float32], rtol=0)
    for row in (0, 3, 7, 8):
        alone = soft_spearman_loss(p[row], t[row], 0.3)
        torch.testing.assert_close(alone, together[row], atol=1e-6, rtol=0)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_bools_and_perfect_orders(method: str) -> None:
    p = torch.tensor([[0.5, 0.1, 0.7, 0.2]])
    t = torch.tensor([[True, False, True, False]])
    assert torch.equal(
        soft_spearman_loss(p, t, method=method), soft_spearman_loss(p, t.int(), method=method)
    )
    ordered = torch.tensor([3, 0, 7, 1])
    assert soft_spearman_loss(ordered.float(), ordered, method=method) <= 1e-6
    assert soft_spearman_loss(-ordered.float(), ordered, method=method) >= 2 - 1e-6
    constant = torch.full((1, 4), 2**60)
    for target_ranks in ("soft", "hard"):
        p.requires_grad_()
        loss = spearman_loss(p, constant, method=method, target_ranks=target_ranks)
        assert loss == 1
        assert torch.equal(torch.autograd.grad(loss, p)[0], torch.zeros(1, 4))
        for size in (0, 1):
            short = torch.ones(2, size, requires_grad=True)
            loss = spearman_loss(short, short.detach().int(), target_ranks=target_ranks)
            assert loss == 0
            assert torch.equal(torch.autograd.grad(loss, short)[0], torch.zeros(2, size))


# Hard ranks


def hard_loss(
    predictions: Tensor, targets: Tensor, strength: float, method: str, mask: Tensor | None
) -> Tensor:
    """1 - Pearson(R(p), rankdata(t)) in float64, of lists without NaN."""
    p = oracle.derivative_sums([], predictions, strength, method, mask)
    ranks = torch.zeros(targets.shape, dtype=torch.float64)
    kept = torch.ones(targets.shape, dtype=torch.bool) if mask is None else mask
    for row in range(targets.shape[0]):
        items = targets[row][kept[row]]
        ranks[row, kept[row]] = torch.from_numpy(scipy.stats.rankdata(items.numpy()))
    return 1 - oracle.pearson(p, ranks, mask)


@pytest.mark.parametrize("target_dtype", [torch.float32, torch.float64, torch.int64], ids=str)
@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_loss_is_that_of_soft_and_hard_ranks(
    method: str, target_dtype: torch.dtype, elsewhere: str
) -> None:
    for shape in ((3, 11), (40, 33), (2, 700)):
        t = (torch.randn(shape) * 4).to(target_dtype)
        if target_dtype != torch.int64:
            t[0, :3] = torch.tensor([inf, -inf, inf])
        for mask in (None, torch.rand(shape) > 0.2):
            for dtype in (torch.float64, torch.float32, torch.bfloat16):
                p = torch.randn(shape).to(dtype)
                expected = hard_loss(p.double(), t, 1.5, method, mask)
                for device in ("cpu", elsewhere)[: 2 if shape == (3, 11) else 1]:
                    loss = spearman_loss(
                        p.to(device),
                        t.to(device),
                        1.5,
                        method=method,
                        mask=None if mask is None else mask.to(device),
                        reduction="none",
                        target_ranks="hard",
                    )
                    assert loss.dtype == dtype
                    assert (loss.cpu().double() - expected).abs().max() <= ERROR[dtype]


@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
@pytest.mark.parametrize("method", ALL_METHODS)
def test_the_loss_of_hard_ranks_has_every_derivative(method: str, masked: bool) -> None:
    p = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
    t = torch.tensor([[1, 3, 2, 3, 0], [5, 4, 4, 9, 1]])
    mask = torch.tensor([[True, True, False, True, True], [True] * 5]) if masked else None

    def loss(x: Tensor) -> Tensor:
        return torch.ops.rank_relax.spearman_loss(x, t, 1.3, method, mask, "hard")

    assert gradcheck(
        loss, p, check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True
    )
    assert gradgradcheck(loss, p, check_fwd_over_rev=True, check_batched_grad=True)

    def oracles(x: Tensor) -> Tensor:
        return hard_loss(x, t, 1.3, method, mask)

    gradient, exact = (torch.autograd.grad(f(p).sum(), p)[0] for f in (loss, oracles))
    torch.testing.assert_close(gradient, exact, atol=1e-12, rtol=1e-12)


def test_strength_and_scale_are_of_the_predictions_alone() -> None:
    p, t = torch.randn(3, 8), torch.randn(3, 8)
    for scale in (None, "std"):
        for strength in (2.0, torch.tensor(2.0)):
            options = {"scale": scale, "target_ranks": "hard", "reduction": "none"}
            loss = spearman_loss(p, t, strength, **options)
            assert torch.equal(spearman_loss(p, (t * 1e-3).double(), strength, **options), loss)
            assert torch.equal(SpearmanLoss(strength, **options)(p, t), loss)
    assert "target_ranks='hard'" in repr(SpearmanLoss(target_ranks="hard"))


def test_nan_and_masked_items_are_what_they_are_for_soft_ranks(elsewhere: str) -> None:
    p = torch.tensor([[1.0, 2.0, 3.0], [nan, 2.0, 1.0], [1.0, 2.0, 4.0]])
    t = torch.tensor([[2.0, nan, 3.0], [1.0, 2.0, 3.0], [5.0, 6.0, 8.0]])
    mask = torch.tensor([[True, False, True], [False, True, True], [True, True, True]])
    for device in ("cpu", elsewhere):
        leaf = p.to(device).requires_grad_()
        loss = torch.ops.rank_relax.spearman_loss(leaf, t.to(device), 1.0, "sigmoid", None, "hard")
        assert loss.isnan().tolist() == [True, True, False]
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        assert gradient.isnan().tolist() == [[True] * 3, [True] * 3, [False] * 3]
        masked = torch.ops.rank_relax.spearman_loss(
            leaf, t.to(device), 1.0, "sigmoid", mask.to(device), "hard"
        )
        assert masked.cpu().tolist()[:2] == pytest.approx([0, 2], abs=1e-6)
        (gradient,) = torch.autograd.grad(masked.sum(), leaf)
        assert gradient[0, 1] == 0
        assert gradient[1, 0] == 0


def test_targets_that_want_a_gradient_are_refused() -> None:
    p, t = torch.randn(3), torch.randn(3, requires_grad=True)
    message = "targets have no gradient with target_ranks='hard': detach them"
    with pytest.raises(ValueError, match=message):
        spearman_loss(p, t, target_ranks="hard")
    with pytest.raises(ValueError, match=message):
        torch.func.grad(lambda v: spearman_loss(p, v, target_ranks="hard"))(t.detach())
    with torch.no_grad():
        spearman_loss(p, t, target_ranks="hard")
    for call in (spearman_loss, lambda *sides, **o: SpearmanLoss(**o)(*sides)):
        with pytest.raises(ValueError, match="target_ranks must be one of 'hard', 'soft', got 'x'"):
            call(p, t, target_ranks="x")
    with pytest.raises(ValueError, match="target_ranks must be one of 'hard', 'soft', got 'x'"):
        torch.ops.rank_relax.spearman_loss(p, t, 1.0, "sigmoid", None, "x")


def test_every_door_has_the_same_default() -> None:
    default = rank_relax.spearman.TARGET_RANKS
    schema = torch.ops.rank_relax.spearman_loss.default._schema
    assert schema.arguments[-1].name == "target_ranks"
    assert schema.arguments[-1].default_value == default
    assert SpearmanLoss().target_ranks == default


KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "integers": lambda p, t: soft_spearman_loss(p, t, 2.0, reduction="none"),
    "scaled integers": lambda p, t: soft_spearman_loss(p, t, 2.0, scale="std", reduction="none"),
    "hard": lambda p, t: spearman_loss(p, t, 2.0, reduction="none", target_ranks="hard"),
    "hard floats": lambda p, t: spearman_loss(p, t / 2, reduction="none", target_ranks="hard"),
}


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_compiles_and_is_batched_as_one(kind: str) -> None:
    def gradient(p: Tensor, t: Tensor) -> Tensor:
        return torch.func.grad(lambda x: KINDS[kind](x, t).sum())(p)

    graph = torch.compile(KINDS[kind], fullgraph=True, backend="aot_eager")
    for shape in ((3, 8), (3, 8), (4, 6)):
        p = torch.randn(shape, requires_grad=True)
        t = torch.randint(0, 5, shape) + 2**40
        actual, expected = graph(p, t), KINDS[kind](p, t)
        assert torch.equal(actual, expected)
        assert torch.equal(*(torch.autograd.grad(loss.sum(), p)[0] for loss in (actual, expected)))
    p, t = torch.randn(5, 3, 8), torch.randint(0, 5, (3, 5, 8)) + 2**40
    batched = torch.vmap(gradient, in_dims=(0, 1))(p, t)
    for i in range(5):
        torch.testing.assert_close(batched[i], gradient(p[i], t[:, i]), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.int16, torch.int64], ids=str)
@pytest.mark.parametrize("masked", [False, True], ids=["", "masked"])
def test_the_dispatcher_takes_the_parts(dtype: torch.dtype, masked: bool) -> None:
    p = torch.randn(2, 3, 5, requires_grad=True)
    t = torch.randint(0, 9, (2, 3, 5)).to(dtype)
    mask = torch.arange(30).view(2, 3, 5) % 3 > 0 if masked else None
    ops, setting = torch.ops.rank_relax, (1.5, "gaussian", mask)
    for target_ranks in ("soft", "hard"):
        torch.library.opcheck(ops.spearman_loss.default, (p, t, *setting, target_ranks))
    torch.library.opcheck(ops._centered_integer_rank.default, (t, *setting, torch.float32))
    strengths = torch.full((2, 3, 1), 1.5, dtype=torch.float64)
    torch.library.opcheck(ops._integer_scores.default, (t, strengths, "l2", mask))


def test_half_precision_and_autocast() -> None:
    p, t = torch.randn(3, 9).bfloat16(), torch.randint(0, 2000, (3, 9))
    with torch.autocast("cpu"):
        for target_ranks in ("soft", "hard"):
            loss = spearman_loss(p, t, 0.01, target_ranks=target_ranks, reduction="none")
            expected = spearman_loss(
                p.float(), t, 0.01, target_ranks=target_ranks, reduction="none"
            )
            assert loss.dtype == torch.float32
            assert torch.equal(loss, expected)
    leaf = p.clone().requires_grad_()
    soft_spearman_loss(leaf, t, 0.01).backward()
    wide = p.float().requires_grad_()
    soft_spearman_loss(wide, t, 0.01).backward()
    assert leaf.grad.dtype == torch.bfloat16
    torch.testing.assert_close(leaf.grad.float(), wide.grad, atol=1e-3, rtol=2**-7)


def test_a_hard_loss_trains_to_the_order_of_its_targets() -> None:
    t = torch.randint(0, 2**62, (4, 20))
    p = torch.randn(4, 20, requires_grad=True)
    optimizer = torch.optim.Adam([p], 0.1)
    loss = SpearmanLoss(2.0, target_ranks="hard")
    for _ in range(300):
        optimizer.zero_grad()
        loss(p, t).backward()
        optimizer.step()
    assert torch.equal(hard_rank(p), hard_rank(t))
    assert math.isfinite(loss(p, t).item())


@pytest.mark.parametrize("method", METHODS)
def test_subnormal_scores_correlate_as_they_are(method: str) -> None:
    x = torch.arange(40, dtype=torch.float64) * 5e-324
    assert abs(float(soft_spearman_loss(x, x, method=method))) <= 1e-12
    assert abs(float(soft_spearman_loss(x, -x, method=method)) - 2) <= 1e-12
