"""Sums at points in every form, against the float64 sum over pairs."""

import math
import subprocess
from collections.abc import Callable

import oracle
import pytest
import torch
from instruction_sets import HAS, IN_USE, start_with_instruction_set
from operators import COUNT_ERROR, METHODS, Setting, count_scale
from torch import Tensor

import rank_relax

inf, nan = torch.inf, torch.nan
ORDERS = (-1, 0, 1, 2)


def normal(n: int) -> Tensor:
    return torch.randn(n, dtype=torch.float64)


LISTS: dict[str, Callable[[int], Tensor]] = {
    "normal": normal,
    "far from 0": lambda n: normal(n) + 1e6,
    "ties": lambda n: torch.round(8 * normal(n)) / 8,
    "clusters": lambda n: 100 * torch.randint(0, 5, (n,)) + 0.01 * normal(n),
    "an outlier": lambda n: torch.cat(
        [torch.tensor([1e9], dtype=torch.float64), 0.001 * normal(n - 1)]
    ),
    "of every size": lambda n: (
        torch.exp(8 * normal(n)) * torch.randn(n, dtype=torch.float64).sign()
    ),
    "constant": lambda n: torch.full((n,), 0.3, dtype=torch.float64),
    "huge": lambda n: 1e37 * normal(n),
}


def assert_counts(
    points: Tensor, values: Tensor, weights: Tensor, setting: Setting, order: int
) -> None:
    options = {"method": setting.method, "order": order}
    actual = rank_relax.soft_count(
        points, values, weights, setting.regularization_strength, **options
    )
    assert actual.dtype == values.dtype
    tensors = (weights.unsqueeze(-2), points, values)
    exact = oracle.kernel_sum(*tensors, order, *setting).squeeze(-2)
    bound = COUNT_ERROR[values.dtype] * count_scale(tensors, setting, order).squeeze(-2)
    exact = torch.where(exact.to(values.dtype).isinf(), exact.to(values.dtype).double(), exact)
    error = torch.where(actual == exact, 0.0, (actual.double() - exact).abs())
    assert (error <= bound).all(), f"{float((error / bound).max())} of the bound"


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", LISTS)
def test_they_are_the_sums_of_their_pairs(name: str, method: str, dtype: torch.dtype) -> None:
    for m, n in ((1, 1), (3, 40), (40, 3), (70, 90), (900, 700), (2, 5000)):
        values, points = LISTS[name](n), LISTS[name](m)
        points[: m // 2] = values[torch.randint(0, n, (m // 2,))]
        weights = normal(n)
        for strength in (0.01, 1.0, 30.0, 1e4):
            for order in ORDERS:
                lists = (points.to(dtype), values.to(dtype), weights.to(dtype))
                assert_counts(*lists, Setting(strength, method), order)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", ["sigmoid", "gaussian", "laplace"])
def test_long_lists_are_summed_as_exactly(method: str, dtype: torch.dtype) -> None:
    """At some of the points, where all pairs would not be looked at."""
    n = 60_000
    for name in ("normal", "clusters", "an outlier", "of every size"):
        values, points = LISTS[name](n).to(dtype), LISTS[name](n).to(dtype)
        weights = torch.rand(n).to(dtype)
        for strength, order in ((1.0, -1), (1.0, 0), (300.0, 0), (1e4, 1), (1e5, -1)):
            setting = Setting(strength, method)
            all_of_them = rank_relax.soft_count(
                points, values, weights, strength, method=method, order=order
            )
            some = torch.randint(0, n, (20,))
            tensors = (weights.unsqueeze(0), points[some], values)
            exact = oracle.kernel_sum(*tensors, order, *setting)[0]
            bound = COUNT_ERROR[dtype] * count_scale(tensors, setting, order)[0]
            assert ((all_of_them[some].double() - exact).abs() <= bound).all()


@pytest.mark.parametrize("method", ["sigmoid", "gaussian", "laplace"])
@pytest.mark.parametrize("n", [10, 3000])
def test_a_count_of_few_is_exact_relative_to_itself(n: int, method: str) -> None:
    """Far below all values, where the count is the sum of their tails."""
    values = torch.rand(n)
    points = -torch.linspace(0.5, 12.0, 9) / (4 if method == "gaussian" else 1)
    counts = rank_relax.soft_count(points, values, None, 1.5, method=method).double()
    exact = oracle.kernel_sum(torch.ones(1, n), points, values, 0, 1.5, method)[0]
    assert exact.min() < 1e-3 * n
    assert ((counts - exact).abs() <= 1e-6 * exact).all()


def test_what_lies_at_infinity_counts_whole_or_not_at_all() -> None:
    values = torch.tensor([-inf, 0.0, inf, nan, 1.0])
    points = torch.tensor([-inf, 0.5, inf, nan])
    weights = torch.tensor([8.0, 1.0, 16.0, 64.0, 2.0])
    middle = 8 + 1 / (1 + math.exp(-0.5)) + 2 / (1 + math.exp(0.5))
    counts = rank_relax.soft_count(points, values, weights)
    torch.testing.assert_close(counts, torch.tensor([4.0, middle, 19.0, nan]), equal_nan=True)
    densities = rank_relax.soft_count(points, values, weights, order=1)
    assert densities[[0, 2]].tolist() == [0, 0]
    assert densities[3].isnan()
    integrals = rank_relax.soft_count(points, values, weights, order=-1)
    assert integrals[:3].tolist() == [pytest.approx(8 * math.log(2)), inf, inf]
    without = rank_relax.soft_count(points, values, weights * torch.isfinite(values), order=-1)
    assert without[0] == 0
    assert without[1].isfinite()


def test_the_integral_of_a_cauchy_tail_has_no_farthest_distance() -> None:
    exponents = torch.tensor([15.0, 17, 100, 200, 300], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    integrals = rank_relax.soft_count(-(10**exponents), zero, method="cauchy", order=-1)
    far = (1 + exponents * math.log(10)) / math.pi  # and 1/d² of it
    torch.testing.assert_close(integrals, -far, rtol=1e-14, atol=0)


def test_a_weight_that_is_not_finite_shows_everywhere() -> None:
    for n in (3, 500):
        weights = torch.ones(n)
        weights[1] = nan
        assert rank_relax.soft_count(torch.randn(4), torch.randn(n), weights).isnan().all()


def test_nothing_has_no_weight() -> None:
    assert rank_relax.soft_count(torch.randn(2, 3), torch.randn(2, 0)).tolist() == [[0] * 3] * 2
    assert rank_relax.soft_count(torch.randn(2, 0), torch.randn(2, 3)).shape == (2, 0)
    assert rank_relax.soft_count(torch.randn(0, 4), torch.randn(0, 3)).shape == (0, 4)


def test_an_integer_weight_is_a_repetition() -> None:
    values, points = torch.randn(50, dtype=torch.float64), torch.randn(20, dtype=torch.float64)
    times = torch.randint(0, 5, (50,))
    weighted = rank_relax.soft_count(points, values, times.double())
    repeated = rank_relax.soft_count(points, values.repeat_interleave(times))
    torch.testing.assert_close(weighted, repeated)


def test_a_rank_is_a_count_at_its_own_list() -> None:
    for n in (5, 300, 20_000):
        x = torch.randn(n)
        ranks = rank_relax.soft_rank(x, 3.0, normalize=False)
        counts = rank_relax.soft_count(x, x, None, 3.0) - 0.5
        torch.testing.assert_close(counts, ranks, rtol=1e-6, atol=1e-6 * n)


def test_a_pairwise_logistic_loss_and_its_gradient_are_sums_of_order_minus_one() -> None:
    scores = torch.randn(40, dtype=torch.float64, requires_grad=True)
    better = torch.rand(40) > 0.6
    plain = torch.nn.functional.softplus(scores[~better] - scores[better][:, None]).sum()
    summed = rank_relax.soft_count(scores[~better], scores[better], order=-1).sum()
    torch.testing.assert_close(summed, plain)
    (actual,) = torch.autograd.grad(summed, scores)
    (expected,) = torch.autograd.grad(plain, scores)
    torch.testing.assert_close(actual, expected)


def test_several_sets_of_weights_are_counted_at_once() -> None:
    points, values = torch.randn(2, 7), torch.randn(2, 90)
    weights = torch.randn(2, 3, 90)
    together = rank_relax.soft_count(points, values, weights, 2.0)
    assert together.shape == (2, 3, 7)
    for set in range(3):
        alone = rank_relax.soft_count(points, values, weights[:, set], 2.0)
        assert torch.equal(together[:, set], alone)


def test_a_masked_value_counts_nowhere() -> None:
    points, values = torch.randn(3, 5), torch.randn(3, 40)
    mask = torch.rand(3, 40) > 0.4
    values[~mask] = nan
    values.requires_grad_()
    counts = rank_relax.soft_count(points, values, mask=mask)
    for row in range(3):
        alone = rank_relax.soft_count(points[row], values[row][mask[row]])
        torch.testing.assert_close(counts[row], alone)
    (gradient,) = torch.autograd.grad(counts.sum(), values)
    assert (gradient[~mask] == 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_lists_in_a_row_are_those_apart(method: str) -> None:
    """Values and gradients, with empty lists among them, and lists of values of other lengths."""
    lengths, point_lengths = [3, 0, 1, 70, 300, 0], [2, 4, 0, 50, 7, 0]
    values, points = (
        [torch.randn(n, dtype=torch.float64, requires_grad=True) for n in sizes]
        for sizes in (lengths, point_lengths)
    )
    weights = [torch.randn(n, dtype=torch.float64, requires_grad=True) for n in lengths]
    ends = [torch.tensor([0, *sizes]).cumsum(0) for sizes in (lengths, point_lengths)]
    cotangent = torch.randn(sum(point_lengths), dtype=torch.float64)
    for order in ORDERS:
        options = {"method": method, "order": order}
        apart = torch.cat(
            [
                rank_relax.soft_count(*lists, 2.0, **options)
                for lists in zip(points, values, weights, strict=True)
            ]
        )
        together = rank_relax.soft_count(
            torch.cat(points),
            torch.cat(values),
            torch.cat(weights),
            2.0,
            offsets=ends[0],
            point_offsets=ends[1],
            **options,
        )
        assert torch.equal(apart, together)
        leaves = [*points, *values, *weights]
        expected = torch.autograd.grad(apart, leaves, cotangent)
        actual = torch.autograd.grad(together, leaves, cotangent)
        for one, other in zip(actual, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_lists_in_the_rows_of_a_batch_have_their_own_ends() -> None:
    values = torch.randn(2, 10, dtype=torch.float64)
    offsets = torch.tensor([[0, 4, 10], [0, 10, 10]])
    counts = rank_relax.soft_count(values, values, offsets=offsets)
    expected = [
        torch.cat([rank_relax.soft_count(part, part) for part in row.split(sizes)])
        for row, sizes in zip(values, ([4, 6], [10, 0]), strict=True)
    ]
    torch.testing.assert_close(counts, torch.stack(expected))
    batched = torch.vmap(lambda x, ends: rank_relax.soft_count(x, x, offsets=ends))
    torch.testing.assert_close(batched(values, offsets), counts)


KEYS: dict[str, Callable[[int], Tensor]] = {
    "real": normal,
    "integers": lambda n: torch.randint(-(2**62), 2**62, (n,)),
    "grades": lambda n: torch.randint(0, 5, (n,)),
    "rare": lambda n: (torch.rand(n) > 0.97).long(),
    "equal": lambda n: torch.zeros(n),
    "with NaN and infinities": lambda n: torch.tensor([-inf, 0.0, 1.0, inf, nan])[
        torch.randint(0, 5, (n,))
    ],
}


def smaller(keys: Tensor, point_keys: Tensor) -> Tensor:
    return point_keys.unsqueeze(-1) > keys.unsqueeze(-2)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", KEYS)
def test_only_values_of_smaller_keys_are_counted(
    name: str, method: str, dtype: torch.dtype
) -> None:
    """In every form: pair by pair, on one grid, in lists of their own."""
    for of_values, m, n in (
        ("normal", 1, 1),
        ("far from 0", 40, 3),
        ("ties", 3, 40),
        ("normal", 180, 200),
        ("clusters", 120, 400),
        ("an outlier", 100, 300),
        ("of every size", 200, 100),
        ("constant", 20, 200),
    ):
        values, points = LISTS[of_values](n).to(dtype), LISTS[of_values](m).to(dtype)
        points[: m // 2] = values[torch.randint(0, n, (m // 2,))]
        weights = torch.stack([normal(n), torch.rand(n)]).to(dtype)
        keys, point_keys = KEYS[name](n), KEYS[name](m)
        counted = smaller(keys, point_keys)
        for strength in (0.01, 1.0, 30.0, 1e4):
            for order in ORDERS if strength == 1 else (-1, 0):
                setting = Setting(strength, method)
                actual = rank_relax.soft_count(
                    points,
                    values,
                    weights,
                    strength,
                    method=method,
                    order=order,
                    keys=keys,
                    point_keys=point_keys,
                )
                # Each point is a row of its own, with weights 0 for what it does not count.
                own = torch.where(counted.unsqueeze(-2), weights.double(), 0)  # [m, 2, n]
                rows = (own, points.unsqueeze(-1), values.expand(m, n))
                exact = oracle.kernel_sum(*rows, order, *setting).squeeze(-1).T
                bound = COUNT_ERROR[dtype] * count_scale(rows, setting, order).squeeze(-1).T
                exact = torch.where(exact.to(dtype).isinf(), exact.to(dtype).double(), exact)
                error = torch.where(actual == exact, 0.0, (actual.double() - exact).abs())
                assert (error <= bound).all(), f"{float((error / bound).max())} of the bound"


@pytest.mark.parametrize("n", [70_000, 100_000])
@pytest.mark.parametrize("strength", [0.7, 200.0])
def test_long_lists_are_counted_by_their_keys(strength: float, n: int) -> None:
    values, weights = torch.randn(n), torch.rand(n)
    for keys in (torch.randn(n), torch.randint(0, 4, (n,))):
        for order in (-1, 0, 1):
            sums = rank_relax.soft_count(values, values, weights, strength, order=order, keys=keys)
            some = torch.randint(0, n, (20,))
            own = torch.where(smaller(keys, keys[some]).unsqueeze(-2), weights.double(), 0)
            rows = (own, values[some].unsqueeze(-1), values.expand(20, n))
            exact = oracle.kernel_sum(*rows, order, strength, "sigmoid").flatten()
            bound = COUNT_ERROR[torch.float32] * count_scale(
                rows, Setting(strength, "sigmoid"), order
            )
            assert ((sums[some].double() - exact).abs() <= bound.flatten()).all()


def test_threads_do_not_change_counts_by_keys() -> None:
    values, keys = torch.randn(200_000), torch.randn(200_000)
    threads = torch.get_num_threads()
    results = []
    for number in (1, 2):
        torch.set_num_threads(number)
        results.append(rank_relax.soft_count(values, values, keys=keys))
        results.append(rank_relax.soft_count(values, values, None, 1e5, keys=keys))
    torch.set_num_threads(threads)
    assert torch.equal(results[0], results[2])
    assert torch.equal(results[1], results[3])


def test_infinite_values_count_for_points_of_larger_keys() -> None:
    values = torch.tensor([-inf, 0.0, inf, -inf, nan])
    points = torch.tensor([1.0, -inf, inf, nan])
    keys, point_keys = torch.tensor([0, 1, 2, 3, 0]), torch.tensor([1, 4, 3, 4])
    counts = rank_relax.soft_count(points, values, None, 50.0, keys=keys, point_keys=point_keys)
    torch.testing.assert_close(counts, torch.tensor([1.0, 1.0, 2.5, nan]), equal_nan=True)


@pytest.mark.parametrize("unknown", [inf, nan])
def test_a_weight_that_is_not_finite_shows_where_it_is_counted(unknown: float) -> None:
    for n in (4, 600):
        x, weights, keys = normal(n), torch.rand(n).double(), torch.arange(n)
        weights[n // 2] = unknown
        counts = rank_relax.soft_count(x, x, weights, keys=keys)
        assert counts[n // 2 + 1 :].isnan().all()
        weights[n // 2] = 0
        expected = rank_relax.soft_count(x, x, weights, keys=keys)
        torch.testing.assert_close(counts[: n // 2 + 1], expected[: n // 2 + 1])


@pytest.mark.parametrize("kind", ["real", "grades"])
@pytest.mark.parametrize("order", ORDERS)
def test_derivatives_of_counts_by_keys(order: int, kind: str) -> None:
    points, values, weights = normal(7), normal(9), normal(9)
    options = {"order": order, "keys": KEYS[kind](9), "point_keys": KEYS[kind](7)}

    def of(points: Tensor, values: Tensor, weights: Tensor) -> Tensor:
        return rank_relax.soft_count(points, values, weights, 2.0, **options)

    tensors = tuple(x.requires_grad_() for x in (points, values, weights))
    assert torch.autograd.gradcheck(of, tensors, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(of, tensors)
    shared = {"order": order, "keys": KEYS[kind](9)}
    assert torch.autograd.gradcheck(
        lambda x, w: rank_relax.soft_count(x, x, w, 2.0, **shared), tensors[1:]
    )


def test_keys_of_lists_in_a_row_are_those_apart() -> None:
    values, keys = torch.randn(2, 100), torch.randint(0, 9, (2, 100)).half()
    offsets = torch.tensor([[0, 30, 30, 100], [0, 1, 99, 100]])
    counts = rank_relax.soft_count(values, values, offsets=offsets, keys=keys)
    expected = [
        torch.cat(
            [
                rank_relax.soft_count(x, x, keys=k)
                for x, k in zip(row.split(sizes), key.split(sizes), strict=True)
            ]
        )
        for row, key, sizes in zip(values, keys, ([30, 0, 70], [1, 98, 1]), strict=True)
    ]
    torch.testing.assert_close(counts, torch.stack(expected))
    batched = torch.vmap(lambda x, k, ends: rank_relax.soft_count(x, x, offsets=ends, keys=k))
    torch.testing.assert_close(batched(values, keys, offsets), counts)
    compiled = torch.compile(
        lambda x, k: rank_relax.soft_count(x, x, keys=k), backend="aot_eager", fullgraph=True
    )
    torch.testing.assert_close(
        compiled(values, keys), rank_relax.soft_count(values, values, keys=keys)
    )


def test_a_strength_to_learn_leaves_keys_as_they_are() -> None:
    values, keys = normal(30), torch.randint(0, 5, (30,))
    strength = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    plain = rank_relax.soft_count(values, values, None, 1.7, keys=keys)
    learnt = rank_relax.soft_count(values, values, None, strength, keys=keys)
    torch.testing.assert_close(learnt, plain)
    with pytest.raises(TypeError, match=r"soft_count: point_keys must have the dtype of keys"):
        rank_relax.soft_count(values, values, keys=keys, point_keys=keys.double())


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ([0, 2], "must rise from 0 to the number of items, 4, got 2 at place 1"),
        ([1, 4], "must rise from 0 to the number of items, 4, got 1 at place 0"),
        ([0, 3, 2, 4], "must rise from 0 to the number of items, 4, got 2 at place 2"),
        ([0, 5, 4], "must rise from 0 to the number of items, 4, got 5 at place 1"),
        ([0, -(2**62), 4], "got -4611686018427387904 at place 1"),
    ],
)
def test_ends_that_are_none_are_refused(ends: list[int], message: str) -> None:
    x = torch.randn(4)
    with pytest.raises(ValueError, match=message):
        rank_relax.soft_count(x, x, offsets=torch.tensor(ends))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"points": torch.randn(3, 4)}, ValueError, r"points must have the batch shape of values"),
        ({"weights": torch.randn(5)}, ValueError, r"weights must have the shape of values, \[4\]"),
        ({"weights": torch.ones(4, dtype=torch.int64)}, TypeError, r"weights must be float64"),
        ({"order": 17}, ValueError, r"order must be from -1 to 16, got 17"),
        ({"order": -2}, ValueError, r"order must be from -1 to 16, got -2"),
        ({"order": 1.0}, TypeError, r"order must be an int, got 1.0"),
        ({"method": "l2"}, ValueError, r"method must be one of"),
        (
            {"offsets": torch.tensor([0.0, 4.0])},
            TypeError,
            r"offsets must have dtype int64, got float32",
        ),
        ({"offsets": torch.tensor(4)}, ValueError, r"offsets must have the batch shape of values"),
        (
            {"point_offsets": torch.tensor([0, 2])},
            ValueError,
            r"point_offsets cut points into lists, so values need offsets too",
        ),
        (
            {"offsets": torch.tensor([0, 4])},
            ValueError,
            r"there must be 4 points, got 2",
        ),
        (
            {"offsets": torch.tensor([0, 4]), "point_offsets": torch.tensor([0, 1, 2])},
            ValueError,
            r"point_offsets must have as many lists as offsets, 1, got 2",
        ),
        ({"keys": torch.zeros(3)}, ValueError, r"keys must have the shape of values, \[4\]"),
        ({"keys": torch.zeros(4)}, ValueError, r"points have the keys of the values, so .* 4 poi"),
        (
            {"keys": torch.zeros(4, dtype=torch.complex64)},
            TypeError,
            r"keys must be int64, float64",
        ),
        ({"point_keys": torch.zeros(2)}, ValueError, r"point_keys are compared with those of val"),
        (
            {"keys": torch.zeros(4), "point_keys": torch.zeros(3)},
            ValueError,
            r"point_keys must have the shape of points, \[2\], got \[3\]",
        ),
        ({"regularization_strength": 0.0}, ValueError, r"must be positive and finite, got 0"),
        ({"mask": torch.ones(3, dtype=torch.bool)}, ValueError, r"mask must have the shape"),
    ],
)
def test_other_arguments_are_refused_in_a_sentence(
    arguments: dict[str, object], error: type[Exception], message: str
) -> None:
    given = {"points": torch.randn(2), "values": torch.randn(4), **arguments}
    with pytest.raises(error, match=f"soft_count: .*{message}"):
        rank_relax.soft_count(**given)


@pytest.mark.parametrize("order", ORDERS)
def test_a_strength_can_be_learnt(order: int) -> None:
    points, values = torch.randn(4, dtype=torch.float64), torch.randn(9, dtype=torch.float64)

    def of(strength: Tensor) -> Tensor:
        return rank_relax.soft_count(points, values, None, strength, order=order)

    strength = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    plain = rank_relax.soft_count(points, values, None, 1.7, order=order)
    torch.testing.assert_close(of(strength), plain)
    assert torch.autograd.gradcheck(of, strength)
    assert of(torch.tensor(-1.0)).isnan().all()


def test_half_precision_is_computed_in_float32() -> None:
    points, values = torch.randn(5).half(), torch.randn(70).half()
    counts = rank_relax.soft_count(points, values)
    assert counts.dtype == torch.float16
    assert torch.equal(counts, rank_relax.soft_count(points.float(), values.float()).half())
    mixed = rank_relax.soft_count(points, values.double())
    assert mixed.dtype == torch.float64


@pytest.mark.slow
@pytest.mark.parametrize("name", HAS)
def test_every_instruction_set_gives_the_same(
    name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if name == IN_USE:
        pytest.skip(reason="the rest of this file runs with it, in this very process")
    if not HAS[name]:
        pytest.skip(reason=f"the processor of this machine does not have {name}")
    directory = tmp_path_factory.mktemp(name)
    arguments = ["-m", "pytest", "-q", "-rf", "--tb=no", "-p", "no:cacheprovider"]
    chosen = ["-k", "pairs and clusters", __file__]
    run: subprocess.Popen[str] = start_with_instruction_set(name, [*arguments, *chosen], directory)
    output, _ = run.communicate()
    assert run.returncode == 0, output[-5000:]
