"""Smooth CDFs in jnp, for formulas that are differentiated: those of csrc/core/cdf."""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

_SQRT_2 = math.sqrt(2)


def _size(d: Array) -> Array:
    """|d| with the derivative 1 at 0: so an even smooth function of it has its derivatives."""
    return jnp.where(d < 0, -d, d)


def cdf(d: Array, method: str) -> Array:
    """F, to full relative precision."""
    tail = _TAILS[method]
    if method == "laplace":  # at the kink the derivatives are the mean of both sides
        return tail(-jnp.minimum(d, 0)) + (0.5 - tail(jnp.maximum(d, 0)))
    size = _size(d)
    return jnp.where(d < 0, tail(size), 1 - tail(size))


def density(d: Array, method: str) -> Array:
    """F'."""
    return _DENSITIES[method](d)


def log_density(d: Array, method: str, counted: Array) -> Array:
    """Log F' less what is the same for all d of a list, [..., n].

    The largest among those counted keeps its precision however far away they are.
    """
    if method == "sigmoid":
        below = -_size(d)
        return below - 2 * jnp.log1p(jnp.exp(below))
    if method == "laplace":
        return -jnp.abs(d)
    if method == "cauchy":
        return -jnp.log1p(d * d)
    nearest = jnp.where(counted, jnp.abs(jax.lax.stop_gradient(d)), jnp.inf)
    nearest = nearest.min(-1, keepdims=True)
    nearest = jnp.where(jnp.isfinite(nearest), nearest, 0)
    return (d - nearest) * (d + nearest) / -2


def _density_of_sigmoid(d: Array) -> Array:
    decay = jnp.exp(-_size(d))
    return decay / (1 + decay) ** 2


# F(-d) for d >= 0.
_TAILS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda d: jnp.exp(-d) / (1 + jnp.exp(-d)),
    "gaussian": lambda d: jax.scipy.special.erfc(d / _SQRT_2) / 2,
    "laplace": lambda d: jnp.exp(-d) / 2,
    "cauchy": lambda d: jnp.arctan2(jnp.ones_like(d), d) / math.pi,
}
_DENSITIES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": _density_of_sigmoid,
    "gaussian": lambda d: jnp.exp(-d * d / 2) / math.sqrt(2 * math.pi),
    "laplace": lambda d: jnp.exp(-jnp.abs(d)) / 2,
    "cauchy": lambda d: 1 / (math.pi * (1 + d * d)),
}
