"""Laws that hold for every row, tried on thousands of rows that hypothesis makes up."""

import math
from functools import partial

import oracle
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from operators import (
    ALL_METHODS,
    SOFT_RANK,
    SOFT_RANK_BACKWARD,
    SPEARMAN_LOSS,
    Setting,
    derivative_bound,
    spearman_bound,
    spearman_gradient_bound,
)
from torch import Tensor

import rank_relax

soft_spearman_loss = partial(rank_relax.spearman_loss, target_ranks="soft")

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_device")]

# Fourteen laws, so that one run tries 14 000 cases, always the same ones.
cases = settings(
    max_examples=1000,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

# Eighths are exact in every dtype used here, and so are their sums and differences.
EIGHTHS = st.integers(-160, 160).map(lambda eighths: eighths / 8)
REALS = st.floats(-20, 20, width=32, allow_subnormal=False)
SPECIAL = st.sampled_from([math.nan, math.inf, -math.inf])
STRENGTHS = st.sampled_from([2.0**-20, 0.125, 0.5, 1.0, 3.0, 8.0, 100.0])
# Rounding in float64 of a rank, or of a loss.
TINY = 1e-13


@st.composite
def methods(draw: st.DrawFn) -> str:
    return draw(st.sampled_from(ALL_METHODS))


METHOD = methods()


def rows(
    elements: st.SearchStrategy[float] = EIGHTHS | REALS, min_size: int = 0, max_size: int = 10
) -> st.SearchStrategy[Tensor]:
    lists = st.lists(elements, min_size=min_size, max_size=max_size)
    return lists.map(lambda values: torch.tensor(values, dtype=torch.float64))


@st.composite
def several_rows(
    draw: st.DrawFn,
    count: int,
    elements: st.SearchStrategy[float] = EIGHTHS | REALS,
    min_size: int = 0,
) -> tuple[Tensor, ...]:
    """Rows of one length."""
    n = draw(st.integers(min_size, 9))
    return tuple(draw(rows(elements, n, n)) for _ in range(count))


@st.composite
def masks(draw: st.DrawFn, n: int) -> Tensor | None:
    kept = draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n))
    return None if kept is None else torch.tensor(kept, dtype=torch.bool)


def largest(tensor: Tensor) -> float:
    return float(tensor.abs().max()) if tensor.numel() else 0.0


def gradient(x: Tensor, g: Tensor, strength: float, method: str) -> Tensor:
    backward: Tensor = torch.ops.rank_relax.soft_rank_backward(g, x, strength, method)
    return backward


@cases
@given(rows(), st.randoms(use_true_random=False), STRENGTHS, METHOD)
def test_a_permuted_row_has_permuted_ranks(
    x: Tensor, random: object, strength: float, method: str
) -> None:
    order = list(range(len(x)))
    random.shuffle(order)  # type: ignore[attr-defined]
    rank = rank_relax.soft_rank(x, strength, method=method)
    assert largest(rank_relax.soft_rank(x[order], strength, method=method) - rank[order]) <= TINY


@cases
@given(rows(min_size=2), STRENGTHS, METHOD)
def test_a_larger_value_has_no_smaller_rank(x: Tensor, strength: float, method: str) -> None:
    rank = rank_relax.soft_rank(x, strength, method=method)
    assert rank.min() >= 0
    assert rank.max() <= 1
    # TINY: each rank is rounded for itself.
    assert rank[x.argsort()].diff().min() >= -TINY


@cases
@given(rows(EIGHTHS | REALS | st.sampled_from([math.inf, -math.inf]), 2), STRENGTHS, METHOD)
def test_the_ranks_of_a_row_and_of_its_negative_add_up_to_one(
    x: Tensor, strength: float, method: str
) -> None:
    rank = rank_relax.soft_rank(x, strength, method=method)
    negative = rank_relax.soft_rank(-x, strength, method=method)
    descending = rank_relax.soft_rank(x, strength, method=method, descending=True)
    if method != "kl":  # which is not symmetric
        assert largest(rank + negative - 1) <= TINY
    assert torch.equal(descending, negative)


@cases
@given(rows(EIGHTHS), st.integers(-1000, 1000), STRENGTHS, METHOD)
def test_a_shift_changes_nothing(x: Tensor, shift: int, strength: float, method: str) -> None:
    rank = rank_relax.soft_rank(x, strength, method=method)
    assert largest(rank_relax.soft_rank(x + shift, strength, method=method) - rank) <= TINY


@cases
@given(rows(), st.integers(-8, 8), STRENGTHS, METHOD)
def test_ranks_depend_on_the_product_of_strength_and_value(
    x: Tensor, power: int, strength: float, method: str
) -> None:
    factor = 2.0**power
    rank = rank_relax.soft_rank(x, strength * factor, method=method)
    assert largest(rank_relax.soft_rank(x * factor, strength, method=method) - rank) <= TINY


@cases
@given(several_rows(2), st.data(), STRENGTHS, METHOD)
def test_a_padded_masked_row_is_the_short_row(
    pair: tuple[Tensor, Tensor], data: st.DataObject, strength: float, method: str
) -> None:
    padding = data.draw(rows(EIGHTHS | SPECIAL, max_size=5))
    order = data.draw(st.permutations(range(len(pair[0]) + len(padding))))
    p, t = (torch.cat([short, padding])[order] for short in pair)
    mask = (torch.arange(len(p)) < len(pair[0]))[order]
    place = torch.tensor(order, dtype=torch.int64)[mask]
    rank = rank_relax.soft_rank(p, strength, method=method, mask=mask)
    short_rank = rank_relax.soft_rank(pair[0], strength, method=method)
    assert largest(rank[mask] - short_rank[place]) <= TINY
    assert largest(rank[~mask]) == 0
    loss = soft_spearman_loss(p, t, strength, method=method, mask=mask)
    short_loss = soft_spearman_loss(*pair, strength, method=method)
    # Sums in another order, which matters as much as ranks are close to each other.
    setting = Setting(strength, method)
    assert abs(loss - short_loss) <= spearman_bound(pair, setting, torch.float64)


@cases
@given(several_rows(2, min_size=1), STRENGTHS, METHOD)
def test_gradients_of_a_row_add_up_to_zero(
    pair: tuple[Tensor, Tensor], strength: float, method: str
) -> None:
    x, g = pair
    total = gradient(x, g, strength, method).sum().abs()
    bound = derivative_bound((g, x), Setting(strength, method), torch.float64)
    assert total <= len(x) * bound
    leaf = x.clone().requires_grad_()
    loss = soft_spearman_loss(leaf, g, strength, method=method)
    (of_loss,) = torch.autograd.grad(loss, leaf)
    # Each is rounded for itself, and sums of n of them cancel.
    assert of_loss.sum().abs() <= 1e-13 * len(x) * (largest(of_loss) + strength)


@cases
@given(several_rows(3), STRENGTHS, METHOD)
def test_the_jacobian_is_symmetric(
    triple: tuple[Tensor, Tensor, Tensor], strength: float, method: str
) -> None:
    x, v, w = triple
    left, right = w @ gradient(x, v, strength, method), v @ gradient(x, w, strength, method)
    # Rounding of each product of values up to 20 with derivatives up to 20 alpha.
    assert abs(left - right) <= 1e-12 * 400 * strength


@cases
@given(rows(EIGHTHS | st.sampled_from([math.inf, -math.inf]), 2), METHOD)
def test_a_sharp_rank_is_scipys_average_rank(x: Tensor, method: str) -> None:
    rank = rank_relax.soft_rank(x, 1e4, method=method, normalize=False)
    # Neighbours are 1250 apart: F is 0, 1/2 or 1 without any error but of the sum, or a tail's.
    error = 1 / (math.pi * 1250) if method == "cauchy" else TINY
    assert largest(rank + 1 - oracle.average_rank(x)) <= error * len(x)


@cases
@given(several_rows(2), STRENGTHS, METHOD)
def test_the_loss_lies_between_zero_and_two_and_is_symmetric(
    pair: tuple[Tensor, Tensor], strength: float, method: str
) -> None:
    p, t = pair
    loss = soft_spearman_loss(p, t, strength, method=method)
    assert 0 <= loss <= 2
    swapped = soft_spearman_loss(t, p, strength, method=method)
    opposite = soft_spearman_loss(p, -t, strength, method=method)
    assert abs(loss - swapped) <= TINY
    if len(p) > 1 and method != "kl":
        assert abs(loss + opposite - 2) <= TINY


@cases
@given(rows(), STRENGTHS, METHOD)
def test_the_loss_of_a_row_against_itself_is_zero(x: Tensor, strength: float, method: str) -> None:
    leaf = x.clone().requires_grad_()
    loss = soft_spearman_loss(leaf, x, strength, method=method)
    constant = len(x) > 1 and bool((x == x[0]).all())
    assert loss == (1 if constant else 0)
    (of_loss,) = torch.autograd.grad(loss, leaf)
    assert largest(of_loss) == 0


@cases
@given(
    several_rows(2, EIGHTHS | REALS | SPECIAL),
    st.data(),
    STRENGTHS,
    METHOD,
    st.sampled_from([torch.float64, torch.float32]),
)
def test_any_row_is_ranked_as_the_oracle_says(
    pair: tuple[Tensor, Tensor],
    data: st.DataObject,
    strength: float,
    method: str,
    dtype: torch.dtype,
) -> None:
    x, g = pair[0].to(dtype), pair[1].nan_to_num(7.0, 2.0, -3.0).to(dtype)
    setting = Setting(strength, method, data.draw(masks(len(x))))
    for operator, tensors in ((SOFT_RANK, (x,)), (SOFT_RANK_BACKWARD, (g, x))):
        actual, exact = operator(tensors, setting), operator.expected(tensors, setting)
        assert torch.equal(actual.isnan(), exact.isnan())
        error = (actual - exact).nan_to_num(0.0, posinf=math.inf).abs()
        assert (error <= torch.as_tensor(operator.error_bound(tensors, setting, dtype))).all()


@cases
@given(several_rows(2, EIGHTHS | REALS | SPECIAL), st.data(), STRENGTHS, METHOD)
def test_any_pair_of_rows_has_the_loss_and_the_gradient_of_the_oracle(
    pair: tuple[Tensor, Tensor], data: st.DataObject, strength: float, method: str
) -> None:
    setting = Setting(strength, method, data.draw(masks(len(pair[0]))))
    leaves = tuple(tensor.clone().requires_grad_() for tensor in pair)
    loss, exact = SPEARMAN_LOSS(leaves, setting), SPEARMAN_LOSS.expected(leaves, setting)
    assert bool(loss.isnan()) == bool(exact.isnan())
    if not loss.isnan():
        assert abs(loss - exact) <= spearman_bound(pair, setting, torch.float64)
    gradients = torch.autograd.grad(loss, leaves)
    one = torch.ones((), dtype=torch.float64)
    for actual, expected, sides in zip(
        gradients, torch.autograd.grad(exact, leaves), (pair, pair[::-1]), strict=True
    ):
        assert torch.equal(actual.isnan(), expected.isnan())
        if not loss.isnan():
            bound = spearman_gradient_bound(one, sides, setting, torch.float64)
            assert ((actual - expected).abs() <= bound).all()


BAD_STRENGTHS = st.floats(max_value=0) | st.sampled_from([math.inf, math.nan])
BAD_METHODS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=9)
BAD_DTYPES = st.sampled_from([torch.int32, torch.int64, torch.bool, torch.complex64])
BAD_SHAPES = st.lists(st.integers(0, 4), max_size=4)


@cases
@given(st.data(), st.sampled_from(["soft_rank", "spearman_loss"]), st.booleans())
def test_every_bad_input_gives_its_error_and_nothing_else(
    data: st.DataObject, name: str, through_python: bool
) -> None:
    function = getattr(rank_relax if through_python else torch.ops.rank_relax, name)
    first = "input" if name == "soft_rank" else "predictions"
    values = torch.zeros(2, 3)
    tensors = [values] if name == "soft_rank" else [values, values]
    options: dict[str, object] = {}
    names = ["regularization_strength", "method", first, "mask dtype", "mask"]
    wrong = data.draw(st.sampled_from([*names, *(["targets"] if len(tensors) == 2 else [])]))
    expected: type[Exception] = ValueError
    if wrong == "regularization_strength":
        options[wrong] = data.draw(BAD_STRENGTHS)
    elif wrong == "method":
        options[wrong] = data.draw(BAD_METHODS)
        assume(options[wrong] not in ALL_METHODS)
    elif wrong == first:
        tensors[0] = values.to(data.draw(BAD_DTYPES))
        expected = TypeError
    elif wrong == "mask dtype":
        options["mask"] = values.to(data.draw(st.sampled_from([torch.uint8, torch.float32])))
        expected = TypeError
    else:
        shape = data.draw(BAD_SHAPES)
        assume(shape != [2, 3])
        if wrong == "mask":
            options["mask"] = torch.ones(shape, dtype=torch.bool)
        else:
            tensors[1] = torch.zeros(shape)
    with pytest.raises(expected, match=wrong.partition(" ")[0]) as caught:
        function(*tensors, **options)
    assert type(caught.value) is expected
