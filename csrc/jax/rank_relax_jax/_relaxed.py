"""What a relaxation of lists along a dimension is given."""

from collections.abc import Callable

import jax.numpy as jnp
from jax import Array

from rank_relax_jax._checks import (
    METHODS,
    Strength,
    at_least_float32,
    check_choice,
    check_method,
    checked_dim,
    checked_mask,
    checked_scores,
    strength_given,
)
from rank_relax_jax._scaled import ScaledList, is_scaled


class RelaxedLists:
    """The arguments that soft_rank, soft_sort, soft_quantile and soft_topk share, checked.

    Lists lie along the last dimension of `values`, float32 or float64, and of the mask.
    """

    def __init__(
        self,
        function: str,
        input: object,
        strength: object,
        temperature: object,
        method: object,
        dim: object,
        mask: object,
        scale: object,
        methods: tuple[str, ...] = METHODS,
    ) -> None:
        self.input = checked_scores(function, "input", input)
        given = checked_mask(function, mask, "input", self.input)
        self.strength: Strength = strength_given(function, strength, temperature)
        self.dim = checked_dim(function, dim, "input", self.input)
        check_method(function, method, methods)
        check_choice(function, "scale", scale, (None, "std"))
        self.scale = scale
        self.values = at_least_float32(jnp.moveaxis(self.input, self.dim, -1))
        self.mask = None if given is None else jnp.moveaxis(given, self.dim, -1)

    def scaled(
        self, values: Array, strength: Strength | None = None
    ) -> tuple[Array, Callable[[Array], Array]]:
        """The values whose relaxation by plain(strength) is that of the given ones.

        By another strength than the lists' own, if it is given. And what restores points among them
        to the unit of the given ones.
        """
        if not is_scaled(self.strength, self.scale):
            return values, lambda points: points
        by = self.strength if strength is None else strength
        scaled = ScaledList(values, by, self.scale == "std", self.mask)
        return scaled.values, scaled.restored

    def as_given(self, items: Array) -> Array:
        """Lists along the dimension of the input's, in its dtype."""
        return jnp.moveaxis(items, -1, self.dim).astype(self.input.dtype)
