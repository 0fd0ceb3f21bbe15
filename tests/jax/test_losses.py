"""Losses against their formulas over pairs, in NumPy's float64, and their gradients."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rank_relax_jax as rr

SCORES = np.random.default_rng(0).normal(size=(3, 12))
LABELS = np.random.default_rng(1).integers(0, 4, size=(3, 12))
MASK = np.random.default_rng(2).random((3, 12)) < 0.8
MASK[:, :3] = True
pytestmark = pytest.mark.usefixtures("float64")


def above(s: np.ndarray, temperature: float, among: np.ndarray | None = None) -> np.ndarray:
    d = (s[None, :] - s[:, None]) / temperature
    terms = 1 / (1 + np.exp(-d))
    np.fill_diagonal(terms, 0)
    return terms.sum(1) if among is None else terms[:, among].sum(1)


def ndcg(s: np.ndarray, y: np.ndarray, t: float = 0.1) -> float:
    gain = 2.0**y - 1
    soft = (gain / np.log2(2 + above(s, t))).sum()
    best = (np.sort(gain)[::-1] / np.log2(2 + np.arange(len(y)))).sum()
    return 1 - soft / best


def mrr(s: np.ndarray, y: np.ndarray, t: float = 0.1) -> float:
    return 1 - (1 / (1 + above(s, t)))[y > 0].max()


def average_precision(s: np.ndarray, y: np.ndarray, t: float = 0.01) -> float:
    relevant = y > 0
    return 1 - ((1 + above(s, t, relevant)) / (1 + above(s, t)))[relevant].mean()


def auc(s: np.ndarray, y: np.ndarray) -> float:
    d = s[y > 0][:, None] - s[y <= 0][None, :]
    return (1 / (1 + np.exp(d))).mean()


def squared_hinge(s: np.ndarray, y: np.ndarray) -> float:
    d = s[y > 0][:, None] - s[y <= 0][None, :]
    return (np.maximum(0, 1 - d) ** 2).mean()


def pairwise(s: np.ndarray, y: np.ndarray) -> float:
    ordered = y[:, None] > y[None, :]
    return np.log1p(np.exp(-(s[:, None] - s[None, :])))[ordered].mean()


def kendall(s: np.ndarray, y: np.ndarray) -> float:
    ordered = y[:, None] > y[None, :]
    sums = np.tanh((s[:, None] - s[None, :]) / 2)[ordered].sum()
    every = len(s) * (len(s) - 1) / 2
    return 1 - sums / np.sqrt(every * ordered.sum())


def listnet(s: np.ndarray, y: np.ndarray) -> float:
    share = np.exp(y - y.max())
    share = share / share.sum()
    return -(share * (s - np.log(np.exp(s).sum()))).sum()


def listmle(s: np.ndarray, y: np.ndarray) -> float:
    """Breslow's: what is drawn from are all of no larger labels."""
    return sum(np.log(np.exp(s[y <= y[i]]).sum()) - s[i] for i in range(len(s)))


def adr_mse(s: np.ndarray, y: np.ndarray) -> float:
    rank = 1 + (y[None, :] > y[:, None]).sum(1) + ((y[None, :] == y[:, None]).sum(1) - 1) / 2
    return ((rank - 1 - above(s, 1.0)) ** 2 / np.log2(1 + rank)).mean()


def cosent(s: np.ndarray, y: np.ndarray, t: float = 0.05) -> float:
    ordered = y[:, None] > y[None, :]
    return np.log1p(np.exp(-(s[:, None] - s[None, :]) / t)[ordered].sum())


def chosen(s: np.ndarray, k: int, t: float = 0.5) -> np.ndarray:
    """The mask that adds up to k, by bisection."""
    low, high = s.min() - 100, s.max() + 100
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid((s - middle) / t).sum() > k else (low, middle)
    return _sigmoid((s - low) / t)


def _sigmoid(d: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-d))


def precision_at_3(s: np.ndarray, y: np.ndarray) -> float:
    return 1 - chosen(s, 3)[y > 0].sum() / 3


def recall_at_3(s: np.ndarray, y: np.ndarray) -> float:
    return 1 - chosen(s, 3)[y > 0].mean()


CASES: dict[str, tuple[Callable[..., Any], Callable[..., float], dict[str, Any]]] = {
    "ndcg": (rr.ndcg_loss, ndcg, {}),
    "mrr": (rr.mrr_loss, mrr, {}),
    "average_precision": (rr.average_precision_loss, average_precision, {}),
    "auc": (rr.auc_loss, auc, {}),
    "squared_hinge": (rr.auc_loss, squared_hinge, {"surrogate": "squared_hinge"}),
    "pairwise": (rr.pairwise_logistic_loss, pairwise, {}),
    "kendall": (rr.kendall_loss, kendall, {}),
    "listnet": (rr.listnet_loss, listnet, {}),
    "listmle": (rr.listmle_loss, listmle, {"ties": "breslow"}),
    "adr_mse": (rr.adr_mse_loss, adr_mse, {}),
    "cosent": (rr.cosent_loss, cosent, {}),
    "precision": (rr.precision_at_k_loss, precision_at_3, {"k": 3, "temperature": 0.5}),
    "recall": (rr.recall_at_k_loss, recall_at_3, {"k": 3, "temperature": 0.5}),
}
every = pytest.mark.parametrize("name", list(CASES))


@every
@pytest.mark.parametrize("masked", [False, True])
def test_losses_are_their_formulas(name: str, masked: bool) -> None:
    loss, formula, options = CASES[name]
    mask = MASK if masked else None
    scores = np.where(MASK, SCORES, np.nan) if masked else SCORES

    @jax.jit
    def of_lists_and_all(s: jax.Array) -> list[jax.Array]:
        return [
            loss(s, LABELS, mask=mask, **options, **more) for more in ({"reduction": "none"}, {})
        ]

    result, mean = of_lists_and_all(scores)
    counts = MASK if masked else np.ones_like(MASK)
    expected = [formula(s[m], y[m]) for s, y, m in zip(SCORES, LABELS, counts, strict=True)]
    np.testing.assert_allclose(result, expected, rtol=1e-10)
    np.testing.assert_allclose(mean, np.mean(expected), rtol=1e-10)


@every
def test_gradients_are_differences_of_values(name: str) -> None:
    loss, formula, options = CASES[name]
    s, y = SCORES[0], LABELS[0]
    gradient = jax.jit(jax.grad(lambda s: loss(s, y, **options)))(s)
    step = 1e-6
    differences = [
        (formula(s + step * unit, y) - formula(s - step * unit, y)) / (2 * step)
        for unit in np.eye(len(s))
    ]
    np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=2e-7)


@every
def test_whole_weights_and_temperatures_that_are_traced(name: str) -> None:
    loss, _, options = CASES[name]

    @jax.jit
    def results(t: jax.Array) -> list[jax.Array]:
        ones = np.ones_like(SCORES)
        every_option = ({}, {"weights": ones}, {"temperature": 0.5}, {"temperature": t})
        return [loss(SCORES, LABELS, **{**options, **more}) for more in every_option]

    plain, weighted, half, traced = results(jnp.array(0.5))
    np.testing.assert_allclose(weighted, plain, rtol=1e-12)
    np.testing.assert_allclose(traced, half, rtol=1e-10)


@every
def test_one_list_with_nan_leaves_the_others_alone(name: str) -> None:
    loss, _, options = CASES[name]
    scores = SCORES.copy()
    scores[1, 4] = np.nan

    def of_all(s: jax.Array) -> tuple[jax.Array, jax.Array]:
        none, total = (loss(s, LABELS, reduction=each, **options) for each in ("none", "sum"))
        return total, none

    of_both = jax.jit(jax.grad(of_all, has_aux=True))
    (gradient, losses), (_, alone) = of_both(scores), of_both(SCORES)
    assert np.isnan(losses[1])
    np.testing.assert_allclose(losses[::2], alone[::2], rtol=1e-12)
    assert bool(jnp.isnan(gradient[1]).all())
    assert bool(jnp.isfinite(gradient[::2]).all())
