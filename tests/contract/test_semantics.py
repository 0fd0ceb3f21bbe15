"""Each row of the table of semantics that users can rely on, through the public functions."""

import math
from functools import partial

import numpy as np
import oracle
import pytest
import torch
from operators import ALL_METHODS, METHODS, RANK_ERROR
from torch import Tensor

import rank_relax

soft_spearman_loss = partial(rank_relax.spearman_loss, target_ranks="soft")

INF, NAN = math.inf, math.nan
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]
pytestmark = [
    pytest.mark.usefixtures("on_device"),
    pytest.mark.parametrize("method", ALL_METHODS),
]


def rank_and_gradient(
    input: Tensor, method: str, mask: Tensor | None = None, strength: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The soft rank, and its gradient for a fixed cotangent that differs from item to item."""
    leaf = input.detach().clone().requires_grad_()
    rank = rank_relax.soft_rank(leaf, strength, method=method, mask=mask)
    cotangent = torch.linspace(-1, 2, max(input.numel(), 1), dtype=torch.float64) ** 3
    (gradient,) = torch.autograd.grad(
        rank, leaf, cotangent[: input.numel()].to(rank.dtype).view_as(rank)
    )
    return rank.detach(), gradient


def loss_and_gradients(
    predictions: Tensor,
    targets: Tensor,
    method: str,
    mask: Tensor | None = None,
    strength: float = 1.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """One loss a row, and the gradients of their sum with respect to both arguments."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in (predictions, targets)]
    losses = soft_spearman_loss(*leaves, strength, method=method, mask=mask, reduction="none")
    of_predictions, of_targets = torch.autograd.grad(losses.sum(), leaves)
    return losses.detach(), of_predictions, of_targets


def left_over(method: str, distance: float) -> float:
    """What F lacks at most to 0 or 1 at this distance and beyond: 0 but with a heavy tail."""
    return 1 / (math.pi * distance) if method == "cauchy" else 0.0


def linear_spearman_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """1 - Pearson's correlation of the values: what is left of the loss where F is linear."""
    p, t = predictions.double(), targets.double()
    p, t = p / p.abs().max(), t / t.abs().max()
    return 1 - torch.corrcoef(torch.stack([p, t]))[0, 1]


class TestNoItems:
    def test_the_rank_of_an_empty_row_is_empty(self, method: str) -> None:
        rank, gradient = rank_and_gradient(torch.empty(2, 0), method)
        assert rank.shape == gradient.shape == (2, 0)

    def test_the_loss_of_empty_lists_is_zero(self, method: str) -> None:
        losses, *gradients = loss_and_gradients(torch.empty(2, 0), torch.empty(2, 0), method)
        assert losses.tolist() == [0, 0]
        assert [gradient.shape for gradient in gradients] == [(2, 0)] * 2

    def test_a_batch_of_no_rows_gives_no_losses(self, method: str) -> None:
        losses, *gradients = loss_and_gradients(torch.empty(0, 4), torch.empty(0, 4), method)
        assert losses.shape == (0,)
        assert [gradient.shape for gradient in gradients] == [(0, 4)] * 2

    def test_a_row_that_is_masked_whole_is_an_empty_one(self, method: str) -> None:
        x, mask = torch.tensor([1.0, NAN, INF]), torch.zeros(3, dtype=torch.bool)
        rank, gradient = rank_and_gradient(x, method, mask)
        assert rank.tolist() == gradient.tolist() == [0, 0, 0]
        loss, *gradients = loss_and_gradients(x, x, method, mask)
        assert loss.item() == 0
        assert [gradient.tolist() for gradient in gradients] == [[0, 0, 0]] * 2


class TestOneItem:
    @pytest.mark.parametrize("value", [-3.0, 0.0, INF, -INF])
    def test_its_rank_is_zero(self, method: str, value: float) -> None:
        rank, gradient = rank_and_gradient(torch.tensor([value]), method)
        assert rank.tolist() == gradient.tolist() == [0]

    def test_its_loss_is_zero(self, method: str) -> None:
        loss, *gradients = loss_and_gradients(torch.tensor([2.0]), torch.tensor([-1.0]), method)
        assert loss.item() == 0
        assert [gradient.tolist() for gradient in gradients] == [[0], [0]]

    def test_one_item_beside_masked_ones_is_one_item(self, method: str) -> None:
        x, mask = torch.tensor([5.0, 2.0, NAN]), torch.tensor([False, True, False])
        rank, gradient = rank_and_gradient(x, method, mask)
        assert rank.tolist() == gradient.tolist() == [0, 0, 0]
        loss, *gradients = loss_and_gradients(x, -x, method, mask)
        assert loss.item() == 0
        assert [gradient.tolist() for gradient in gradients] == [[0, 0, 0]] * 2

    def test_one_number_beside_nan_is_one_item(self, method: str) -> None:
        rank, gradient = rank_and_gradient(torch.tensor([NAN, 2.0, NAN]), method)
        assert torch.equal(rank.isnan(), torch.tensor([True, False, True]))
        assert (rank[1], gradient[1]) == (0, 0)


class TestNoSpread:
    @pytest.mark.parametrize("n", [2, 5, 200])
    def test_every_rank_of_a_constant_row_is_a_half(self, method: str, n: int) -> None:
        for value in (0.0, -0.1, 3e38, 1e-45, INF, -INF):
            rank, gradient = rank_and_gradient(torch.full((n,), value), method)
            assert rank.tolist() == [0.5] * n
            if math.isinf(value):
                assert gradient.tolist() == [0] * n

    @pytest.mark.parametrize("constant", ["predictions", "targets", "both"])
    def test_the_loss_is_one_and_its_gradient_zero(self, method: str, constant: str) -> None:
        for value in (0.0, -0.1, 3e38, INF, -INF):
            flat, varied = torch.full((2, 5), value), torch.randn(2, 5)
            predictions = varied if constant == "targets" else flat
            targets = varied if constant == "predictions" else flat
            losses, *gradients = loss_and_gradients(predictions, targets, method)
            assert losses.tolist() == [1, 1]
            assert [gradient.abs().max().item() for gradient in gradients] == [0, 0]

    def test_a_row_is_constant_if_its_unmasked_items_are(self, method: str) -> None:
        x, mask = torch.tensor([2.0, 7.0, 2.0]), torch.tensor([True, False, True])
        rank, _ = rank_and_gradient(x, method, mask)
        assert rank.tolist() == [0.5, 0, 0.5]
        loss, *gradients = loss_and_gradients(x, torch.randn(3), method, mask)
        assert loss.item() == 1
        assert [gradient.tolist() for gradient in gradients] == [[0, 0, 0]] * 2

    def test_a_constant_row_leaves_its_neighbours_alone(self, method: str) -> None:
        x, t = torch.randn(3, 6), torch.randn(3, 6)
        x[1] = 4.0
        together = loss_and_gradients(x, t, method)
        for row in (0, 2):
            alone = loss_and_gradients(x[row], t[row], method)
            for whole, part in zip(together, alone, strict=True):
                assert torch.equal(whole[row], part)


class TestNarrowRows:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    @pytest.mark.parametrize("spread", [1e-6, 1e-12, 1e-30])
    def test_a_narrow_row_is_not_a_constant_one(
        self, method: str, spread: float, dtype: torch.dtype
    ) -> None:
        unit, targets = torch.randn(50, dtype=dtype), torch.randn(50, dtype=dtype)
        predictions = unit * spread
        loss, gradient, _ = loss_and_gradients(predictions, targets, method)
        exact = oracle.spearman_loss(predictions, targets, 1.0, method)
        # Rounding of the loss, in [0, 2], and no more.
        tolerance = 4 * torch.finfo(dtype).eps
        assert abs(loss.double() - exact) <= tolerance
        # The gradient grows as the spread shrinks, with 1e-5 (1e-11) of relative precision.
        leaf = predictions.double().requires_grad_()
        (reference,) = torch.autograd.grad(oracle.spearman_loss(leaf, targets, 1.0, method), leaf)
        error = (gradient.double() - reference).abs().max() / reference.abs().max()
        assert error <= (1e-11 if dtype == torch.float64 else 1e-5)

    @pytest.mark.parametrize("spread", [1e-6, 1e-12, 1e-30])
    def test_a_correlation_of_narrow_rows_keeps_its_relative_precision(
        self, method: str, spread: float
    ) -> None:
        unit = torch.randn(50)
        predictions, targets = unit * spread, -unit + 0.7 * torch.randn(50)
        loss, *_ = loss_and_gradients(predictions, targets, method)
        rho = 1 - loss.double()
        exact = 1 - oracle.spearman_loss(predictions, targets, 1.0, method)
        assert exact < -0.5
        assert abs(rho - exact) <= 2e-6 * abs(exact)

    @pytest.mark.parametrize("spread", [1e-6, 1e-12, 1e-30])
    def test_two_narrow_rows_correlate_as_their_values_do(self, method: str, spread: float) -> None:
        predictions, targets = spread * torch.randn(2, 50)
        loss, *_ = loss_and_gradients(predictions, targets, method)
        # F is linear up to spread^3, and the result is rounded to float32.
        assert abs(loss - linear_spearman_loss(predictions, targets)) <= 4e-7

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    def test_the_smallest_strength_correlates_the_values(
        self, method: str, dtype: torch.dtype
    ) -> None:
        predictions, targets = torch.randn(2, 50, dtype=dtype)
        loss, gradient, _ = loss_and_gradients(predictions, targets, method, strength=1e-300)
        assert abs(loss - linear_spearman_loss(predictions, targets)) <= 4e-7
        leaf = predictions.double().requires_grad_()
        (exact,) = torch.autograd.grad(linear_spearman_loss(leaf, targets), leaf)
        # 1e-5 of the largest element: the bound of a narrow row's gradient in float32.
        assert (gradient - exact).abs().max() <= 1e-5 * exact.abs().max()

    def test_a_narrow_row_on_a_large_offset_keeps_its_differences(self, method: str) -> None:
        predictions = 1.0 + 1e-6 * torch.randn(50, dtype=torch.float64)
        targets = torch.randn(50, dtype=torch.float64)
        loss, *_ = loss_and_gradients(predictions, targets, method)
        # Differences are exact; sums of 50 of them to 1e-14 of their size.
        assert abs(loss - oracle.spearman_loss(predictions, targets, 1.0, method)) <= 1e-12

    @pytest.mark.parametrize(
        ("spread", "strength"), [(1e-30, 1e-300), (1e-200, 1e-200), (1.0, 1e-308)]
    )
    def test_a_differentiable_gradient_is_the_gradient(
        self, method: str, spread: float, strength: float
    ) -> None:
        x = (torch.randn(6, dtype=torch.float64) * spread).requires_grad_()
        t = torch.randn(6, dtype=torch.float64)
        loss = soft_spearman_loss(x, t, strength, method=method)
        (plain,) = torch.autograd.grad(loss, x, retain_graph=True)
        (differentiable,) = torch.autograd.grad(loss, x, create_graph=True)
        assert plain.abs().max() > 0
        assert (differentiable - plain).abs().max() <= 1e-12 * plain.abs().max()


class TestTies:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_equal_values_get_equal_ranks(self, method: str, dtype: torch.dtype) -> None:
        rank, _ = rank_and_gradient(torch.tensor([1, 0, 1, 2, 0, 1], dtype=dtype), method)
        assert rank[0] == rank[2] == rank[5]
        assert rank[1] == rank[4]
        assert rank[1] < rank[0] < rank[3]

    @pytest.mark.parametrize("strength", [1e6, 1e300])
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    def test_the_limit_of_large_strength_is_the_average_rank(
        self, method: str, strength: float, dtype: torch.dtype
    ) -> None:
        x = torch.randint(-9, 9, (3, 40), dtype=dtype) / 8
        rank = rank_relax.soft_rank(x, strength, method=method)
        expected = (oracle.average_rank(x) - 1) / 39
        assert (rank - expected).abs().max() <= RANK_ERROR[dtype] + left_over(method, strength / 8)

    def test_positive_and_negative_zero_tie(self, method: str) -> None:
        rank, _ = rank_and_gradient(torch.tensor([0.0, -0.0]), method, strength=1e6)
        assert rank.tolist() == [0.5, 0.5]


class TestStrength:
    def test_a_vanishing_strength_ranks_everything_in_the_middle(self, method: str) -> None:
        rank, gradient = rank_and_gradient(torch.randn(20), method, strength=1e-300)
        assert rank.tolist() == [0.5] * 20
        assert gradient.abs().max() <= 1e-38

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    def test_a_sharp_strength_sends_no_gradient_between_distant_values(
        self, method: str, dtype: torch.dtype
    ) -> None:
        x = torch.arange(20, dtype=dtype)
        rank, gradient = rank_and_gradient(x, method, strength=1e6)
        assert (rank - x / 19).abs().max() <= RANK_ERROR[dtype] + left_over(method, 1e6)
        if method == "cauchy":  # alpha F'(alpha d) = 1/(pi alpha d^2), times a difference up to 9
            assert gradient.abs().max() <= 9 * left_over(method, 1e6)
        else:
            assert gradient.tolist() == [0] * 20

    def test_a_sharp_loss_is_that_of_the_hard_ranks(self, method: str) -> None:
        predictions, targets = torch.randn(2, 30, dtype=torch.float64)
        loss, *_ = loss_and_gradients(predictions, targets, method, strength=1e9)
        hard = [oracle.average_rank(side) for side in (predictions, targets)]
        closest = min(float(side.sort().values.diff().min()) for side in (predictions, targets))
        # A rank error e turns a centred, normalised row by e/std(R), and std(R) is over 1/4.
        turned = 8 * left_over(method, 1e9 * closest)
        assert abs(loss - (1 - torch.corrcoef(torch.stack(hard))[0, 1])) <= 1e-12 + turned

    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
    def test_values_whose_difference_overflows_are_ordered(
        self, method: str, dtype: torch.dtype
    ) -> None:
        large = 1.7e308 if dtype == torch.float64 else 3e38
        x = torch.tensor([large, 0.0, -large, large], dtype=dtype)
        rank, gradient = rank_and_gradient(x, method)
        expected = torch.tensor([5 / 6, 1 / 3, 0, 5 / 6], dtype=torch.float64)
        assert (rank - expected).abs().max() <= RANK_ERROR[dtype]
        assert gradient.isfinite().all()
        loss, *gradients = loss_and_gradients(x, -x, method)
        assert abs(loss - 2) <= 4 * torch.finfo(dtype).eps
        assert all(gradient.isfinite().all() for gradient in gradients)

    def test_values_whose_difference_overflows_are_compared_at_a_small_strength(
        self, method: str
    ) -> None:
        x = torch.tensor([3e38, 1e38, -3e38])
        rank = rank_relax.soft_rank(x, 1e-38, method=method)
        exact = oracle.soft_rank(x, 1e-38, method)
        assert (rank - exact).abs().max() <= RANK_ERROR[torch.float32]

    def test_denormal_values_are_compared(self, method: str) -> None:
        x = torch.tensor([0.0, 1e-45, 3e-45, -1e-45])
        rank = rank_relax.soft_rank(x, 1e45, method=method)
        assert (rank - oracle.soft_rank(x, 1e45, method)).abs().max() <= RANK_ERROR[x.dtype]
        loss, gradient, _ = loss_and_gradients(x, torch.tensor([1.0, 2.0, 3.0, 0.0]), method)
        exact = oracle.spearman_loss(x, torch.tensor([1.0, 2.0, 3.0, 0.0]), 1.0, method)
        assert abs(loss - exact) <= 4e-7
        assert not gradient.isnan().any()

    def test_numpy_numbers_are_strengths(self, method: str) -> None:
        x = torch.randn(5)
        expected = rank_relax.soft_rank(x, 2.0, method=method)
        for strength in (np.float32(2), np.float64(2), np.int64(2)):
            assert torch.equal(rank_relax.soft_rank(x, strength, method=method), expected)


class TestInfinities:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_they_are_the_largest_and_the_smallest_and_equal_ones_tie(
        self, method: str, dtype: torch.dtype
    ) -> None:
        x = torch.tensor([INF, 0.0, -INF, INF, -INF], dtype=dtype)
        rank, _ = rank_and_gradient(x, method)
        expected = torch.tensor([7 / 8, 1 / 2, 1 / 8, 7 / 8, 1 / 8], dtype=dtype)
        assert torch.equal(rank, expected)

    def test_their_gradient_is_zero_and_they_send_none(self, method: str) -> None:
        finite = torch.tensor([0.3, -1.0, 0.8])
        x = torch.cat([finite, torch.tensor([INF, -INF, INF])])
        _, gradient = rank_and_gradient(x, method)
        assert gradient[3:].tolist() == [0, 0, 0]
        leaf = finite.double().requires_grad_()
        cotangent = torch.linspace(-1, 2, 6, dtype=torch.float64) ** 3
        rank = oracle.soft_rank(leaf, 1.0, method) * 2 / 5  # two others among three, not five
        (expected,) = torch.autograd.grad(rank, leaf, cotangent[:3])
        assert (gradient[:3] - expected).abs().max() <= 1e-6

    def test_a_loss_over_them_is_finite_and_leaves_them_no_gradient(self, method: str) -> None:
        x = torch.tensor([INF, 0.2, -INF, 1.0, INF, 0.5], dtype=torch.float64)
        t = torch.randn(6, dtype=torch.float64)
        loss, gradient, of_targets = loss_and_gradients(x, t, method)
        assert abs(loss - oracle.spearman_loss(x, t, 1.0, method)) <= 1e-12
        assert gradient[x.isinf()].tolist() == [0, 0, 0]
        if method in METHODS:  # by projection, an item far from all others has its hard rank
            assert gradient[x.isfinite()].abs().min() > 0
        assert of_targets.isfinite().all()

    @pytest.mark.parametrize("operator", ["soft_rank", "spearman_loss"])
    def test_their_tangent_is_ignored(self, method: str, operator: str) -> None:
        x, t = torch.tensor([INF, 1.0, 2.0, 0.5]), torch.tensor([1.0, 3.0, 2.0, 0.0])

        def function(input: Tensor) -> Tensor:
            if operator == "soft_rank":
                return rank_relax.soft_rank(input, method=method)
            return soft_spearman_loss(input, t, method=method)

        v = torch.tensor([0.0, 1.0, -1.0, 0.5])
        _, expected = torch.func.jvp(function, (x,), (v,))
        _, actual = torch.func.jvp(function, (x,), (v.index_fill(0, torch.tensor(0), NAN),))
        assert torch.equal(actual, expected)

    def test_narrow_values_beside_an_infinity_are_still_correlated_with_it(
        self, method: str
    ) -> None:
        x = torch.tensor([1e-9, 2e-9, 4e-9, INF], dtype=torch.float64)
        t = torch.tensor([3.0, 1.0, 2.0, 0.5], dtype=torch.float64)
        loss, gradient, _ = loss_and_gradients(x, t, method)
        leaf = x.clone().requires_grad_()
        exact = oracle.spearman_loss(leaf, t, 1.0, method)
        (reference,) = torch.autograd.grad(exact, leaf)
        assert abs(loss - exact) <= 1e-12
        assert (gradient - reference).abs().max() <= 1e-10 * (1 + reference.abs().max())


class TestNan:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_its_rank_and_gradient_are_nan_and_the_others_do_not_see_it(
        self, method: str, dtype: torch.dtype
    ) -> None:
        for position in (0, 2, 5):
            x = torch.randn(6).to(dtype)
            x[position] = NAN
            others = torch.arange(6) != position
            rank, gradient = rank_and_gradient(x, method)
            assert rank[position].isnan()
            assert gradient[position].isnan()
            assert torch.equal(rank[others], rank_relax.soft_rank(x[others], method=method))
            masked_rank, masked_gradient = rank_and_gradient(x, method, others)
            assert torch.equal(rank[others], masked_rank[others])
            assert torch.equal(gradient[others], masked_gradient[others])

    def test_what_comes_back_to_it_is_ignored(self, method: str) -> None:
        x = torch.tensor([0.3, NAN, -1.0, 0.8])
        for intruder in (NAN, INF, 7.0):
            g = torch.tensor([1.0, intruder, 2.0, -1.0])
            gradient = torch.ops.rank_relax.soft_rank_backward(g, x, 1.0, method)
            kept = [0, 2, 3]
            alone = torch.ops.rank_relax.soft_rank_backward(g[kept], x[kept], 1.0, method)
            assert gradient[1].isnan()
            assert torch.equal(gradient[kept], alone)

    @pytest.mark.parametrize("where", ["predictions", "targets"])
    def test_a_loss_over_it_is_nan_with_nan_gradients_and_the_other_rows_are_not(
        self, method: str, where: str
    ) -> None:
        p, t = torch.randn(3, 5), torch.randn(3, 5)
        clean = loss_and_gradients(p, t, method)
        (p if where == "predictions" else t)[1, 2] = NAN
        mask = torch.ones(3, 5, dtype=torch.bool)
        mask[:, 4] = False
        losses, *gradients = loss_and_gradients(p, t, method)
        for actual, reference in zip((losses, *gradients), clean, strict=True):
            assert actual[1].isnan().all()
            assert torch.equal(actual[[0, 2]], reference[[0, 2]])
        losses, *gradients = loss_and_gradients(p, t, method, mask)
        assert losses.isnan().tolist() == [False, True, False]
        for gradient in gradients:
            assert gradient[1].isnan().tolist() == [True] * 4 + [False]
            assert gradient[1, 4] == 0

    def test_a_row_of_nothing_else_is_all_nan(self, method: str) -> None:
        rank, gradient = rank_and_gradient(torch.full((4,), NAN), method)
        assert rank.isnan().all()
        assert gradient.isnan().all()


class TestMask:
    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_masked_items_are_not_there(self, method: str, dtype: torch.dtype) -> None:
        short, t_short = torch.randn(2, 5).to(dtype)
        kept = torch.tensor([0, 2, 3, 5, 6])
        mask = torch.zeros(8, dtype=torch.bool)
        mask[kept] = True
        # Sums may be taken in another order: one rounding of the dtype, in [0, 2].
        tolerance = 4 * torch.finfo(dtype).eps
        for filling in (0.0, NAN, INF, -1e4):
            x, t = torch.full((2, 8), filling, dtype=dtype)
            x[kept], t[kept] = short, t_short
            rank, gradient = rank_and_gradient(x, method, mask)
            assert torch.equal(rank[kept], rank_relax.soft_rank(short, method=method))
            assert (rank[~mask] == 0).all()
            assert (gradient[~mask] == 0).all()
            losses = loss_and_gradients(x, t, method, mask)
            of_short = loss_and_gradients(short, t_short, method)
            for actual, alone in zip(losses, of_short, strict=True):
                error = (actual[kept] if actual.dim() else actual).sub(alone).abs().max()
                assert error <= tolerance
                assert not actual.dim() or (actual[~mask] == 0).all()

    @pytest.mark.parametrize("intruder", [NAN, INF, -5.0])
    def test_what_comes_back_to_a_masked_item_is_ignored(
        self, method: str, intruder: float
    ) -> None:
        x, mask = torch.randn(6), torch.tensor([True, False, True, True, False, True])
        g = torch.randn(6)
        expected = torch.ops.rank_relax.soft_rank_backward(g * mask, x, 1.0, method, mask)
        actual = torch.ops.rank_relax.soft_rank_backward(
            g.masked_fill(~mask, intruder), x, 1.0, method, mask
        )
        assert torch.equal(actual, expected)

    @pytest.mark.parametrize("operator", ["soft_rank", "spearman_loss"])
    def test_a_tangent_at_a_masked_item_is_ignored(self, method: str, operator: str) -> None:
        x, t = torch.randn(2, 6)
        mask = torch.tensor([True, False, True, True, False, True])

        def function(input: Tensor) -> Tensor:
            if operator == "soft_rank":
                return rank_relax.soft_rank(input, method=method, mask=mask)
            return soft_spearman_loss(input, t, method=method, mask=mask)

        v = torch.randn(6)
        _, expected = torch.func.jvp(function, (x,), (v * mask,))
        _, actual = torch.func.jvp(function, (x,), (v.masked_fill(~mask, NAN),))
        assert torch.equal(actual, expected)

    def test_a_mask_of_true_is_no_mask(self, method: str) -> None:
        x, t, mask = torch.randn(2, 6), torch.randn(2, 6), torch.ones(2, 6, dtype=torch.bool)
        for masked, plain in zip(
            (*rank_and_gradient(x, method, mask), *loss_and_gradients(x, t, method, mask)),
            (*rank_and_gradient(x, method), *loss_and_gradients(x, t, method)),
            strict=True,
        ):
            assert torch.equal(masked, plain)

    def test_a_mask_repeats_over_a_batch_by_expansion(self, method: str) -> None:
        x, mask = torch.randn(3, 4), torch.tensor([True, True, False, True])
        rank = rank_relax.soft_rank(x, method=method, mask=mask.expand_as(x))
        for row, expected in zip(x, rank, strict=True):
            assert torch.equal(rank_relax.soft_rank(row, method=method, mask=mask), expected)


class TestDtypes:
    @pytest.mark.parametrize(
        "dtype", [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    )
    def test_integer_targets_are_taken_as_the_predictions_dtype(
        self, method: str, dtype: torch.dtype
    ) -> None:
        for of_predictions in DTYPES:
            predictions = torch.randn(2, 6).to(of_predictions).requires_grad_()
            targets = torch.randint(0, 2 if dtype == torch.bool else 9, (2, 6)).to(dtype)
            actual = soft_spearman_loss(predictions, targets, method=method)
            expected = soft_spearman_loss(predictions, targets.to(of_predictions), method=method)
            assert actual.dtype == of_predictions
            assert torch.equal(actual, expected)
            actual.backward()
            assert predictions.grad is not None

    @pytest.mark.parametrize("of_predictions", DTYPES, ids=str)
    def test_two_floating_dtypes_are_promoted_as_by_addition(
        self, method: str, of_predictions: torch.dtype
    ) -> None:
        for of_targets in DTYPES:
            predictions = torch.randn(2, 6).to(of_predictions).requires_grad_()
            targets = torch.randn(2, 6).to(of_targets).requires_grad_()
            promoted = torch.promote_types(of_predictions, of_targets)
            actual = soft_spearman_loss(predictions, targets, method=method)
            both = predictions.to(promoted), targets.to(promoted)
            assert actual.dtype == promoted
            assert torch.equal(actual, soft_spearman_loss(*both, method=method))
            gradients = torch.autograd.grad(actual, (predictions, targets))
            assert [gradient.dtype for gradient in gradients] == [of_predictions, of_targets]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_long_rows_of_half_precision_lose_no_count(
        self, method: str, dtype: torch.dtype
    ) -> None:
        """4099 is a number of neither dtype."""
        x = torch.randn(4099).to(dtype)
        rank = rank_relax.soft_rank(x, 1e6, method=method)
        expected = (oracle.average_rank(x.float()) - 1) / 4098
        # Rounding to the dtype of a number in [0, 1].
        assert (rank.double() - expected).abs().max() <= torch.finfo(dtype).eps / 2

    def test_under_autocast_integer_targets_keep_their_order(
        self, method: str, device: str
    ) -> None:
        p = torch.randn(8).bfloat16()
        t = torch.arange(8) + 1000  # which bfloat16 cannot tell apart
        expected = soft_spearman_loss(p.float(), t, method=method)
        with torch.autocast(device, dtype=torch.bfloat16):
            for strength in (1.0, torch.tensor(1.0)):
                loss = soft_spearman_loss(p, t, strength, method=method)
                assert loss.dtype == torch.float32
                assert abs(loss - expected) <= 2.4e-7
            assert torch.ops.rank_relax.spearman_loss(p, t, 1.0, method, None, "soft") == expected


class TestArguments:
    def test_the_largest_gets_rank_zero_in_descending_order(self, method: str) -> None:
        x = torch.tensor([[0.1, 0.7, NAN, -0.4], [3.0, INF, 2.0, -INF]])
        mask = torch.tensor([[True, True, True, True], [True, True, False, True]])
        for given in (None, mask):
            actual = rank_relax.soft_rank(x, method=method, descending=True, mask=given)
            expected = rank_relax.soft_rank(-x, method=method, mask=given)
            assert torch.equal(actual.nan_to_num(9), expected.nan_to_num(9))
        assert rank_relax.soft_rank(x[0, :1], method=method, descending=True).item() == 0

    @pytest.mark.parametrize("dtype", DTYPES, ids=str)
    def test_without_normalisation_a_rank_counts_the_items_below(
        self, method: str, dtype: torch.dtype
    ) -> None:
        x = torch.tensor([[3.0, 1.0, NAN, 2.0, 1.0], [5.0, 9.0, 0.0, 0.0, 1.0]], dtype=dtype)
        mask = torch.tensor([[True] * 5, [True, False, False, False, True]])
        counts = rank_relax.soft_rank(x, 1e4, method=method, normalize=False, mask=mask)
        expected = torch.tensor([[3, 0.5, NAN, 2, 0.5], [1, 0, 0, 0, 0]])
        # A rank rounded to the dtype, times at most 3.
        error = (counts - expected).nan_to_num(0).abs()
        assert error.max() <= 4 * torch.finfo(dtype).eps + 3 * left_over(method, 1e4)
        assert torch.equal(counts.isnan(), expected.isnan())

    @pytest.mark.parametrize("dim", [0, 1, 2, -1, -3])
    def test_any_dimension_can_be_ranked(self, method: str, dim: int) -> None:
        x, mask = torch.randn(3, 4, 5), torch.rand(3, 4, 5) > 0.3
        actual = rank_relax.soft_rank(x, method=method, dim=dim, mask=mask)
        expected = rank_relax.soft_rank(
            x.movedim(dim, -1).contiguous(),
            method=method,
            mask=mask.movedim(dim, -1).contiguous(),
        )
        assert torch.equal(actual, expected.movedim(-1, dim))

    def test_reductions_are_those_of_the_losses_of_the_lists(self, method: str) -> None:
        p, t = torch.randn(2, 3, 5), torch.randn(2, 3, 5)
        losses = soft_spearman_loss(p, t, method=method, reduction="none")
        assert losses.shape == (2, 3)
        mean = soft_spearman_loss(p, t, method=method)
        total = soft_spearman_loss(p, t, method=method, reduction="sum")
        assert torch.equal(mean, losses.mean())
        assert torch.equal(total, losses.sum())

    def test_one_list_gives_a_scalar(self, method: str) -> None:
        p, t = torch.randn(2, 5)
        losses = soft_spearman_loss(p, t, method=method, reduction="none")
        assert losses.shape == ()

    def test_the_modules_are_the_functions(self, method: str) -> None:
        p, t, mask = torch.randn(3, 5), torch.randn(3, 5), torch.rand(3, 5) > 0.3
        for reduction in ("mean", "sum", "none"):
            loss = rank_relax.SpearmanLoss(
                2.0, method=method, reduction=reduction, target_ranks="soft"
            )
            expected = soft_spearman_loss(p, t, 2.0, method=method, mask=mask, reduction=reduction)
            assert torch.equal(loss(p, t, mask=mask), expected)
        options = {"dim": 0, "descending": True, "normalize": False}
        rank = rank_relax.SoftRank(2.0, method=method, **options)
        assert torch.equal(
            rank(p, mask=mask), rank_relax.soft_rank(p, 2.0, method=method, mask=mask, **options)
        )


class TestStrengthAsTensor:
    def test_it_gives_what_the_number_gives(self, method: str) -> None:
        p, t = torch.randn(2, 3, 9, dtype=torch.float64)
        strength = torch.tensor(2.5, dtype=torch.float64)
        # alpha * x is rounded once: 1e-15 times the largest |alpha x|, about 10.
        for function in (
            lambda alpha: rank_relax.soft_rank(p, alpha, method=method),
            lambda alpha: soft_spearman_loss(p, t, alpha, method=method),
            lambda alpha: rank_relax.SoftRank(alpha, method=method)(p),
            lambda alpha: rank_relax.SpearmanLoss(alpha, method=method, target_ranks="soft")(p, t),
        ):
            assert (function(strength) - function(2.5)).abs().max() <= 1e-13

    def test_its_gradient_is_that_of_the_oracle(self, method: str) -> None:
        p, t = torch.randn(2, 3, 9, dtype=torch.float64)
        mask = torch.rand(3, 9) > 0.2
        weights = torch.randn(3, 9, dtype=torch.float64)
        strength = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
        pairs = (
            (
                (rank_relax.soft_rank(p, strength, method=method, mask=mask) * weights).sum(),
                (oracle.soft_rank(p, strength, method, mask) * weights).sum(),
            ),
            (
                soft_spearman_loss(p, t, strength, method=method, mask=mask, reduction="sum"),
                oracle.spearman_loss(p, t, strength, method, mask).sum(),
            ),
        )
        for actual, exact in pairs:
            (gradient,) = torch.autograd.grad(actual, strength)
            (expected,) = torch.autograd.grad(exact, strength)
            # Sums of 27 terms of order 1.
            assert abs(gradient - expected) <= 1e-12

    @pytest.mark.parametrize(
        ("x", "strength"),
        [
            ([0.0, 1e-9, 2e-9, 3e-9, 1.0], 1e9),  # near neighbours in a wide list
            ([1e10, 2e10, 3e10, 4e10], 1e30),  # a product that overflows float32
            ([1e-25, 3e-25, -2e-25], 1e-20),  # and one that it cannot hold
            ([3e38, -3e38, 1e38], 1e-38),
            ([-2e10, -1e10, 1e10, 2e10], 1e300),  # one that overflows float64
            ([1e-30, 2e-30, 4e-30, 3e-30], 1e-300),  # and one that it cannot hold
        ],
    )
    def test_it_loses_no_precision(self, method: str, x: list[float], strength: float) -> None:
        p, t = torch.tensor(x), torch.arange(len(x)).float() ** 2
        tensor = torch.tensor(strength, dtype=torch.float64)
        by_number = rank_relax.soft_rank(p, strength, method=method)
        by_tensor = rank_relax.soft_rank(p, tensor, method=method)
        # Float64 inside both ways; one rounding to float32 at the end.
        assert (by_tensor - by_number).abs().max() <= 1.2e-7
        by_number = soft_spearman_loss(p, t, strength, method=method)
        by_tensor = soft_spearman_loss(p, t, tensor, method=method)
        # Four rounded rows of ranks, of a standard deviation of 0.4 or so, and the loss.
        assert abs(by_tensor - by_number) <= 4 * 6e-8 / 0.4 + 1.2e-7

    def test_on_empty_lists_it_has_gradient_zero(self, method: str) -> None:
        strength = torch.tensor(2.0, requires_grad=True)
        empty = torch.empty(3, 0)
        loss = soft_spearman_loss(empty, empty, strength, method=method)
        rank = rank_relax.soft_rank(empty, strength, method=method)
        (loss + rank.sum()).backward()
        assert loss.item() == 0
        assert strength.grad is not None
        assert strength.grad.item() == 0

    def test_it_keeps_the_dtype_of_the_values(self, method: str) -> None:
        strength = torch.tensor(2.0)
        for dtype in DTYPES:
            x = torch.randn(5).to(dtype)
            assert rank_relax.soft_rank(x, strength, method=method).dtype == dtype

    def test_its_second_derivatives_are_right(self, method: str) -> None:
        x, t = torch.randn(2, 2, 5, dtype=torch.float64, requires_grad=True)
        strength = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)

        def rank(x: Tensor, strength: Tensor) -> Tensor:
            return rank_relax.soft_rank(x, strength, method=method, scale="std")

        def loss(x: Tensor, t: Tensor, strength: Tensor) -> Tensor:
            return soft_spearman_loss(x, t, strength, method=method)

        assert torch.autograd.gradgradcheck(rank, (x, strength), check_fwd_over_rev=True)
        assert torch.autograd.gradgradcheck(loss, (x, t, strength), check_fwd_over_rev=True)


class TestScale:
    @pytest.mark.parametrize("factor", [1e-3, 0.5, 40.0])
    def test_the_unit_of_the_values_does_not_matter(self, method: str, factor: float) -> None:
        x, t = torch.randn(2, 3, 9, dtype=torch.float64)
        mask = torch.rand(3, 9) > 0.2
        rank = rank_relax.soft_rank(x, method=method, mask=mask, scale="std")
        scaled = rank_relax.soft_rank(factor * x, method=method, mask=mask, scale="std")
        assert (rank - scaled).abs().max() <= 1e-13
        loss = soft_spearman_loss(x, t, method=method, mask=mask, scale="std")
        for p, q in ((factor * x, t), (x, factor * t), (x + 1, t - 1)):
            other = soft_spearman_loss(p, q, method=method, mask=mask, scale="std")
            assert abs(loss - other) <= 1e-12

    def test_the_strength_is_per_standard_deviation_of_the_row(self, method: str) -> None:
        x = torch.randn(3, 9, dtype=torch.float64) * torch.tensor([[0.1], [1.0], [30.0]])
        actual = rank_relax.soft_rank(x, 2.0, method=method, scale="std")
        expected = oracle.soft_rank(x / x.std(-1, keepdim=True, correction=0), 2.0, method)
        assert (actual - expected).abs().max() <= 1e-13
        module = rank_relax.SoftRank(2.0, method=method, scale="std")
        assert torch.equal(module(x), actual)

    def test_masked_and_nan_items_have_no_part_in_it(self, method: str) -> None:
        x = torch.tensor([0.4, 1e9, -2.0, NAN, 0.9], dtype=torch.float64)
        mask = torch.tensor([True, False, True, True, True])
        kept = [0, 2, 4]
        actual = rank_relax.soft_rank(x, method=method, mask=mask, scale="std")
        expected = rank_relax.soft_rank(x[kept], method=method, scale="std")
        assert (actual[kept] - expected).abs().max() <= 1e-13
        assert actual[1] == 0
        assert actual[3].isnan()

    def test_its_gradient_passes_through_the_standard_deviation(self, method: str) -> None:
        x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
        t = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)
        mask = torch.tensor([[True] * 5, [True, True, False, True, True]])

        def rank(x: Tensor) -> Tensor:
            return rank_relax.soft_rank(x, method=method, mask=mask, scale="std")

        def loss(x: Tensor, t: Tensor) -> Tensor:
            return soft_spearman_loss(x, t, method=method, mask=mask, scale="std")

        assert torch.autograd.gradcheck(rank, (x,))
        assert torch.autograd.gradcheck(loss, (x, t))
        (gradient,) = torch.autograd.grad(loss(x, t), x)
        # A loss that doesn't change with the scale has no gradient along x.
        assert (gradient * x).sum(-1).abs().max() <= 1e-14

    @pytest.mark.parametrize(
        ("value", "dtype"),
        [(1.4e-45, torch.float32), (4.2e-45, torch.float32), (5e-324, torch.float64)],
    )
    def test_a_constant_row_of_denormals_is_constant(
        self, method: str, value: float, dtype: torch.dtype
    ) -> None:
        x = torch.full((4,), value, dtype=dtype)
        assert rank_relax.soft_rank(x, method=method, scale="std").tolist() == [0.5] * 4
        t = torch.arange(4).to(dtype)
        assert soft_spearman_loss(x, t, method=method, scale="std").item() == 1

    def test_a_constant_row_and_one_item_stay_what_they_are(self, method: str) -> None:
        for x, rank in ((torch.full((4,), 3.0), 0.5), (torch.tensor([3.0]), 0.0)):
            x.requires_grad_()
            ranks = rank_relax.soft_rank(x, method=method, scale="std")
            assert ranks.tolist() == [rank] * len(x)
            (gradient,) = torch.autograd.grad(ranks.sum(), x)
            assert gradient.tolist() == [0] * len(x)
            loss = soft_spearman_loss(x, x.detach(), method=method, scale="std")
            assert loss.item() == (1 if len(x) > 1 else 0)
            (gradient,) = torch.autograd.grad(loss, x)
            assert gradient.tolist() == [0] * len(x)
