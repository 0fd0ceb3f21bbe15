"""Trains a small network in JAX to put lists in order, and times a step beside the n² formula.

Each list has items with features; their targets are a noisy, monotone and very skewed function of a
hidden direction, so that only the order can be learnt. Three losses are timed, value and gradient
of a batch, with the largest error of each gradient beside float64: ``rank_relax_jax``'s Spearman
loss, the same from the n² matrix of sigmoids, and, what a soft rank is not but is measured against,
a sort alone. Run it with ``rank_relax_jax`` installed: ``python docs/examples/train_jax.py``.
"""

import argparse
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from rank_relax_jax import hard_rank, spearman_loss

STRENGTH = 2.0
Weights = list[tuple[Array, Array]]


def scores_of(weights: Weights, features: Array) -> Array:
    """One score an item."""
    (first, bias), (last, _) = weights
    return (jnp.tanh(features @ first + bias) @ last)[..., 0]


def initial(key: Array, features: int, width: int = 32) -> Weights:
    one, two = jax.random.split(key)
    first = jax.random.normal(one, (features, width)) / np.sqrt(features)
    last = jax.random.normal(two, (width, 1)) / np.sqrt(width)
    return [(first, jnp.zeros(width)), (last, jnp.zeros(1))]


def lists(key: Array, number: int, size: int, features: int) -> tuple[Array, Array]:
    """Features and targets of lists, which differ in scale from list to list."""
    keys = jax.random.split(key, 3)
    x = jax.random.normal(keys[0], (number, size, features))
    hidden = x @ jnp.linspace(-1, 1, features) + jax.random.normal(keys[1], (number, size)) / 2
    return x, jnp.exp(2 * hidden) * jnp.exp(jax.random.normal(keys[2], (number, 1)))


def correlation(scores: Array, targets: Array) -> Array:
    """Spearman's own, of hard ranks, averaged over lists."""
    a, b = hard_rank(scores) - 0.5, hard_rank(targets) - 0.5
    return ((a * b).sum(-1) / jnp.sqrt((a * a).sum(-1) * (b * b).sum(-1))).mean()


def by_pairs(scores: Array, targets: Array) -> Array:
    """The same loss from all pairs of each list."""
    a = jax.nn.sigmoid(STRENGTH * (scores[..., :, None] - scores[..., None, :])).sum(-1)
    a = a - a.mean(-1, keepdims=True)
    b = hard_rank(targets) - 0.5
    return (1 - (a * b).sum(-1) / jnp.sqrt((a * a).sum(-1) * (b * b).sum(-1))).mean()


def train(steps: int, rate: float = 0.2) -> tuple[float, float]:
    """The correlation on lists that were not seen, before and after."""
    keys = jax.random.split(jax.random.key(0), 3)
    seen, unseen = lists(keys[0], 64, 200, 8), lists(keys[1], 64, 200, 8)
    weights = initial(keys[2], 8)

    def loss(weights: Weights, features: Array, targets: Array) -> Array:
        return spearman_loss(scores_of(weights, features), targets, STRENGTH)

    @jax.jit
    def step(weights: Weights, _: None) -> tuple[Weights, Array]:
        value, gradient = jax.value_and_grad(loss)(weights, *seen)
        return jax.tree.map(lambda w, g: w - rate * g, weights, gradient), value

    def measured(weights: Weights) -> float:
        return float(correlation(scores_of(weights, unseen[0]), unseen[1]))

    before = measured(weights)
    weights, _ = jax.lax.scan(lambda w, _: step(w, None), weights, length=steps)
    return before, measured(weights)


def seconds(function: Callable[..., Any], *arguments: Array, tries: int) -> float:
    """The least of several tries, once compiled."""
    jax.block_until_ready(function(*arguments))
    taken = []
    for _ in range(tries):
        begin = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        taken.append(time.perf_counter() - begin)
    return min(taken)


def compare(number: int, size: int, tries: int) -> None:
    random = np.random.default_rng(0)
    scores, targets = (random.normal(size=(number, size)).astype(np.float32) for _ in range(2))
    arrays = jnp.asarray(scores), jnp.asarray(targets)
    ours = jax.jit(jax.value_and_grad(lambda s, t: spearman_loss(s, t, STRENGTH)))
    theirs = jax.jit(jax.value_and_grad(by_pairs))
    exact = gradient_in_float64(scores, targets)
    for name, function in (("rank_relax_jax", ours), ("all pairs", theirs)):
        error = np.abs(np.asarray(function(*arrays)[1]) - exact).max() / np.abs(exact).max()
        taken = seconds(function, *arrays, tries=tries)
        print(f"{number}×{size}  {name:16} {1e3 * taken:9.3f} ms   error {error:.1e}", flush=True)
    taken = seconds(jax.jit(lambda s, t: jnp.sort(s)), *arrays, tries=tries)
    print(f"{number}×{size}  {'jnp.sort alone':16} {1e3 * taken:9.3f} ms", flush=True)


def gradient_in_float64(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Of the loss of all pairs, one list at a time."""
    gradients = []
    for s, t in zip(scores.astype(np.float64), targets, strict=True):
        f = 1 / (1 + np.exp(-STRENGTH * (s[:, None] - s[None, :])))
        a, b = f.sum(1) - f.sum(1).mean(), np.sign(t[:, None] - t[None, :]).sum(1) / 2
        a_size, b_size = np.linalg.norm(a), np.linalg.norm(b)
        g = -(b / b_size - a * (a @ b) / (a_size**2 * b_size)) / a_size
        slope = STRENGTH * f * (1 - f)
        gradients.append(slope.sum(1) * g - slope @ g)
    return np.stack(gradients) / len(scores)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--tries", type=int, default=7)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 1000, 5000])
    options = parser.parse_args()
    print(f"jax {jax.__version__} on {jax.devices()[0].platform}")
    before, after = train(options.steps)
    print(f"Spearman's correlation on unseen lists: {before:.3f} before, {after:.3f} after")
    for size in options.sizes:
        compare(16, size, options.tries)
