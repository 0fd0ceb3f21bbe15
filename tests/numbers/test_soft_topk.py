"""What ``soft_topk`` promises, case by case: shares that add up to k.

The same questions as of every operator are in test_operators.py; the formulas in oracle.py.
"""

import math

import pytest
import torch
from order_statistics import FLOATS, SMOOTH, TINY, gradient_of

from rank_relax import soft_topk

INF, NAN = math.inf, math.nan


@SMOOTH
@FLOATS
@pytest.mark.parametrize("shape", [(50,), (7, 1000), (3, 40)], ids=str)
def test_a_mask_of_the_top_k_adds_up_to_k(
    shape: tuple[int, ...], dtype: torch.dtype, method: str
) -> None:
    x = torch.randn(shape, dtype=dtype)
    for alpha in (1e-3, 1.0, 100.0, 1e6):
        for k in (1, 2.5, 17, shape[-1] - 1, shape[-1]):
            total = soft_topk(x, k, alpha, method=method).double().sum(-1)
            # That of float32's shares, each rounded for itself; and of float64's threshold, which
            # at alpha = 1e6 is known to 1e-15 of values of order 1, times a density.
            error = 1e-6 if dtype == torch.float32 else 1e-12 + 2e-16 * alpha
            assert (total - k).abs().max() <= error * max(k, 1)


@SMOOTH
def test_a_mask_adds_up_to_k_at_any_strength(method: str) -> None:
    """Though the threshold is a double, which strengths may show to be a coarse number."""
    x = torch.randn(20, 9, dtype=torch.float64)
    ties = torch.tensor([0.1, 0.1, 0.1, -9.0, 9.0, 0.1, 2.0, 2.0, 1e6], dtype=torch.float64)
    for alpha in (1e8, 1e12, 1e14, 1e16, 1e20, 1e300):
        for k in (1e-9, 0.4, 1.3, 3.9, 6.5, 8.0):
            for row in (x, ties, ties + 1e9):
                total = soft_topk(row, k, alpha, method=method).sum(-1)
                assert (total - k).abs().max() <= 1e-13


@SMOOTH
@pytest.mark.parametrize("gap", [1e2, 1e4, 1e8])
def test_a_mask_is_hard_where_a_wide_gap_is_cut(gap: float, method: str) -> None:
    x = torch.cat([torch.randn(6), gap + torch.randn(4)]).double()
    chosen = soft_topk(x, 4, method=method)
    # The threshold is a fifth of the gap or more from either side, and tails fall as 1/(pi d).
    left_over = 5 / (math.pi * (gap - 10)) if method == "cauchy" else 1e-20
    assert (chosen - torch.tensor([0.0] * 6 + [1.0] * 4)).abs().max() < left_over
    assert (
        gradient_of(lambda x: (soft_topk(x, 4, method=method) * x.detach()).sum(), x)
        .isfinite()
        .all()
    )


@SMOOTH
def test_infinities_are_the_first_and_the_last_to_be_chosen(method: str) -> None:
    x = torch.tensor([INF, 0.0, -INF, 1.0, INF, -INF])
    for k, expected in (
        (0, [0, 0, 0, 0, 0, 0]),
        (1, [0.5, 0, 0, 0, 0.5, 0]),
        (2, [1, 0, 0, 0, 1, 0]),
        (4, [1, 1, 0, 1, 1, 0]),
        (5, [1, 1, 0.5, 1, 1, 0.5]),
        (6, [1, 1, 1, 1, 1, 1]),
    ):
        assert soft_topk(x, k, 100.0, method=method).tolist() == expected
    for k in (1, 3, 5):
        gradient = gradient_of(lambda x, k=k: (soft_topk(x, k, method=method) * x.sign()).sum(), x)
        assert gradient[x.isinf()].tolist() == [0, 0, 0, 0]
    third = soft_topk(x, 3, method=method)
    assert abs(float(third.sum()) - 3) <= 1e-6


@SMOOTH
def test_a_top_k_of_everything_or_nothing_is_exact(method: str) -> None:
    x = torch.randn(3, 8)
    x[0, 2] = NAN
    mask = torch.rand(3, 8) > 0.2
    counted = mask & ~x.isnan()
    everything, nothing = (soft_topk(x, k, method=method, mask=mask) for k in (8, 0))
    assert torch.equal(everything[counted], torch.ones(int(counted.sum())))
    assert torch.equal(nothing[counted], torch.zeros(int(counted.sum())))
    for chosen in (everything, nothing):
        assert torch.equal(chosen.isnan(), mask & x.isnan())
        assert (chosen[~mask] == 0).all()
    gradient = gradient_of(lambda x: soft_topk(x, 3, method=method, mask=mask).nansum(), x)
    assert torch.equal(gradient.isnan(), mask & x.isnan())
    assert (gradient[~mask] == 0).all()


@SMOOTH
def test_equal_scores_share_what_there_is(method: str) -> None:
    chosen = soft_topk(torch.tensor([1.0, 1.0, 1.0, -50.0, 90.0]), 2, method=method)
    assert chosen[0] == chosen[1] == chosen[2]
    # A tail of 1/(pi d) leaves something of the last two, 50 and more from the threshold.
    error = 1 / (math.pi * 50) if method == "cauchy" else 1e-6
    assert chosen.tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0, 1], abs=error)


@SMOOTH
def test_what_one_share_gains_the_others_lose(method: str) -> None:
    x = torch.randn(7, dtype=torch.float64)
    jacobian = torch.func.jacrev(lambda x: soft_topk(x, 3.2, 1.5, method=method))(x)
    assert (jacobian - jacobian.T).abs().max() <= TINY
    assert jacobian.sum(0).abs().max() <= TINY
    hessian = torch.func.hessian(lambda x: soft_topk(x, 3.2, 1.5, method=method).sum())(x)
    assert hessian.abs().max() <= 1e-11


@SMOOTH
def test_every_list_may_have_a_k_of_its_own(method: str) -> None:
    x, k = torch.randn(2, 3, 5), torch.tensor([[0, 1, 2], [3, 4, 5]])
    chosen = soft_topk(x, k, 2.0, method=method)
    along_first = soft_topk(x.movedim(-1, 0), k, 2.0, method=method, dim=0)
    for i in range(2):
        for j in range(3):
            expected = soft_topk(x[i, j], int(k[i, j]), 2.0, method=method)
            assert (chosen[i, j] - expected).abs().max() <= 3e-7
            assert (along_first[:, i, j] - expected).abs().max() <= 3e-7
    assert torch.equal(soft_topk(x, torch.tensor(2)), soft_topk(x, 2))


@SMOOTH
def test_masks_of_lists_far_from_zero_add_up_too(method: str) -> None:
    for values, k, alpha in (
        ([1e8] * 3, 1, 1e6),
        ([1e4] * 3, 1, 1e10),
        ([0.5, 1e6, 1e6, 1e6, 3e6], 2, 1e6),
        ([1.0] * 3, 1, 1e16),
    ):
        chosen = soft_topk(torch.tensor(values), k, alpha, method=method)
        assert abs(chosen.double().sum().item() - k) <= 1e-6 * k
