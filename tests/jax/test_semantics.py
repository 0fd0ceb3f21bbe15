"""What users rely on: docs/semantics.md of rank_relax, without torch to compare with."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rank_relax_jax as rr
import sums_over_pairs as oracle

INF, NAN = jnp.inf, jnp.nan
pytestmark = pytest.mark.usefixtures("float32")


def near(actual: jax.Array, expected: object, tolerance: float = 1e-4) -> None:
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)


def test_short_and_constant_lists() -> None:
    near(rr.soft_rank(jnp.array([7.0])), [0.0])
    near(rr.soft_rank(jnp.ones(3)), [0.5, 0.5, 0.5], 0)
    value, gradient = jax.value_and_grad(rr.spearman_loss)(jnp.ones(3), jnp.arange(3))
    assert value == 1
    near(gradient, [0.0, 0.0, 0.0], 0)
    assert rr.spearman_loss(jnp.array([7.0]), jnp.array([1.0])) == 0


def test_ties_have_equal_bits() -> None:
    x = jnp.tile(jnp.array([0.25, 1.0, 0.25]), 400)
    ranks = rr.soft_rank(x, 3.0)
    assert len(np.unique(ranks)) == 2
    near(rr.soft_rank(jnp.array([5.0, 1.0, 5.0, 9.0]), 100.0, normalize=False), [1.5, 0, 1.5, 3])


def test_infinities_rank_first_and_last_with_gradient_0() -> None:
    x = jnp.array([-INF, 0.0, 1.0, INF])
    near(rr.soft_rank(x), [0.0, 0.4230, 0.5770, 1.0])
    near(jax.grad(lambda x: rr.soft_rank(x)[1])(x), [0.0, 0.0655, -0.0655, 0.0])
    hessian = jax.hessian(lambda x: rr.soft_rank(x)[1])(x)
    assert bool(jnp.isfinite(hessian).all())


def test_nan_stays_with_its_item() -> None:
    x = jnp.array([NAN, 0.0, 1.0])
    near(rr.soft_rank(x), [NAN, 0.2689, 0.7311])
    near(jax.grad(lambda x: rr.soft_rank(x)[1])(x), [NAN, 0.1966, -0.1966])
    assert jnp.isnan(rr.spearman_loss(x, jnp.arange(3)))
    near(
        rr.soft_topk(jnp.array([2.0, -INF, 0.5, NAN, 3.5, INF]), 2, 2.0),
        [0.1772, 0, 0.0106, NAN, 0.8122, 1],
    )
    near(
        rr.soft_sort(jnp.array([2.0, -INF, 0.5, NAN, 3.5, INF]), 2.0),
        [-INF, 0.4150, 2, 3.5850, INF, NAN],
    )
    near(rr.soft_quantile(jnp.array([[2.0, NAN, 0.5], [-INF, -INF, 1.0]]), 0.5), [NAN, -INF])


@pytest.mark.parametrize("wide", [False, True])
def test_a_k_beyond_int32_takes_all_and_one_below_0_is_nan(wide: bool) -> None:
    x = np.array([4.0, 1.0, 2.0, 9.0], np.float32)
    jax.config.update("jax_enable_x64", wide)  # the fixture puts it back
    large = [np.uint32(2**32 - 1), np.int8(127), np.uint8(255)]
    small = [np.int32(-(2**31)), np.int8(-1)]
    if wide:
        large += [np.int64(2**32 + 1), np.uint64(2**64 - 1)]
        small += [np.int64(-(2**32) + 2)]
    for k in large:
        near(rr.soft_topk(x, jnp.asarray(k)), np.ones(4))
    for k in small:
        assert jnp.isnan(rr.soft_topk(x, jnp.asarray(k))).all()
    near(rr.soft_topk(x, jnp.asarray(np.uint8(2))), rr.soft_topk(x, 2))


@pytest.mark.parametrize("k", [5, 2**31, 2**40, 10**400])
def test_losses_among_more_than_all_are_of_all(k: int) -> None:
    scores, labels = jnp.array([0.3, 0.1, 0.9]), jnp.array([1, 0, 2])
    near(rr.ndcg_loss(scores, labels, k=k), rr.ndcg_loss(scores, labels))
    near(rr.recall_at_k_loss(scores, labels, k=k, capped=True), 0)
    near(rr.precision_at_k_loss(scores, labels, k=k), 1 - 2 / k)


def test_masked_items_are_as_if_they_were_not_there() -> None:
    x = jnp.array([3.0, NAN, 1.0, INF, 2.0])
    mask = jnp.array([True, False, True, False, True])
    alone = x[mask]
    near(rr.soft_rank(x, mask=mask)[mask], rr.soft_rank(alone), 0)
    near(rr.soft_rank(x, mask=mask)[~mask], [0.0, 0.0], 0)
    near(rr.soft_sort(x, mask=mask), [*rr.soft_sort(alone), 0.0, 0.0], 0)
    near(rr.soft_topk(x, 1, mask=mask)[mask], rr.soft_topk(alone, 1), 0)
    near(rr.soft_quantile(x, 0.5, mask=mask), rr.soft_quantile(alone, 0.5), 0)
    near(rr.hard_rank(x, mask=mask), [1.0, 0.0, 0.0, 0.0, 0.5], 0)
    for function in (
        lambda x, mask=None: rr.soft_rank(x, mask=mask)[0],
        lambda x, mask=None: rr.soft_sort(x, mask=mask)[0],
        lambda x, mask=None: rr.soft_topk(x, 1, mask=mask)[0],
        lambda x, mask=None: rr.soft_quantile(x, 0.4, mask=mask),
        lambda x, mask=None: rr.spearman_loss(x, jnp.arange(x.shape[0]), mask=mask),
        lambda x, mask=None: rr.ndcg_loss(x, jnp.arange(x.shape[0]) % 3, mask=mask),
    ):
        derivatives = jax.jit(
            lambda x, of=function: (jax.grad(of)(x, mask), jax.hessian(of)(x, mask))
        )
        gradient, second = derivatives(x)
        near(gradient[~mask], [0.0, 0.0], 0)
        near(second[~mask], np.zeros((2, 5)), 0)
        assert bool(jnp.isfinite(second).all())


def test_narrow_lists_are_not_constant() -> None:
    narrow = jnp.array([1.0, 2.0, 4.0]) * 1e-30
    near(rr.spearman_loss(narrow, jnp.array([1, 2, 4]) * 1e-6, target_ranks="soft"), 0.0, 1e-6)
    gradient = jax.grad(lambda x: rr.spearman_loss(x, jnp.array([3, 1, 2])))(narrow)
    assert bool(jnp.isfinite(gradient).all())
    assert float(jnp.abs(gradient).max()) > 1e20


def test_float32_is_as_exact_as_its_dtype() -> None:
    x = np.random.default_rng(0).normal(size=300).astype(np.float32)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        ranks = np.asarray(oracle.soft_rank(wide, 4.0))
        ordered = np.asarray(oracle.soft_sort(wide, 4.0))
    near(rr.soft_rank(x, 4.0), ranks, 2e-7)
    near(rr.soft_sort(x, 4.0), ordered, 2e-6)
    assert rr.soft_rank(x, 4.0).dtype == jnp.float32


def test_second_derivatives_without_the_64_bit_mode() -> None:
    x = np.random.default_rng(0).normal(size=12).astype(np.float32) + 100
    functions = {
        "sort": (lambda x: rr.soft_sort(x, 2.0)[3], lambda x: oracle.soft_sort(x, 2.0)[3]),
        "topk": (lambda x: rr.soft_topk(x, 3, 2.0)[3], lambda x: oracle.soft_topk(x, 3.0, 2.0)[3]),
        "quantile": (
            lambda x: rr.soft_quantile(x, 0.3, 2.0),
            lambda x: oracle.soft_quantile(x, jnp.array([0.3]), 2.0)[0],
        ),
    }
    ours = {name: jax.jit(jax.hessian(of))(x) for name, (of, _) in functions.items()}
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64(True):
        wide = jnp.asarray(x, jnp.float64)
        exact = {
            name: np.asarray(jax.jit(jax.hessian(of))(wide)) for name, (_, of) in functions.items()
        }
    for name, expected in exact.items():
        near(ours[name], expected, 1e-4 * np.abs(expected).max())


def test_gaps_have_the_weights_of_their_limit() -> None:
    x = jnp.array([0.0, 1000.0, 3000.0, -50.0])

    def median(x: jax.Array) -> jax.Array:
        return rr.soft_quantile(x, 0.5)

    value, gradient = jax.value_and_grad(median)(x)
    near(value, 500.0)
    near(gradient, [0.5, 0.5, 0.0, 0.0])
    for function in (median, lambda x: rr.soft_topk(x, 2)[0]):
        assert bool(jnp.isfinite(jax.jit(jax.hessian(function))(x)).all())


def test_levels_in_arrays_that_are_none_give_nan() -> None:
    x = jnp.array([1.0, 2.0])
    near(rr.soft_quantile(x, jnp.array([0.5, 1.5])), [1.5, NAN])
    near(rr.soft_topk(x, jnp.array(-1)), [NAN, NAN])
    near(rr.soft_topk(x, jnp.array(5)), [1.0, 1.0])


def test_strengths_that_are_none_give_nan_where_they_are_traced() -> None:
    x = jnp.array([1.0, 2.0, INF])
    for strength in (0.0, -1.0, INF, NAN):
        assert bool(jnp.isnan(jax.jit(rr.soft_rank)(x, jnp.array(strength))).all())


def test_lists_without_a_loss_are_in_no_mean() -> None:
    scores = jnp.array([[0.3, 0.1, 0.9], [0.2, 0.7, 0.4]])
    labels = jnp.array([[1, 0, 2], [0, 0, 0]])
    for loss in (
        rr.ndcg_loss,
        rr.mrr_loss,
        rr.average_precision_loss,
        rr.auc_loss,
        rr.pairwise_logistic_loss,
        rr.kendall_loss,
    ):
        value, gradient = jax.jit(jax.value_and_grad(loss))(scores, labels)
        near(value, jax.jit(loss)(scores[0], labels[0]), 1e-6)
        near(gradient[1], [0.0, 0.0, 0.0], 0)
        assert jax.jit(loss)(scores[1], labels[1]) == 0


def test_a_batch_of_single_items_is_warned_of() -> None:
    column = jnp.zeros((16, 1))
    with pytest.warns(UserWarning, match=r"\[16, 1\] has 16 lists of one item each"):
        rr.spearman_loss(column, column)


def test_traced_strengths_lose_nothing_far_from_0() -> None:
    x = np.random.default_rng(0).normal(size=50).astype(np.float32) + 1000
    strength = jnp.array(2.0)
    near(rr.soft_count(x, x, None, strength), rr.soft_count(x, x, None, 2.0), 1e-4)
    near(rr.soft_rank(x, strength), rr.soft_rank(x, 2.0), 1e-6)
    near(rr.soft_sort(x, strength), rr.soft_sort(x, 2.0), 2e-4)
    slope = jax.grad(lambda s: rr.soft_count(x[:1], x, None, s)[0])(strength)
    d = x[0].astype(np.float64) - x
    expected = (d * np.exp(-2 * d) / (1 + np.exp(-2 * d)) ** 2).sum()
    near(slope, expected, 1e-4)


def test_hard_ranks_of_what_is_no_number() -> None:
    near(
        rr.hard_rank(jnp.array([NAN, 0.5, -INF, 0.5]), normalize=False, descending=True),
        [NAN, 0.5, 2, 0.5],
        0,
    )
    near(rr.hard_rank(jnp.array([True, False, True])), [0.75, 0.0, 0.75], 0)
    near(rr.hard_rank(jnp.array([7], dtype=jnp.uint8)), [0.0], 0)
