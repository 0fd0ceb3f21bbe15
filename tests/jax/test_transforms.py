"""What JAX makes of the functions: jit, vmap over any axis, scan, export; and edges of shapes."""

from collections.abc import Callable

import jax
import jax.export
import jax.numpy as jnp
import numpy as np
import pytest
import rank_relax_jax as rr
from jax import Array

LABELS = np.array([0, 2, 1, 0, 2, 0, 1])
FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "soft_rank": lambda x: rr.soft_rank(x, 2.0),
    "soft_rank, kl": lambda x: rr.soft_rank(x, 0.3, method="kl"),
    "soft_sort": lambda x: rr.soft_sort(x, 2.0),
    "soft_sort, kl": lambda x: rr.soft_sort(x, 0.3, method="kl"),
    "soft_quantile": lambda x: rr.soft_quantile(x, jnp.array([0.2, 0.7]), 2.0),
    "soft_topk": lambda x: rr.soft_topk(x, 2.5, 2.0),
    "soft_count": lambda x: rr.soft_count(x, x, jnp.cos(x), 2.0),
    "soft_count, keys": lambda x: rr.soft_count(x, x, None, 2.0, keys=LABELS),
    "spearman_loss": lambda x: rr.spearman_loss(x, LABELS),
    "hard_rank": lambda x: rr.hard_rank(x) * x,
    "masked": lambda x: rr.soft_rank(x, 2.0, mask=LABELS > 0),
    "ndcg_loss": lambda x: rr.ndcg_loss(x, LABELS),
    "listmle_loss": lambda x: rr.listmle_loss(x, LABELS),
    "pairwise_logistic_loss": lambda x: rr.pairwise_logistic_loss(x, LABELS),
}
pytestmark = pytest.mark.usefixtures("float64")


def batch() -> Array:
    return jnp.asarray(np.random.default_rng(0).normal(size=(3, 7)))


def assert_near(actual: Array, expected: Array) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-13)


class OneList:
    """A function of one list, its gradient and a second derivative, compiled for several tests."""

    def __init__(self, value: Callable[[Array], Array]) -> None:
        self.value = value
        self.compiled = jax.jit(self.all_of)

    def gradient(self, x: Array) -> Array:
        return jax.grad(lambda x: (self.value(x) ** 2).sum())(x)

    def all_of(self, x: Array) -> tuple[Array, Array, Array]:
        second = jax.jvp(jax.grad(lambda x: self.value(x).sum()), (x,), (jnp.cos(x),))[1]
        return self.value(x), self.gradient(x), second

    def one_by_one(self, lists: Array) -> list[Array]:
        return [jnp.stack(each) for each in zip(*map(self.compiled, lists), strict=True)]


@pytest.fixture(scope="module", params=list(FUNCTIONS))
def of(request: pytest.FixtureRequest) -> OneList:
    return OneList(FUNCTIONS[request.param])


def test_vmap_over_any_axis_of_values_gradients_and_second_derivatives(of: OneList) -> None:
    x = batch()
    expected = of.one_by_one(x)
    for axis, lists in ((0, x), (1, x.T)):
        results = jax.jit(jax.vmap(of.all_of, in_axes=axis))(lists)
        for one, other in zip(results, expected, strict=True):
            assert_near(one, other)


def test_nested_vmap_and_unmapped_operands(of: OneList) -> None:
    x = batch()
    shifts = jnp.array([0.0, 1.0])
    results = jax.jit(jax.vmap(jax.vmap(lambda x, s: of.value(x + s), (0, None)), (None, 0)))(
        x, shifts
    )
    for result, shift in zip(results, shifts, strict=True):
        assert_near(result, of.one_by_one(x + shift)[0])


def test_exported_functions_come_back(of: OneList) -> None:
    x = batch()[0]
    exported = jax.export.export(jax.jit(of.gradient), disabled_checks=rr.safety_checks())(
        jax.ShapeDtypeStruct(x.shape, x.dtype)
    )
    again = jax.export.deserialize(exported.serialize())
    assert_near(again.call(x), of.compiled(x)[1])


def test_operands_that_are_not_mapped_are_shared() -> None:
    x, t = batch(), batch()[0]
    counts = jax.vmap(lambda t, x: rr.soft_count(t, x), (None, 0))(t, x)
    assert_near(counts, jnp.stack([rr.soft_count(t, row) for row in x]))
    masks = jnp.array([[True] * 7, [True] * 3 + [False] * 4])
    ranks = jax.vmap(lambda mask: rr.soft_rank(t, mask=mask))(masks)
    assert_near(ranks, jnp.stack([rr.soft_rank(t, mask=mask) for mask in masks]))
    shares = jax.vmap(lambda k: rr.soft_topk(t, k, 3.0))(jnp.array([1, 4]))
    assert_near(shares.sum(-1), jnp.array([1.0, 4.0]))
    quantiles = jax.vmap(lambda q: rr.soft_quantile(t, q, 3.0))(jnp.array([0.1, 0.8]))
    assert_near(quantiles, jnp.stack([rr.soft_quantile(t, q, 3.0) for q in (0.1, 0.8)]))


def test_scan_and_checkpoint() -> None:
    x = batch()

    def step(carry: Array, _: None) -> tuple[Array, None]:
        return rr.soft_rank(carry, 3.0) + rr.soft_sort(carry), None

    def twice(x: Array) -> Array:
        return jax.lax.scan(jax.checkpoint(step), x, None, length=2)[0].sum()

    def plainly(x: Array) -> Array:
        return step(step(x, None)[0], None)[0].sum()

    assert_near(jax.jit(jax.grad(twice))(x), jax.jit(jax.grad(plainly))(x))


@pytest.mark.parametrize("dim", [0, 1, -2])
def test_dim_names_the_dimension_of_a_list(dim: int) -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 5, 3)))
    moved = jnp.moveaxis(x, dim, -1)
    for function in (rr.soft_rank, rr.soft_sort, lambda x, **o: rr.soft_topk(x, 2, **o)):
        assert_near(function(x, dim=dim), jnp.moveaxis(function(moved), -1, dim))
    assert_near(rr.soft_quantile(x, 0.3, dim=dim), rr.soft_quantile(moved, 0.3))
    assert_near(rr.spearman_loss(x, -x, dim=dim), rr.spearman_loss(moved, -moved))
    assert_near(rr.hard_rank(x, dim=dim), jnp.moveaxis(rr.hard_rank(moved), -1, dim))


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16])
def test_half_precisions_are_computed_in_float32(dtype: jnp.dtype) -> None:
    x = batch()[0].astype(dtype)

    @jax.jit
    def all_of(x: Array) -> list[Array]:
        results = [
            function(x)
            for name, function in FUNCTIONS.items()
            if name not in ("hard_rank", "soft_count")  # these do something with x themselves
        ]
        return [*results, jax.grad(lambda x: rr.spearman_loss(x, LABELS, 2.0))(x)]

    for result, expected in zip(all_of(x), all_of(x.astype(jnp.float32)), strict=True):
        assert result.dtype == dtype
        assert expected.dtype == jnp.float32
        np.testing.assert_array_equal(result, expected.astype(dtype))
    assert rr.soft_rank(x).dtype == dtype  # and outside of a compiled function


def test_exported_functions_may_be_of_any_number_of_lists() -> None:
    (shape,) = [jax.export.symbolic_shape("b, 7")]
    exported = jax.export.export(
        jax.jit(lambda x: rr.soft_rank(x, 2.0)), disabled_checks=rr.safety_checks()
    )(jax.ShapeDtypeStruct(shape, jnp.float64))
    x = batch()
    assert_near(jax.export.deserialize(exported.serialize()).call(x), rr.soft_rank(x, 2.0))


def test_denormal_numbers_are_no_ties() -> None:
    tiny = jnp.array([3e-310, 1e-310, 2e-310])
    np.testing.assert_array_equal(rr.hard_rank(tiny), [1.0, 0.0, 0.5])
    loss = rr.spearman_loss(tiny, jnp.array([3, 1, 2]))
    assert float(loss) < 1e-12
    many = jnp.tile(tiny, (5000, 1))  # more than one thread
    assert float(rr.spearman_loss(many, jnp.tile(jnp.array([3, 1, 2]), (5000, 1)))) < 1e-12


def test_bits_do_not_depend_on_what_runs_beside() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(64, 2000)))
    strengths = [2.0 + i for i in range(6)]
    alone = [rr.soft_sort(x, strength) for strength in strengths]
    beside = jax.jit(lambda x: [rr.soft_sort(x, each) for each in strengths]).lower(x).compile()
    assert beside.as_text().count("custom-call(") == 6  # none was taken for another
    for _ in range(3):
        for one, other in zip(beside(x), alone, strict=True):
            np.testing.assert_array_equal(one, other)


def test_empty_batches_and_lists() -> None:
    @jax.jit
    def all_of(x: Array) -> tuple[list[Array], list[Array]]:
        like_lists = [
            rr.soft_rank(x),
            rr.soft_sort(x),
            rr.soft_topk(x, 0),
            rr.soft_count(x, x),
            rr.hard_rank(x),
            rr.soft_sort(x, method="l2"),
            jax.grad(lambda x, t=x: rr.spearman_loss(x, t, reduction="sum"))(x),
        ]
        losses = [
            rr.spearman_loss(x, x, reduction="sum"),
            rr.ndcg_loss(x, x),
            rr.listmle_loss(x, x),
        ]
        return like_lists, losses

    for shape in ((0,), (2, 0), (0, 3)):
        like_lists, losses = all_of(jnp.zeros(shape))
        assert [each.shape for each in like_lists] == [shape] * len(like_lists)
        np.testing.assert_array_equal(losses, np.zeros(len(losses)))
    assert rr.soft_rank(jnp.zeros((2, 0))).shape == (2, 0)  # and outside of a compiled function
    of_mask = jax.jit(jax.hessian(lambda x: rr.soft_topk(x, 0).sum()))(jnp.zeros((2, 0)))
    assert of_mask.shape == (2, 0, 2, 0)
    counts = rr.soft_count(jnp.array([1.0, jnp.nan]), jnp.zeros(0))
    np.testing.assert_array_equal(counts, [0.0, jnp.nan])


def test_float_targets_inside_of_transforms_have_no_derivative_to_refuse() -> None:
    x, t = batch(), jnp.cos(3 * batch())

    def loss(x: Array, t: Array) -> Array:
        return rr.spearman_loss(x, t, 2.0)

    expected = jax.jit(jax.grad(loss))(x, t)
    remade = jax.jit(jax.grad(jax.checkpoint(loss)))(x, t)
    assert_near(remade, expected)

    def over_lists(x: Array, t: Array) -> Array:
        def step(total: Array, lists: tuple[Array, Array]) -> tuple[Array, None]:
            return total + jax.lax.cond(total > -1, loss, lambda x, t: x.sum(), *lists), None

        return jax.lax.scan(step, jnp.zeros(()), (x, t))[0] / x.shape[0]

    assert_near(jax.jit(jax.grad(over_lists))(x, t), expected)
    mapped = jax.vmap(jax.grad(loss), (0, 0))(x, t)
    assert_near(mapped / x.shape[0], expected)
