"""Values and derivatives of every order that is asked for, against sums over pairs in float64."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest
import rank_relax_jax as rr
import sums_over_pairs as oracle
from jax import Array

pytestmark = pytest.mark.usefixtures("float64")

Function = Callable[[Array], Array]
STRENGTH = 1.7


def rows(n: int, seed: int = 0) -> Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=n))


TARGETS = np.random.default_rng(1).normal(size=200)  # of NumPy: float64 in any mode of JAX's
SMOOTH: dict[str, tuple[Callable[..., Function], Callable[..., Function]]] = {
    "soft_rank": (
        lambda method: lambda x: rr.soft_rank(x, STRENGTH, method=method),
        lambda method: lambda x: oracle.soft_rank(x, STRENGTH, method),
    ),
    "soft_sort": (
        lambda method: lambda x: rr.soft_sort(x, STRENGTH, method=method),
        lambda method: lambda x: oracle.soft_sort(x, STRENGTH, method),
    ),
    "soft_quantile": (
        lambda method: (
            lambda x: rr.soft_quantile(x, jnp.array([0.1, 0.45, 0.9]), STRENGTH, method=method)
        ),
        lambda method: (
            lambda x: oracle.soft_quantile(x, jnp.array([0.1, 0.45, 0.9]), STRENGTH, method)
        ),
    ),
    "soft_quantile of a number": (
        lambda method: lambda x: rr.soft_quantile(x, 0.3, STRENGTH, method=method)[None],
        lambda method: lambda x: oracle.soft_quantile(x, jnp.array([0.3]), STRENGTH, method),
    ),
    "soft_topk": (
        lambda method: lambda x: rr.soft_topk(x, 2.5, STRENGTH, method=method),
        lambda method: lambda x: oracle.soft_topk(x, 2.5, STRENGTH, method),
    ),
    "soft_topk of an array": (
        lambda method: lambda x: rr.soft_topk(x, jnp.array(3), STRENGTH, method=method),
        lambda method: lambda x: oracle.soft_topk(x, 3.0, STRENGTH, method),
    ),
    "spearman_loss, hard": (
        lambda method: (
            lambda x: rr.spearman_loss(x, TARGETS[: x.shape[0]], STRENGTH, method=method)[None]
        ),
        lambda method: (
            lambda x: oracle.spearman_loss(x, TARGETS[: x.shape[0]], STRENGTH, method, "hard")[None]
        ),
    ),
    "spearman_loss, soft": (
        lambda method: (
            lambda x: rr.spearman_loss(
                x, TARGETS[: x.shape[0]], STRENGTH, method=method, target_ranks="soft"
            )[None]
        ),
        lambda method: (
            lambda x: oracle.spearman_loss(x, TARGETS[: x.shape[0]], STRENGTH, method, "soft")[None]
        ),
    ),
    "spearman_loss in its targets": (
        lambda method: (
            lambda x: rr.spearman_loss(
                TARGETS[: x.shape[0]], x, STRENGTH, method=method, target_ranks="soft"
            )[None]
        ),
        lambda method: (
            lambda x: oracle.spearman_loss(TARGETS[: x.shape[0]], x, STRENGTH, method, "soft")[None]
        ),
    ),
    "soft_count in its points": (
        lambda method: (
            lambda x: rr.soft_count(x, TARGETS[:9], np.cos(TARGETS[:9]), STRENGTH, method=method)
        ),
        lambda method: (
            lambda x: oracle.soft_count(x, TARGETS[:9], np.cos(TARGETS[:9]), STRENGTH, method)
        ),
    ),
    "soft_count in its values": (
        lambda method: (
            lambda x: rr.soft_count(TARGETS[:9], x, jnp.cos(x), STRENGTH, method=method, order=1)
        ),
        lambda method: (
            lambda x: oracle.soft_count(TARGETS[:9], x, jnp.cos(x), STRENGTH, method, order=1)
        ),
    ),
}


# The others are the same kernels, asked otherwise.
KERNELS = [
    "soft_rank",
    "soft_sort",
    "soft_quantile",
    "soft_topk",
    "spearman_loss, hard",
    "spearman_loss, soft",
    "soft_count in its values",
]


def of_both(name: str, method: str) -> tuple[Function, Function]:
    function, expected = SMOOTH[name]
    return function(method), expected(method)


def total(function: Function) -> Function:
    """A number, of which no derivative is constant."""

    def of(x: Array) -> Array:
        y = function(x)
        return (jnp.sin(jnp.arange(1.0, y.shape[0] + 1)) * (y + y**2)).sum()

    return of


def assert_near(actual: Array, expected: Array, tolerance: float = 1e-9) -> None:
    scale = float(jnp.abs(expected).max()) + 1e-3
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize(
    ("name", "method", "n"),
    [
        *((name, method, 150) for name in KERNELS for method in ("sigmoid", "gaussian")),
        *((name, "sigmoid", 40) for name in SMOOTH if name not in KERNELS),
    ],
)
def test_values_and_gradients_of_longer_lists_are_those_of_the_sums(
    name: str, method: str, n: int
) -> None:
    def both(function: Function) -> tuple[Array, Array]:
        return jax.jit(lambda x: (function(x), jax.grad(total(function))(x)))(rows(n))

    of_function, of_sums = map(both, of_both(name, method))
    for one, other in zip(of_function, of_sums, strict=True):
        assert_near(one, other)


@pytest.mark.parametrize(
    ("name", "method"),
    [
        *((name, "sigmoid") for name in SMOOTH),
        *((name, method) for name in KERNELS for method in oracle.METHODS[1:]),
    ],
)
def test_values_gradients_and_second_derivatives_in_every_mode(name: str, method: str) -> None:
    function, expected = of_both(name, method)
    forward, reverse = jax.jacfwd, jax.jacrev
    modes = [(reverse, forward), (reverse, reverse), (forward, forward), (forward, reverse)]
    if method != "sigmoid":
        modes = modes[:1]

    def derived(of: Function, modes: list[Any]) -> Callable[[Array], list[Array]]:
        def every(x: Array) -> list[Array]:
            seconds = [outer(inner(total(of)))(x) for inner, outer in modes]
            return [of(x), jax.grad(total(of))(x), *seconds]

        return jax.jit(every)

    value, gradient, *hessians = derived(function, modes)(rows(6))
    of_sums = derived(expected, modes[:1])(rows(6))
    assert_near(value, of_sums[0])
    assert_near(gradient, of_sums[1])
    for each in hessians:
        assert_near(each, of_sums[2])


NAN_AND_OTHERS = np.array([0.5, np.nan, 0.25, np.inf, 3.0, 1.0])
COUNTS = np.array([True, True, True, True, True, False])
# Of which items of that list a second derivative is NaN: of the one, or of all that the loss has.
UNKNOWN: dict[str, tuple[Function, list[int]]] = {
    "soft_rank": (lambda x: rr.soft_rank(x, 2.0, mask=COUNTS), [1]),
    "soft_sort": (lambda x: rr.soft_sort(x, 2.0, mask=COUNTS), [1]),
    "soft_quantile": (lambda x: rr.soft_quantile(x, 0.4, 2.0, mask=COUNTS)[None], [0, 2, 4]),
    "soft_topk": (lambda x: rr.soft_topk(x, 1.5, 2.0, mask=COUNTS), [1]),
    "spearman_loss": (
        lambda x: rr.spearman_loss(x, TARGETS[:6], 2.0, mask=COUNTS)[None],
        [0, 1, 2, 3, 4],
    ),
    "spearman_loss in its targets": (
        lambda x: rr.spearman_loss(TARGETS[:6], x, 2.0, mask=COUNTS, target_ranks="soft")[None],
        [0, 1, 2, 3, 4],
    ),
}


@pytest.mark.parametrize("name", list(UNKNOWN))
def test_second_derivatives_of_lists_with_nan_are_nan_in_every_mode(name: str) -> None:
    of_list, expected = UNKNOWN[name]
    x, v = jnp.asarray(NAN_AND_OTHERS), jnp.cos(jnp.arange(6.0))

    def function(x: Array) -> Array:  # linear in the results: no NaN comes of anything else
        y = of_list(x)
        return jnp.sin(jnp.arange(1.0, y.shape[0] + 1)) @ y

    def along(x: Array) -> Array:
        return jax.jvp(function, (x,), (v,))[1]

    @jax.jit
    def second(x: Array) -> tuple[list[Array], Array]:
        by_items = [
            jax.jvp(jax.grad(function), (x,), (v,))[1],
            jax.grad(lambda x: jax.grad(function)(x) @ v)(x),
            jax.grad(along)(x),
        ]
        return by_items, jax.jvp(along, (x,), (v,))[1]

    by_items, number = second(x)
    for each in by_items:
        assert np.flatnonzero(np.isnan(each)).tolist() == expected
        np.testing.assert_allclose(each, by_items[0], rtol=1e-12, atol=1e-14)
    assert np.isnan(number)


@pytest.mark.parametrize("name", KERNELS)
def test_third_derivatives(name: str) -> None:
    function, expected = (total(each) for each in of_both(name, "sigmoid"))
    x = rows(4, 3)

    def third(of: Function) -> Array:
        return jax.jit(jax.jacfwd(jax.jacrev(jax.jacrev(of))))(x)

    assert_near(third(function), third(expected), 1e-8)


@pytest.mark.parametrize("name", KERNELS)
def test_jax_itself_finds_the_derivatives_right(name: str) -> None:
    function = jax.jit(of_both(name, "sigmoid")[0])
    order = 2 if name == "soft_rank" else 1
    jax.test_util.check_grads(function, (rows(5),), order=order, modes=("fwd", "rev"))


@pytest.mark.parametrize("method", ["l2", "kl"])
@pytest.mark.parametrize("function", [rr.soft_rank, rr.soft_sort, rr.spearman_loss])
def test_projections_have_their_derivatives(method: str, function: Callable[..., Array]) -> None:
    x = rows(7, 5)
    others = (TARGETS[:7],) if function is rr.spearman_loss else ()

    def of(x: Array) -> Array:
        return function(x, *others, 0.4, method=method)

    jax.test_util.check_grads(
        jax.jit(of), (x,), order=2, modes=("fwd", "rev"), atol=1e-5, rtol=1e-5
    )


def test_projections_are_projections() -> None:
    # By l2, of x where no two are farther apart than 1/α: one block.
    x = jnp.array([0.3, 0.9, -0.2])
    expected = 2 + 0.5 * (x - x.mean())
    assert_near(rr.soft_rank(x, 0.5, method="l2", normalize=False) + 1, expected)
    assert_near(rr.soft_sort(x, 0.1, method="l2"), x.mean() + 0.1 * jnp.array([-1.0, 0.0, 1.0]))


@pytest.mark.parametrize("order", [-1, 0, 1, 2, 3])
def test_soft_counts_of_every_order_have_all_derivatives(order: int) -> None:
    t, x, w = rows(5), rows(7, 1), rows(7, 2)

    def function(t: Array, x: Array, w: Array) -> Array:
        return rr.soft_count(t, x, w, STRENGTH, order=order)

    def expected(t: Array, x: Array, w: Array) -> Array:
        return oracle.soft_count(t, x, w, STRENGTH, "sigmoid", order)

    def with_second(of: Callable[..., Array]) -> list[Array]:
        every = (0, 1, 2)
        second = jax.jacrev(jax.jacfwd(of, every), every)
        return jax.tree.leaves(jax.jit(lambda *lists: (of(*lists), second(*lists)))(t, x, w))

    for one, other in zip(with_second(function), with_second(expected), strict=True):
        assert_near(one, other)


def with_seconds(of: Callable[..., Array]) -> Callable[..., list[Array]]:
    """A value, and the derivatives by the first argument of those by the first and the second."""

    def every(*arguments: Array) -> list[Array]:
        seconds = [jax.jacrev(jax.jacrev(of, each))(*arguments) for each in (0, 1)]
        return [of(*arguments), *seconds]

    return every


@jax.jit
@with_seconds
def of_chosen_pairs(s: Array, w: Array, smaller: Array) -> Array:
    return oracle.soft_count(s, s, w, STRENGTH, "sigmoid", smaller=smaller)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.int64, jnp.int32, jnp.int8, jnp.bool_])
def test_keys_choose_the_pairs(dtype: jnp.dtype) -> None:
    labels = jnp.array([0, 1, 1, 0, 1] if dtype == jnp.bool_ else [-2, 5, 5, 0, 3]).astype(dtype)
    s, w = rows(5), rows(5, 2)
    smaller = labels[None, :] < labels[:, None]

    def function(s: Array, w: Array) -> Array:
        return rr.soft_count(s, s, w, STRENGTH, keys=labels)

    results = jax.jit(with_seconds(function))(s, w)
    for one, other in zip(results, of_chosen_pairs(s, w, smaller), strict=True):
        assert_near(one, other)


def test_several_sets_of_weights() -> None:
    t, x, w = rows(5), rows(7, 1), rows(21, 2).reshape(3, 7)
    sums = rr.soft_count(t, x, w, STRENGTH)
    assert sums.shape == (3, 5)
    assert_near(sums, jnp.stack([rr.soft_count(t, x, each, STRENGTH) for each in w]))
    function = jax.jit(lambda *lists: rr.soft_count(*lists, STRENGTH))
    jax.test_util.check_grads(function, (t, x, w), order=1, modes=("fwd", "rev"))


@pytest.mark.parametrize("scale", [None, "std"])
@pytest.mark.parametrize(
    "function",
    [
        lambda x, s, scale: rr.soft_rank(x, s, scale=scale),
        lambda x, s, scale: rr.soft_sort(x, s, scale=scale),
        lambda x, s, scale: rr.soft_quantile(x, 0.3, s, scale=scale),
        lambda x, s, scale: rr.soft_topk(x, 2, s, scale=scale),
        lambda x, s, scale: rr.spearman_loss(x, TARGETS[:6], s, scale=scale),
    ],
)
def test_a_strength_may_be_traced_and_learnt(
    function: Callable[..., Array], scale: str | None
) -> None:
    x = rows(6)
    plain = jax.jit(lambda x: function(x, STRENGTH, scale))(x)
    compiled = jax.jit(lambda x, s: function(x, s, scale))
    order = 2 if scale is None else 1
    arguments = (x, jnp.array(STRENGTH))
    assert_near(compiled(*arguments), plain)
    jax.test_util.check_grads(compiled, arguments, order=order, modes=("rev",))


def test_orders_beyond_those_that_there_are_raise() -> None:
    def derived(of: Function) -> Function:
        return lambda x: jax.jvp(of, (x,), (x,))[1]

    def derivative(order: int) -> Function:
        if order > 0:
            return derived(derivative(order - 1))
        return lambda x: rr.soft_rank(x, method="kl").sum()

    with pytest.raises(ValueError, match="has no derivatives of a higher order"):
        derivative(9)(rows(3))
    with pytest.raises(ValueError, match="order must be from -1 to 16, got 17"):
        rr.soft_count(rows(3), rows(3), order=17)
