"""Errors before any work, in the operators' words."""
# ruff: noqa: E501

import re
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rank_relax_jax as rr

X = np.array([1.0, 2.0, 3.0], dtype=np.float32)
pytestmark = pytest.mark.usefixtures("float32")

CASES: list[tuple[Callable[[], object], type[Exception], str]] = [
    (lambda: rr.soft_rank([1.0]), TypeError, "soft_rank: input must be an array of JAX or NumPy, got list; convert it with jnp.asarray(input)"),
    (lambda: rr.soft_rank(np.array([1, 2])), TypeError, "soft_rank: input must be float64, float32, bfloat16 or float16, got int32; convert it, with input.astype(jnp.float32) for example"),
    (lambda: rr.soft_rank(X + 1j), TypeError, "soft_rank: input must be float64, float32, bfloat16 or float16, got complex64"),
    (lambda: rr.soft_rank(jnp.float32(1)), ValueError, "soft_rank: input must have at least one dimension, the last of which is ranked, got a 0-dim array"),
    (lambda: rr.soft_rank(X, 0.0), ValueError, "soft_rank: regularization_strength must be positive and finite, got 0; larger is closer to the hard ranks"),
    (lambda: rr.soft_rank(X, float("nan")), ValueError, "soft_rank: regularization_strength must be positive and finite, got nan"),
    (lambda: rr.soft_rank(X, True), TypeError, "soft_rank: regularization_strength must be a float or a 0-dim array, got True"),
    (lambda: rr.soft_rank(X, jnp.ones(2)), ValueError, "soft_rank: regularization_strength must be a float or a 0-dim array, got shape [2]"),
    (lambda: rr.soft_rank(X, 2.0, temperature=1.0), ValueError, "soft_rank: regularization_strength and temperature are one number and its inverse: give one of them"),
    (lambda: rr.soft_rank(X, method="tanh"), ValueError, "soft_rank: method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', 'l2', 'kl', got 'tanh'"),
    (lambda: rr.soft_rank(X, method=1), TypeError, "soft_rank: method must be a string, got 1"),
    (lambda: rr.soft_rank(X, dim=1), IndexError, "soft_rank: dim must be from -1 to 0 for input of shape [3], got 1"),
    (lambda: rr.soft_rank(X, dim=0.0), TypeError, "soft_rank: dim must be an int, got 0.0"),
    (lambda: rr.soft_rank(X, descending="no"), TypeError, "soft_rank: descending must be a bool, got 'no'"),
    (lambda: rr.soft_rank(X, scale="max"), ValueError, "soft_rank: scale must be one of None, 'std', got 'max'"),
    (lambda: rr.soft_rank(X, mask=np.ones(3)), TypeError, "soft_rank: mask must be bool, true where an item counts, got float32; convert it with mask.astype(bool)"),
    (lambda: rr.soft_rank(X, mask=np.ones((3, 1), bool)), ValueError, "soft_rank: mask must have the shape of input, [3], got [3, 1]; use mask.squeeze(-1)"),
    (lambda: rr.soft_sort(X, jnp.float32(1), method="kl"), ValueError, "soft_sort: regularization_strength must be a float for method 'kl'"),
    (lambda: rr.soft_quantile(X, 1.5), ValueError, "soft_quantile: q must lie between 0 and 1, got 1.5"),
    (lambda: rr.soft_quantile(X, jnp.array([1])), TypeError, "soft_quantile: q must be float64, float32, bfloat16 or float16, got int32"),
    (lambda: rr.soft_quantile(X[:0], 0.5), ValueError, "soft_quantile: input must have at least one item in its last dimension, got shape [0]"),
    (lambda: rr.soft_quantile(X, 0.5, method="l2"), ValueError, "soft_quantile: method must be one of 'sigmoid', 'gaussian', 'laplace', 'cauchy', got 'l2'"),
    (lambda: rr.soft_topk(X, 4), ValueError, "soft_topk: k must not exceed the size of input's dimension -1, 3, got 4"),
    (lambda: rr.soft_topk(X, -1), ValueError, "soft_topk: k must not be negative, got -1"),
    (lambda: rr.soft_topk(X, jnp.array([1, 2])), ValueError, "soft_topk: k must be one number or have the batch shape of input, [], got [2]"),
    (lambda: rr.soft_count(X, X[:2], keys=X[:2]), ValueError, "soft_count: without point_keys points have the keys of the values, so there must be 2 points, got 3"),
    (lambda: rr.soft_count(X, X, order=0.5), TypeError, "soft_count: order must be an int, got 0.5"),
    (lambda: rr.soft_count(X, X, np.ones(2, np.float32)), ValueError, "soft_count: weights must have the shape of values, [3], or several sets of them in one more dimension before the last, got [2]"),
    (lambda: rr.spearman_loss(X, X[:2]), ValueError, "spearman_loss: targets must have the shape of predictions, [3], got [2]"),
    (lambda: rr.spearman_loss(X, X, reduction="all"), ValueError, "spearman_loss: reduction must be one of 'mean', 'sum', 'none', got 'all'"),
    (lambda: rr.spearman_loss(X, np.arange(3), target_ranks="soft"), ValueError, "spearman_loss: targets of an integer dtype are ranked hard"),
    (lambda: rr.ndcg_loss(X, X, k=0), ValueError, "ndcg_loss: k must be at least 1, got 0"),
    (lambda: rr.ndcg_loss(X, X, temperature=-1.0), ValueError, "ndcg_loss: temperature must be positive and finite, got -1; smaller is closer to the hard ranks"),
    (lambda: rr.ndcg_loss(X, X[:2]), ValueError, "ndcg_loss: labels must have the shape of scores, [3], got [2]"),
    (lambda: rr.auc_loss(X, X, surrogate="hinge"), ValueError, "auc_loss: surrogate must be one of"),
    (lambda: rr.hard_rank(np.array([2**40, 1])), ValueError, "hard_rank: input has integers that JAX holds in its 64-bit mode alone: jax.config.update('jax_enable_x64', True)"),
    (lambda: rr.hard_rank(jnp.array([1, 2], jnp.int4)), TypeError, "hard_rank: input must be float64, float32, bfloat16, float16, of an integer dtype or bool, got int4"),
    (lambda: rr.soft_count(X, X, keys=jnp.array([1, 2, 3], jnp.uint4)), TypeError, "of an integer dtype or bool, got uint4"),
    (lambda: rr.soft_topk(X, jnp.array(2, jnp.int4)), TypeError, "soft_topk: k must be of an integer or a floating dtype, got int4"),
    (lambda: rr.soft_rank(X.astype(np.longdouble)), TypeError, "soft_rank: input must be of a dtype that JAX has, got float128; convert it, with input.astype(np.float64) for example"),
    (lambda: rr.hard_rank(X, dtype="nonsense"), TypeError, "hard_rank: dtype must be float64, float32, bfloat16 or float16, got 'nonsense'"),
    (lambda: rr.hard_rank(X, dtype=int), TypeError, "hard_rank: dtype must be float64, float32, bfloat16 or float16, got <class 'int'>"),
    (lambda: jax.grad(lambda t: rr.spearman_loss(X, t))(X), ValueError, "spearman_loss: targets have no gradient with target_ranks='hard'"),
    (lambda: jax.grad(lambda q: rr.soft_quantile(X, q))(0.5 * jnp.ones(())), ValueError, "have no derivative"),
    (lambda: jax.grad(lambda k: rr.soft_topk(X, k)[0])(1.0 * jnp.ones(())), ValueError, "have no derivative"),
]  # fmt: skip


@pytest.mark.parametrize("case", range(len(CASES)))
def test_errors_name_the_argument_and_what_to_do(case: int) -> None:
    call, kind, sentence = CASES[case]
    with pytest.raises(kind, match=re.escape(sentence)):
        call()


def test_errors_come_inside_of_jit_too() -> None:
    with pytest.raises(ValueError, match="must be positive and finite, got -1"):
        jax.jit(lambda x: rr.soft_rank(x, -1.0))(X)


def test_what_the_library_refuses_is_an_error_of_xla(monkeypatch: pytest.MonkeyPatch) -> None:
    from rank_relax_jax import ranks

    with pytest.raises(Exception, match=r"method must be one of 'sigmoid', .*, got 'nonsense'"):
        jax.jit(lambda x: ranks.rank(x, None, 1.0, "nonsense"))(X).block_until_ready()
