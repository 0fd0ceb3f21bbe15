"""The methods ``l2`` and ``kl``: what is true of projections and of no other soft rank."""

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor

import rank_relax

soft_spearman_loss = partial(rank_relax.spearman_loss, target_ranks="soft")

METHODS = pytest.mark.parametrize("method", ["l2", "kl"])
OPS = torch.ops.rank_relax


def assert_is_the_projection(p: np.ndarray, s: np.ndarray, method: str) -> None:
    """That is, the permutahedron of 1..n's point nearest to s, or to e^s in relative entropy.

    It is inside if the k largest add up to the k largest ranks at most, and all to all of them. And
    it is nearest if the objective grows, to first order, towards every corner: it is convex.
    """
    n = len(p)
    largest = np.cumsum(np.sort(p)[::-1])
    most = np.cumsum(np.arange(n, 0, -1))
    assert (largest <= most + 1e-13 * n * n).all()
    assert abs(largest[-1] - most[-1]) <= 1e-13 * n * n
    slope = p - s if method == "l2" else np.log(p) - s
    corners = np.array(list(itertools.permutations(range(1, n + 1))))
    assert ((corners - p) @ slope >= -1e-12 * (1 + np.abs(slope).max())).all()


def by_regression(x: np.ndarray, strength: float, method: str) -> tuple[np.ndarray, np.ndarray]:
    """Ranks in [0, 1] and the number of every item's block, by SciPy's isotonic regression."""
    n, order = len(x), np.argsort(x, kind="stable")
    s, w = strength * (x[order] - x[order[0]]), np.arange(1.0, n + 1)
    if method == "l2":
        ranks = s - isotonic_regression(s - w).x
    else:
        e = np.exp(s - s[-1])
        ranks = e / isotonic_regression(e / w, weights=w).x
    blocks = (
        isotonic_regression(s - w).blocks
        if method == "l2"
        else isotonic_regression(np.exp(s - s[-1]) / w, weights=w).blocks
    )
    sizes = np.diff(blocks)
    result, numbers = np.empty(n), np.empty(n, dtype=np.int64)
    result[order] = (ranks - 1) / (n - 1)
    numbers[order] = np.repeat(np.arange(len(sizes)), sizes)
    return result, numbers


ROWS: dict[str, Callable[[int], Tensor]] = {
    "random": lambda n: torch.randn(n, dtype=torch.float64),
    "sorted": lambda n: torch.randn(n, dtype=torch.float64).sort().values,
    "reversed": lambda n: torch.randn(n, dtype=torch.float64).sort(descending=True).values,
    "constant": lambda n: torch.full((n,), 0.7, dtype=torch.float64),
    "two values": lambda n: torch.randint(0, 2, (n,)).double(),
    "many ties": lambda n: torch.randint(0, 9, (n,)).double() / 3,
    "two clusters": lambda n: torch.randn(n, dtype=torch.float64) * 1e-6 + torch.arange(n) % 2,
    # Gaps just under 1 and just over, in turns: the regression joins and splits all the way.
    "stairs": lambda n: (1 + 0.4 * torch.arange(n, dtype=torch.float64).mul(2.4).sin()).cumsum(0),
    # Steps that shrink: every item joins the one block before it.
    "shrinking": lambda n: torch.linspace(0, 1, n, dtype=torch.float64).sqrt() * n,
    # Steps that grow: nothing joins until the last items, and then one after another.
    "growing": lambda n: torch.linspace(0, 1, n, dtype=torch.float64).square() * n / 2,
    "valley": lambda n: torch.linspace(-1, 1, n, dtype=torch.float64).pow(3) * n / 3,
}


@METHODS
@pytest.mark.parametrize("strength", [0.3, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("n", [2, 3, 6])
def test_a_rank_is_the_projection_onto_the_permutahedron(
    n: int, strength: float, method: str
) -> None:
    for kind in ("random", "constant", "two values", "stairs", "growing"):
        x = ROWS[kind](n)
        ranks = 1 + (n - 1) * rank_relax.soft_rank(x, strength, method=method)
        assert_is_the_projection(ranks.numpy(), strength * x.numpy(), method)


@METHODS
@pytest.mark.parametrize("kind", ROWS)
def test_ranks_are_those_of_another_isotonic_regression(kind: str, method: str) -> None:
    for n, strength in itertools.product((2, 3, 64, 65, 1000, 20000), (0.01, 1.0, 3.0)):
        x = ROWS[kind](n)
        if method == "kl" and strength * float(x.max() - x.min()) > 600:
            continue  # SciPy's takes exponentials of the whole row
        expected, _ = by_regression(x.numpy(), strength, method)
        actual = rank_relax.soft_rank(x, strength, method=method)
        # That of the reference: rounding of values up to n, in a sum of n.
        assert np.abs(actual.numpy() - expected).max() <= 1e-12 * max(n, 100) ** 0.5


@pytest.mark.parametrize("kind", ["random", "stairs", "two clusters", "growing"])
@METHODS
def test_the_forward_hands_on_the_blocks(kind: str, method: str) -> None:
    x = ROWS[kind](300)
    rank, blocks = OPS._permutahedron_rank_forward(x, 1.0, method, None)
    assert torch.equal(rank, rank_relax.soft_rank(x, 1.0, method=method))
    _, expected = by_regression(x.numpy(), 1.0, method)
    assert blocks.dtype == torch.int32
    assert (blocks.numpy() == expected).all()


@METHODS
def test_items_outside_of_all_blocks_say_why(method: str) -> None:
    x = torch.tensor([torch.inf, 0.0, torch.nan, -torch.inf, 100.0, 0.0])
    mask = torch.tensor([True, True, True, True, True, False])
    _, blocks = OPS._permutahedron_rank_forward(x, 1.0, method, mask)
    assert blocks.tolist() == [-4, 0, -2, -3, 1, -1]


@pytest.mark.slow
@METHODS
@pytest.mark.parametrize("kind", ROWS)
def test_a_million_items_of_any_kind_share_their_ranks_out_in_order(kind: str, method: str) -> None:
    """In a path that takes quadratic time this test would not end; see benchmarks for times."""
    x = ROWS[kind](1_000_000).requires_grad_()
    ranks = rank_relax.soft_rank(x, 1.0, method=method)
    in_order = ranks.detach()[x.detach().argsort()]
    assert (in_order.diff() >= -1e-15).all()
    assert abs(float(in_order.mean()) - 0.5) <= 1e-12
    values = OPS.soft_sort(x, 1.0, method)
    assert (values.detach().diff() >= 0).all()
    (ranks.square().sum() + values.sum()).backward()
    assert x.grad is not None
    # Of ranks 0, as a common shift changes none; of each sorted value 1. Where all items are alike
    # they are all rounded alike, from sums of 10^6 terms.
    assert abs(float(x.grad.sum()) - 1e6) <= 1e-11 * 1e6


@METHODS
def test_a_million_items_are_as_exact(method: str) -> None:
    for kind in ("random", "stairs", "two clusters"):
        x = ROWS[kind](1_000_000)
        strength = 1.0 if kind != "stairs" else 1e-3 if method == "l2" else 1e-4
        expected, _ = by_regression(x.numpy(), strength, method)
        actual = rank_relax.soft_rank(x, strength, method=method)
        # Rounding of the reference's sums of 10^6 values up to 10^6.
        assert np.abs(actual.numpy() - expected).max() <= 1e-9


@METHODS
def test_ranks_add_up_to_those_of_a_list_and_gradients_to_zero(method: str) -> None:
    x = torch.randn(5, 300, dtype=torch.float64, requires_grad=True)
    ranks = rank_relax.soft_rank(x, 3.0, method=method)
    assert (ranks.sum(-1) - 150).abs().max() <= 1e-11
    (gradient,) = torch.autograd.grad(ranks, x, torch.randn_like(ranks))
    assert gradient.sum(-1).abs().max() <= 1e-12 * gradient.abs().max() * 300


@METHODS
def test_the_jacobian_is_symmetric_and_flat_between_blocks(method: str) -> None:
    x = torch.randn(30, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: rank_relax.soft_rank(x, 20.0, method=method))(x)
    assert (jacobian - jacobian.T).abs().max() <= 1e-15
    _, blocks = OPS._permutahedron_rank_forward(x, 20.0, method, None)
    assert blocks.max() > 2
    assert (jacobian[blocks[:, None] != blocks] == 0).all()


def test_the_rank_by_l2_has_no_second_derivative() -> None:
    x = torch.randn(3, 8, dtype=torch.float64)
    hessian = torch.func.hessian(lambda x: rank_relax.soft_rank(x, 2.0, method="l2").sin().sum())
    first = torch.func.jacrev(lambda x: rank_relax.soft_rank(x, 2.0, method="l2").flatten())(x)
    first = first.reshape(24, 24)
    ranks = rank_relax.soft_rank(x, 2.0, method="l2").flatten()
    expected = first.T @ torch.diag(-ranks.sin()) @ first
    assert (hessian(x).reshape(24, 24) - expected).abs().max() <= 1e-14


def test_at_a_kink_the_derivative_is_that_of_the_larger_block() -> None:
    """Two items exactly 1/alpha apart: the limit from where they are closer."""
    for strength in (1.0, 4.0):
        x = torch.tensor([0.0, 1 / strength], dtype=torch.float64, requires_grad=True)
        rank = rank_relax.soft_rank(x, strength, method="l2")
        assert rank.tolist() == [0, 1]
        (gradient,) = torch.autograd.grad(rank[1], x)
        assert gradient.tolist() == [-strength / 2, strength / 2]


@METHODS
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_a_large_offset_changes_nothing(dtype: torch.dtype, method: str) -> None:
    x = torch.randint(-1000, 1000, (200,)).to(dtype)
    moved = x + 2.0**22  # exact
    for strength in (1e-3, 0.5):
        assert torch.equal(
            rank_relax.soft_rank(x, strength, method=method),
            rank_relax.soft_rank(moved, strength, method=method),
        )


@METHODS
@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("n", [400, 5000])
def test_half_precision_keeps_its_books_in_integers(n: int, half: torch.dtype, method: str) -> None:
    x = torch.randn(n).to(half).requires_grad_()
    for strength in (0.1, 100.0):
        rank = rank_relax.soft_rank(x, strength, method=method)
        exact = rank_relax.soft_rank(x.detach().double(), strength, method=method)
        assert (rank.double() - exact).abs().max() <= 0.51 * torch.finfo(half).eps
        (gradient,) = torch.autograd.grad(rank.float().square().sum(), x)
        assert gradient.isfinite().all()


@METHODS
def test_descending_ranks_are_those_of_the_negated_values(method: str) -> None:
    x = torch.randn(4, 9)
    assert torch.equal(
        rank_relax.soft_rank(x, 2.0, method=method, descending=True),
        rank_relax.soft_rank(-x, 2.0, method=method),
    )
    if method == "l2":  # which is symmetric
        both = rank_relax.soft_rank(x, 2.0, method=method) + rank_relax.soft_rank(
            -x, 2.0, method=method
        )
        assert (both - 1).abs().max() <= 2e-7


@METHODS
def test_the_loss_is_one_minus_the_correlation_of_the_ranks(method: str) -> None:
    p, t = torch.randn(2, 40, dtype=torch.float64)
    ranks = [rank_relax.soft_rank(side, 3.0, method=method) for side in (p, t)]
    expected = 1 - torch.corrcoef(torch.stack(ranks))[0, 1]
    assert abs(soft_spearman_loss(p, t, 3.0, method=method) - expected) <= 1e-14


def test_orders_that_cost_too_much_are_refused() -> None:
    x = torch.randn(6, dtype=torch.float64)
    directions = [torch.randn(6, dtype=torch.float64) for _ in range(9)]
    assert OPS._soft_rank_derivative(directions[:8], x, 1.0, "kl", None).isfinite().all()
    with pytest.raises(ValueError, match="directions must be at most 8"):
        OPS._soft_rank_derivative(directions, x, 1.0, "kl", None)
    assert (OPS._soft_rank_derivative(directions, x, 1.0, "l2", None) == 0).all()


@METHODS
def test_a_derivative_without_blocks_finds_the_same(method: str) -> None:
    x, g, v = torch.randn(3, 4, 50, dtype=torch.float64)
    mask = torch.rand(4, 50) > 0.2
    _, blocks = OPS._permutahedron_rank_forward(x, 3.0, method, mask)
    for directions in ([g], [g, v]):
        assert torch.equal(
            OPS._soft_rank_derivative(directions, x, 3.0, method, mask),
            OPS._permutahedron_rank_derivative(directions, x, blocks, 3.0, method, mask),
        )


@METHODS
def test_indices_that_no_forward_returned_are_refused(method: str) -> None:
    x = torch.randn(2, 5)
    _, permutation, blocks = OPS._permutahedron_sort_forward(x, 1.0, method, None)
    for wrong in (5, -5, 2**31 - 1):
        with pytest.raises(ValueError, match="blocks must be what the forward returned"):
            OPS._permutahedron_rank_derivative(
                [x], x, torch.full_like(blocks, wrong), 1.0, method, None
            )
        for op in (OPS._permutahedron_sort_backward, OPS._permutahedron_sort_tangent):
            with pytest.raises(ValueError, match="permutation must be what the forward returned"):
                op(x, x, torch.full_like(permutation, wrong), blocks, 1.0, method, None)
    for op in (OPS._permutahedron_sort_backward, OPS._permutahedron_sort_tangent):
        with pytest.raises(TypeError, match="blocks must have dtype int32"):
            op(x, x, permutation, blocks.long(), 1.0, method, None)


def test_the_smooth_methods_have_no_blocks() -> None:
    x = torch.randn(2, 5)
    for op in (OPS._permutahedron_rank_forward, OPS._permutahedron_sort_forward):
        with pytest.raises(ValueError, match="method must be one of 'l2', 'kl', got 'sigmoid'"):
            op(x, 1.0, "sigmoid", None)


@METHODS
@pytest.mark.parametrize("n", [1, 5, 200])
def test_masked_items_sort_to_the_end(n: int, method: str) -> None:
    x, mask = torch.randn(3, n), torch.rand(3, n) > 0.4
    values = OPS.soft_sort(x, 0.7, method, mask)
    for row in range(3):
        kept = x[row][mask[row]]
        assert torch.equal(values[row][: len(kept)], OPS.soft_sort(kept, 0.7, method))
        assert (values[row][len(kept) :] == 0).all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("method", ["l2", "kl", "sigmoid", "gaussian"])
@pytest.mark.parametrize("scale", [1e-3, 1e-8, 1e-13, 1e-17, 1e-25])
def test_a_loss_is_the_same_from_both_sides_however_narrow_one_is(
    method: str, scale: float, dtype: torch.dtype
) -> None:
    """A narrow list's ranks are a straight line: those of the same list, a little less narrow."""
    wide = torch.tensor([0.3, 0.9, 0.0], dtype=dtype, requires_grad=True)
    narrow = torch.tensor([1.0, 2.0, 4.0], dtype=dtype) * scale
    rank = rank_relax.soft_rank(wide.detach().double(), method=method)
    line = rank_relax.soft_rank(torch.tensor([1.0, 2.0, 4.0]).double(), 1e-5, method=method)
    near = rank_relax.soft_rank(narrow.double(), method=method) if scale > 1e-4 else line
    exact = 1 - torch.corrcoef(torch.stack([rank, near]))[0, 1]
    one = soft_spearman_loss(wide, narrow, method=method)
    other = soft_spearman_loss(narrow, wide, method=method)
    # A line is a limit, and torch.corrcoef of ranks that differ by 1e-4 loses digits.
    tolerance = 3e-5 if scale <= 1e-4 else max(1e-11, 10 * torch.finfo(dtype).eps)
    assert abs(float(one.detach()) - float(exact)) <= tolerance
    assert abs(float(one.detach()) - float(other.detach())) <= 10 * torch.finfo(dtype).eps
    (gradient,) = torch.autograd.grad(one, wide)
    (swapped,) = torch.autograd.grad(other, wide)
    assert (gradient - swapped).abs().max() <= 10 * torch.finfo(dtype).eps
    assert gradient.abs().max() > 0.01


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e-9, 1e-15, 1e-75])
def test_soft_sorted_values_keep_their_precision_however_small(scale: float) -> None:
    """By kl they are not linear in the values' scale, but for small ones in the limit."""
    x = torch.tensor([1.0, 2.0, 5.0], dtype=torch.float64)
    values = OPS.soft_sort(x * scale, scale, "kl") / scale
    if scale < 1e-4:
        assert (
            values - torch.tensor([5.0, 8.0, 11.0]).double() / 3
        ).abs().max() <= 3 * scale + 1e-14
    gaps = values.diff()
    assert (gaps <= 1 + 1e-14).all()


def test_soft_sorted_values_near_the_largest_numbers_close_their_gaps() -> None:
    x = torch.tensor([-1.7e308, -0.6e308, 1.7e308], dtype=torch.float64)
    strength = 0.95e308
    values = OPS.soft_sort(x, strength, "kl")
    assert (values / strength).diff().max() <= 1 + 1e-14


@METHODS
def test_a_permutation_that_repeats_an_item_is_refused(method: str) -> None:
    x = torch.randn(2, 6)
    _, permutation, blocks = OPS._permutahedron_sort_forward(x, 1.0, method, None)
    with pytest.raises(ValueError, match="permutation must be what the forward returned"):
        OPS._permutahedron_sort_backward(
            x, x, torch.zeros_like(permutation), blocks, 1.0, method, None
        )


@METHODS
def test_errors_name_the_operator_that_was_called(method: str) -> None:
    for x in (torch.randn(3), torch.randn(3, requires_grad=True)):
        with pytest.raises(ValueError, match=r"^soft_rank: regularization_strength"):
            OPS.soft_rank(x, 0.0, method)
