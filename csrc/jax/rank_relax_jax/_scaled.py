"""Lists whose relaxation by an array, or in units of their standard deviation, is a plain one."""

import jax.numpy as jnp
from jax import Array
from jax.lax import stop_gradient

from rank_relax_jax._checks import Strength, widest_dtype
from rank_relax_jax._kernel import sharded_alike


class ScaledList:
    """Lists that are relaxed by a strength of 1, or another number, in place of the given ones.

    Relaxations are functions of α (x - c): a strength that is an array moves into the values, as a
    list's standard deviation does. Differentiable, with respect to the strength too; where that is
    not positive and finite, all that counts becomes NaN. In the widest dtype that JAX is asked for.
    """

    def __init__(
        self, values: Array, strength: Strength | None, standardize: bool, mask: Array | None
    ) -> None:
        dtype = widest_dtype()
        self.values = values = values.astype(dtype)
        if mask is not None:
            values, mask = sharded_alike([values, mask], values.ndim - 1)
            self.values = values
        self._center: Array | None = None
        self._deviation: Array | None = None
        self._factor: Array | None = None
        alpha = strength if isinstance(strength, Array) else None
        if (alpha is None and not standardize) or values.shape[-1] == 0:
            return
        counted = jnp.isfinite(values)
        if mask is not None:
            counted = counted & mask
        # A strength's gradient is Σ x ∂L/∂x, in which any common part of x cancels.
        self._center = middle(values, counted)
        scaled = jnp.where(counted, jnp.where(counted, values, 0) - self._center, 0)
        others = values
        if standardize:
            # Within [-1, 1], so that no square overflows or vanishes.
            largest = _largest_magnitude(scaled)
            scaled = scaled / largest
            number = jnp.maximum(counted.sum(-1, keepdims=True), 1)
            mean = scaled.sum(-1, keepdims=True) / number
            scaled = jnp.where(counted, scaled - mean, 0)
            variance = (scaled * scaled).sum(-1, keepdims=True) / number
            constant = variance == 0
            deviation = jnp.sqrt(jnp.where(constant, 1, variance))
            scaled = scaled / deviation
            self._center = self._center + mean * largest
            self._deviation = jnp.where(constant, 0, deviation) * largest
        # Infinities keep their place, and 0·inf stays out of the strength's gradient.
        if alpha is not None:
            alpha = alpha.astype(dtype)
            alpha = jnp.where((alpha > 0) & jnp.isfinite(alpha), alpha, jnp.nan)
            # Where even this dtype would overflow or lose the product, the list is as sharp, or as
            # linear, as it gets.
            farthest = 1e290 if dtype == jnp.float64 else 1e30
            largest = _largest_magnitude(scaled)
            self._factor = jnp.clip(largest * alpha, 1 / farthest, farthest) / largest
            others = jnp.where(jnp.isnan(alpha), jnp.nan, others)
            scaled = scaled * self._factor
        self.values = jnp.where(counted, scaled, others)

    def restored(self, points: Array) -> Array:
        """Points in the unit of the given lists, from those among the values.

        Infinities and NaN are what they are in either unit.
        """
        if self._center is None:
            return points
        finite = jnp.isfinite(points)
        restored = jnp.where(finite, points, 0)
        if self._factor is not None:
            restored = restored / self._factor
        if self._deviation is not None:
            restored = restored * self._deviation
        return jnp.where(finite, restored + self._center, points)


def is_scaled(strength: Strength, scale: object) -> bool:
    """Whether a call is one of scaled lists."""
    return scale is not None or isinstance(strength, Array)


def _largest_magnitude(values: Array) -> Array:
    largest = stop_gradient(jnp.abs(values)).max(-1, keepdims=True)
    return jnp.where(largest == 0, 1, largest)


def middle(values: Array, counted: Array) -> Array:
    """The middle of each list, as a constant; 0 where nothing counts."""
    fixed = stop_gradient(values)
    low = jnp.where(counted, fixed, jnp.inf).min(-1, keepdims=True, initial=jnp.inf)
    high = jnp.where(counted, fixed, -jnp.inf).max(-1, keepdims=True, initial=-jnp.inf)
    return jnp.where(low <= high, low / 2 + high / 2, 0)


def centered(values: Array, mask: Array | None) -> tuple[Array, Array]:
    """Lists that lie far from 0 around their middle, [..., 1], and that; other lists around 0.

    A point among the items is then not rounded to what that distance leaves. No item is rounded:
    of such lists no item is less than half the middle or more than twice it.
    """
    if values.shape[-1] == 0:
        return values, jnp.zeros((*values.shape[:-1], 1), values.dtype)
    fixed = stop_gradient(values)
    counted = jnp.isfinite(fixed)
    if mask is not None:
        counted = counted & mask
    low = jnp.where(counted, fixed, jnp.inf).min(-1, keepdims=True)
    high = jnp.where(counted, fixed, -jnp.inf).max(-1, keepdims=True)
    is_far = ((low > 0) & (high <= 3 * low)) | ((high < 0) & (low >= 3 * high))
    center = jnp.where(is_far & counted.any(-1, keepdims=True), low / 2 + high / 2, 0)
    return values - center, center
