"""What the library computes, as sums over pairs that JAX differentiates: slow, obvious, float64."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

METHODS = ("sigmoid", "gaussian", "laplace", "cauchy")


def cdf(d: Array, method: str) -> Array:
    if method == "sigmoid":
        return jax.nn.sigmoid(d)
    if method == "gaussian":
        return jax.scipy.special.erfc(-d / math.sqrt(2)) / 2
    if method == "cauchy":
        return 0.5 + jnp.arctan(d) / math.pi
    return jnp.where(d < 0, jnp.exp(jnp.minimum(d, 0)) / 2, 1 - jnp.exp(-jnp.maximum(d, 0)) / 2)


def counts(points: Array, values: Array, strength: float, method: str) -> Array:
    d = strength * (points[..., :, None] - values[..., None, :])
    return cdf(d, method).sum(-1)


def soft_rank(x: Array, strength: float, method: str = "sigmoid") -> Array:
    """Of lists of two items at least, that all count."""
    n = x.shape[-1]
    # An item's own term is F(0) = 1/2 whatever it is: its derivatives vanish.
    own = jnp.eye(n, dtype=bool)
    d = jnp.where(own, 0, strength * (x[..., :, None] - x[..., None, :]))
    return (jnp.where(own, 0.5, cdf(d, method)).sum(-1) - 0.5) / (n - 1)


def soft_count(
    t: Array,
    x: Array,
    w: Array,
    strength: float,
    method: str,
    order: int = 0,
    smaller: Array | None = None,
) -> Array:
    """With `smaller` [m, n] over those pairs alone."""
    d = strength * (t[..., :, None] - x[..., None, :])

    def kernel(each: Array) -> Array:
        return cdf(each, method)

    if order == -1:
        assert method == "sigmoid"
        kernel = jax.nn.softplus
    for _ in range(order):
        kernel = _derivative(kernel)
    terms = w[..., None, :] * kernel(d) * strength**order
    return (terms if smaller is None else jnp.where(smaller, terms, 0)).sum(-1)


def _derivative(kernel: Callable[[Array], Array]) -> Callable[[Array], Array]:
    def derived(d: Array) -> Array:
        return jax.jvp(kernel, (d,), (jnp.ones_like(d),))[1]

    return derived


def points_at(x: Array, levels: Array, strength: float, method: str) -> Array:
    """Where the count of a list [n] is `levels`, by bisection."""

    def count(points: Array, values: Array) -> Array:
        return counts(points, values, strength, method)

    @jax.custom_jvp
    def points(x: Array) -> Array:
        distance = 1e3 * (1 + 1 / strength)
        low = jnp.full(levels.shape, x.min() - distance)
        high = jnp.full(levels.shape, x.max() + distance)

        def halve(_: int, ends: tuple[Array, Array]) -> tuple[Array, Array]:
            low, high = ends
            middle = (low + high) / 2
            below = count(middle, x) < levels
            return jnp.where(below, middle, low), jnp.where(below, high, middle)

        low, high = jax.lax.fori_loop(0, 100, halve, (low, high))
        return (low + high) / 2

    @points.defjvp
    def _(x: tuple[Array], v: tuple[Array]) -> tuple[Array, Array]:
        # count(y(x), x) is constant. This y is differentiated by the same rule: any order is right.
        y = points(*x)
        _, slope = jax.jvp(lambda y: count(y, *x), (y,), (jnp.ones_like(y),))
        _, change = jax.jvp(lambda x: count(y, x), x, v)
        return y, -change / slope

    return points(x)


def soft_sort(x: Array, strength: float, method: str = "sigmoid") -> Array:
    return points_at(x, jnp.arange(x.shape[-1]) + 0.5, strength, method)


def soft_quantile(x: Array, q: Array, strength: float, method: str = "sigmoid") -> Array:
    return points_at(x, q * (x.shape[-1] - 1) + 0.5, strength, method)


def soft_topk(x: Array, k: float, strength: float, method: str = "sigmoid") -> Array:
    threshold = points_at(x, jnp.array([x.shape[-1] - k]), strength, method)
    return cdf(strength * (x - threshold), method)


def centered_hard_rank(t: Array) -> Array:
    d = jnp.sign(t[..., :, None] - t[..., None, :]).sum(-1)
    return d / 2


def one_minus_correlation(a: Array, b: Array) -> Array:
    a, b = a - a.mean(-1, keepdims=True), b - b.mean(-1, keepdims=True)
    return 1 - (a * b).sum(-1) / jnp.sqrt((a * a).sum(-1) * (b * b).sum(-1))


def spearman_loss(p: Array, t: Array, strength: float, method: str, target_ranks: str) -> Array:
    of_targets = centered_hard_rank(t) if target_ranks == "hard" else soft_rank(t, strength, method)
    return one_minus_correlation(soft_rank(p, strength, method), of_targets)
