"""Against rank_relax for torch, where it is installed beside JAX: the very same numbers.

Where it isn't, conftest.py leaves this file out.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rank_relax_jax as rr
import torch

import rank_relax as rt

INF, NAN = np.inf, np.nan
NASTY = {
    "normal": np.random.default_rng(0).normal(size=(3, 40)),
    "long": np.random.default_rng(1).normal(size=(2, 3000)) * 30,
    "ties": np.array([[1.0, 2.0, 1.0, 2.0, 2.0], [3.0, 3.0, 3.0, 3.0, 3.0]]),
    "infinities": np.array([[INF, 0.5, -INF, 1.0, INF], [-INF, -INF, 0.0, 2.0, 1.0]]),
    "NaN": np.array([[NAN, 0.5, 0.25, 1.0, 3.0], [0.0, 1.0, 2.0, 3.0, 4.0]]),
    "one": np.array([[7.0], [-1.0]]),
    "narrow": np.array([[1.0, 2.0, 4.0, 3.0]]) * 1e-12,
    "denormal": np.array([[1.0, 2.0, 4.0, 3.0]]) * 1e-310,
    "far": np.array([[1.0, 2.0, 4.0, 3.0]]) + 1e6,
    "wide": np.array([[1.0, 2e9, 4e9, 3.0, -1e12]]),
}

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "soft_rank": lambda m, x, mask: m.soft_rank(x, 2.0, mask=mask),
    "soft_rank, descending counts": lambda m, x, mask: m.soft_rank(
        x, 2.0, mask=mask, descending=True, normalize=False
    ),
    "soft_rank, std": lambda m, x, mask: m.soft_rank(x, 2.0, mask=mask, scale="std"),
    "soft_rank, gaussian": lambda m, x, mask: m.soft_rank(x, 2.0, mask=mask, method="gaussian"),
    "soft_rank, laplace": lambda m, x, mask: m.soft_rank(x, 2.0, mask=mask, method="laplace"),
    "soft_rank, l2": lambda m, x, mask: m.soft_rank(x, 0.3, mask=mask, method="l2"),
    "soft_rank, kl": lambda m, x, mask: m.soft_rank(x, 0.3, mask=mask, method="kl"),
    "soft_sort": lambda m, x, mask: m.soft_sort(x, 2.0, mask=mask),
    "soft_sort, descending": lambda m, x, mask: m.soft_sort(x, 2.0, mask=mask, descending=True),
    "soft_sort, std": lambda m, x, mask: m.soft_sort(x, 2.0, mask=mask, scale="std"),
    "soft_sort, l2": lambda m, x, mask: m.soft_sort(x, 0.3, mask=mask, method="l2"),
    "soft_sort, kl": lambda m, x, mask: m.soft_sort(x, 0.3, mask=mask, method="kl"),
    "soft_quantile": lambda m, x, mask: m.soft_quantile(x, 0.4, 2.0, mask=mask),
    "soft_quantile, std": lambda m, x, mask: m.soft_quantile(x, 0.4, 2.0, mask=mask, scale="std"),
    "soft_topk": lambda m, x, mask: m.soft_topk(x, 1, 2.0, mask=mask),
    "soft_topk, smallest": lambda m, x, mask: m.soft_topk(
        x, 0.5, 2.0, mask=mask, largest=False, scale="std"
    ),
    "soft_count": lambda m, x, mask: m.soft_count(x, x, None, 2.0, mask=mask),
    "soft_count, order 1": lambda m, x, mask: m.soft_count(x, x, None, 2.0, mask=mask, order=1),
    "spearman_loss": lambda m, x, mask: m.spearman_loss(
        x, targets(m, x), 2.0, mask=mask, reduction="none"
    ),
    "spearman_loss, soft": lambda m, x, mask: m.spearman_loss(
        x, targets(m, x), 2.0, mask=mask, reduction="none", target_ranks="soft"
    ),
    "spearman_loss, std": lambda m, x, mask: m.spearman_loss(
        x, targets(m, x), 2.0, mask=mask, scale="std"
    ),
}
LOSSES: dict[str, dict[str, Any]] = {
    "ndcg_loss": {},
    "ndcg_loss, k": {"k": 3, "gain": "linear"},
    "ndcg_loss, not normalized": {"normalize": False},
    "mrr_loss": {},
    "mrr_loss, all": {"relevant": "all"},
    "average_precision_loss": {"temperature": 0.5},
    "auc_loss": {},
    "auc_loss, logistic": {"surrogate": "logistic"},
    "auc_loss, squared": {"surrogate": "squared"},
    "auc_loss, squared_hinge": {"surrogate": "squared_hinge", "margin": 0.7},
    "pairwise_logistic_loss": {},
    "pairwise_logistic_loss, pairs": {"normalize": "pairs"},
    "pairwise_logistic_loss, sum": {"normalize": "sum"},
    "kendall_loss": {},
    "kendall_loss, a": {"variant": "a"},
    "listnet_loss": {},
    "listnet_loss, proportional": {"shares": "proportional"},
    "listmle_loss": {},
    "listmle_loss, breslow": {"ties": "breslow", "position_weights": "exp2"},
    "adr_mse_loss": {},
    "cosent_loss": {},
    "precision_at_k_loss": {"k": 3, "temperature": 0.5},
    "recall_at_k_loss": {"k": 3, "temperature": 0.5},
    "recall_at_k_loss, capped": {"k": 2, "temperature": 0.5, "capped": True},
}


def targets(module: Any, like: Any) -> Any:
    given = np.random.default_rng(5).normal(size=like.shape)
    return torch.tensor(given) if module is rt else jnp.asarray(given)


def of_torch(function: Callable[..., Any], *arrays: np.ndarray) -> tuple[Any, Any]:
    """The value, and the gradient of what differs from item to item."""
    first = torch.tensor(arrays[0], requires_grad=True)
    value = function(rt, first, *map(_tensor, arrays[1:]))
    weights = torch.cos(torch.arange(value.numel(), dtype=torch.float64)).reshape(value.shape)
    (gradient,) = torch.autograd.grad((weights * value).sum(), first, allow_unused=True)
    return value.detach().numpy(), gradient.numpy()


def _tensor(array: Any) -> Any:
    return None if array is None else torch.tensor(array)


def of_jax(function: Callable[..., Any], *arrays: np.ndarray) -> tuple[Any, Any]:
    def both(x: Any) -> tuple[Any, Any]:
        value = function(
            rr, x, *(None if each is None else jnp.asarray(each) for each in arrays[1:])
        )
        weights = jnp.cos(jnp.arange(value.size, dtype=jnp.float64)).reshape(value.shape)
        return (weights * value).sum(), value

    (_, value), gradient = jax.jit(jax.value_and_grad(both, has_aux=True))(jnp.asarray(arrays[0]))
    return value, gradient


def assert_same(ours: Any, theirs: Any) -> None:
    finite = np.abs(np.where(np.isfinite(theirs), theirs, 0))
    scale = finite.max(initial=0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-13 * scale)


# A standard deviation is XLA's own arithmetic, which takes denormal numbers for 0 (docs/jax.md):
# of rows of those the numbers are promised without it alone.
STANDARDIZED = {name for name in FUNCTIONS if "std" in name or "smallest" in name}
AGREEING = [
    (name, rows)
    for name in FUNCTIONS
    for rows in NASTY
    if rows != "denormal" or name not in STANDARDIZED
]


def masks(x: np.ndarray) -> list[np.ndarray | None]:
    some = np.random.default_rng(2).random(x.shape) < 0.7
    return [None, some, np.zeros_like(some)]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("name", "rows"), AGREEING)
def test_functions_agree(name: str, rows: str) -> None:
    x = NASTY[rows]
    for mask in masks(x):
        ours, theirs = of_jax(FUNCTIONS[name], x, mask), of_torch(FUNCTIONS[name], x, mask)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_products_with_hessians_agree(name: str) -> None:
    """Forward over reverse and reverse over reverse, of rows of one shape."""
    some = np.random.default_rng(2).random((2, 5)) < 0.7
    assert_same_products(FUNCTIONS[name], ["ties", "infinities", "NaN"], [None, some])


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", list(LOSSES))
def test_products_with_hessians_of_losses_agree(name: str) -> None:
    labels = np.array([[0, 2, 1, 0, 2], [2, 1, 0, 2, 0]])

    def loss(module: Any, x: Any, mask: Any) -> Any:
        of_labels = torch.tensor(labels) if module is rt else jnp.asarray(labels)
        return getattr(module, name.split(",")[0])(x, of_labels, mask=mask, **LOSSES[name])

    assert_same_products(loss, ["ties", "NaN"], [None])


def assert_same_products(function: Callable[..., Any], names: list[str], masks: list[Any]) -> None:
    v = np.cos(np.arange(10.0)).reshape(2, 5)

    def weighted(module: Any, x: Any, mask: Any) -> Any:
        value = function(module, x, mask)
        weights = np.cos(np.arange(np.prod(value.shape))).reshape(value.shape)
        return ((torch.tensor(weights) if module is rt else weights) * value).sum()

    @jax.jit
    def of_jax(x: Any, mask: Any) -> tuple[Any, Any]:
        gradient = jax.grad(lambda x: weighted(rr, x, mask))
        forward = jax.jvp(gradient, (x,), (jnp.asarray(v),))[1]
        return forward, jax.grad(lambda x: (gradient(x) * v).sum())(x)

    for name in names:
        for mask in masks:
            x = torch.tensor(NASTY[name], requires_grad=True)
            value = weighted(rt, x, _tensor(mask))
            (gradient,) = torch.autograd.grad(value, x, create_graph=True)
            expected = np.zeros((2, 5))
            if gradient.requires_grad:
                product = (gradient * torch.tensor(v)).sum()
                (found,) = torch.autograd.grad(product, x, allow_unused=True)
                expected = expected if found is None else found.numpy()
            for each in of_jax(jnp.asarray(NASTY[name]), mask):
                scale = np.abs(np.where(np.isfinite(expected), expected, 0)).max(initial=0)
                np.testing.assert_allclose(each, expected, rtol=1e-8, atol=1e-10 * scale + 1e-11)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("rows", ["normal", "ties", "infinities", "NaN", "one", "far"])
@pytest.mark.parametrize("name", list(LOSSES))
def test_losses_agree(name: str, rows: str) -> None:
    x = NASTY[rows]
    labels = np.random.default_rng(3).integers(0, 3, size=x.shape)
    weights = np.random.default_rng(4).random(x.shape) * (labels < 2)
    options = {"reduction": "none", **LOSSES[name]}
    if "pairs" in name:
        options["reduction"] = "mean"

    def loss(module: Any, x: Any, mask: Any, weights: Any) -> Any:
        of_labels = torch.tensor(labels) if module is rt else jnp.asarray(labels)
        function = getattr(module, name.split(",")[0])
        value = function(x, of_labels, mask=mask, weights=weights, **options)
        return value.reshape(-1)

    for mask in masks(x):
        for of_items in (None, weights):
            ours, theirs = of_jax(loss, x, mask, of_items), of_torch(loss, x, mask, of_items)
            for one, other in zip(ours, theirs, strict=True):
                assert_same(one, other)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", list(LOSSES))
def test_losses_have_the_same_second_derivatives(name: str) -> None:
    x = np.random.default_rng(7).normal(size=6)
    labels = np.array([0, 2, 1, 0, 2, 0])
    function, options = name.split(",")[0], LOSSES[name]
    ours = jax.jit(jax.hessian(lambda s: getattr(rr, function)(s, labels, **options)))(x)
    theirs = torch.autograd.functional.hessian(
        lambda s: getattr(rt, function)(s, torch.tensor(labels), **options), torch.tensor(x)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "dtype", ["int8", "int64", "uint8", "bool", "float64", "float32", "float16"]
)
def test_hard_ranks_agree(dtype: str) -> None:
    items = (np.random.default_rng(0).normal(size=(3, 30)) * 3).astype(dtype)
    for mask in masks(items):
        for options in ({}, {"descending": True, "normalize": False}):
            ours = rr.hard_rank(jnp.asarray(items), mask=mask, dtype=jnp.float64, **options)
            theirs = rt.hard_rank(
                torch.tensor(items), mask=_tensor(mask), dtype=torch.float64, **options
            )
            np.testing.assert_array_equal(ours, theirs.numpy())


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("strength", [0.5, 20.0, NAN, -1.0])
def test_traced_strengths_agree(strength: float) -> None:
    x = NASTY["infinities"][:1]
    for name in ("soft_rank", "soft_sort", "soft_topk"):
        more = (2,) if name == "soft_topk" else ()
        ours = jax.jit(lambda s, name=name, more=more: getattr(rr, name)(x, *more, s))(
            jnp.array(strength)
        )
        alpha = torch.tensor(strength, dtype=torch.float64)
        theirs = getattr(rt, name)(torch.tensor(x), *more, alpha)
        assert_same(ours, theirs.numpy())


@pytest.mark.usefixtures("float32")
@pytest.mark.parametrize("name", ["soft_rank", "soft_sort", "soft_count", "spearman_loss"])
def test_float32_without_the_64_bit_mode_agrees(name: str) -> None:
    x = np.random.default_rng(0).normal(size=(5, 300)).astype(np.float32)
    more = {"spearman_loss": (x[::-1].copy(),), "soft_count": (x,)}.get(name, ())
    if name == "spearman_loss":
        ours = rr.spearman_loss(x, *more, 3.0)
        theirs = rt.spearman_loss(torch.tensor(x), *map(torch.tensor, more), 3.0)
    else:
        ours = getattr(rr, name)(x, *more, regularization_strength=3.0)
        theirs = getattr(rt, name)(
            torch.tensor(x), *map(torch.tensor, more), regularization_strength=3.0
        )
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=3e-6, atol=3e-7)
