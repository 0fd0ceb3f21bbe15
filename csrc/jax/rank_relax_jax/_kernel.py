"""The library's handlers as JAX primitives."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jax.sharding import NamedSharding, PartitionSpec
from jaxlib.mlir import ir

try:
    from jax.sharding import reshard
except ImportError:  # JAX 0.6
    from jax.experimental.shard import reshard  # type: ignore[no-redef, import-not-found]

from rank_relax_jax import _library

# Bits of float64, which JAX has no dtype for where it isn't asked for it: [..., 2].
BITS = np.dtype(np.uint32)

# What a result is like: its shape behind the batch, and its dtype.
Result = tuple[tuple[Any, ...], Any]
Shapes = Callable[..., list[Result]]
Jvp = Callable[..., tuple[list[Array], list[Any]]]
Transpose = Callable[..., list[Any]]

NAMES: list[str] = []  # of all handlers


class Kernel:
    """A handler of the library, which JAX can compile, map over and partition along the batch.

    Every operand and result has the batch in front. `results` says what comes out, of the avals
    that go in and the attributes. `is_single` where it is one array. Whether it has a jvp and a
    transpose is said by whoever makes it.
    """

    def __init__(self, name: str, results: Shapes, *, is_single: bool = True) -> None:
        self.name = f"rank_relax_{name}"
        self.results = results
        self.is_single = is_single
        _library.register(self.name)
        NAMES.append(self.name)
        self.primitive = Primitive(self.name)
        self.primitive.multiple_results = True
        self.primitive.def_impl(self._run)
        self.primitive.def_abstract_eval(self._outputs)
        mlir.register_lowering(self.primitive, self._lower, platform="cpu")
        batching.primitive_batchers[self.primitive] = self._map

    def __call__(self, *operands: Array, **attributes: Any) -> Any:
        """The results, of operands that may differ in how they lie on a mesh."""
        alike = sharded_alike(varying_alike(operands), len(operands[0].shape) - 1)
        results = self.primitive.bind(*alike, **attributes)
        return results[0] if self.is_single else results

    def has_jvp(self, jvp: Jvp) -> None:
        """Gives it the rule jvp(primals, tangents, **attributes): results and their tangents."""

        def rule(primals: Any, tangents: Any, **attributes: Any) -> Any:
            results, tangents = jvp(primals, tangents, **attributes)
            return results, [
                ad.Zero(jax.typeof(result).to_tangent_aval()) if tangent is None else tangent
                for result, tangent in zip(results, tangents, strict=True)
            ]

        ad.primitive_jvps[self.primitive] = rule

    def is_linear_in(self, places: Callable[..., Sequence[int]], transpose: Transpose) -> None:
        """Gives it a transpose with respect to any one of the operands at these places."""

        def rule(cotangents: Any, *operands: Any, **attributes: Any) -> Any:
            unknown = [i for i, each in enumerate(operands) if ad.is_undefined_primal(each)]
            (place,) = unknown
            assert place in places(*operands, **attributes)
            result: list[Any] = [None] * len(operands)
            (cotangent,) = cotangents
            if type(cotangent) is ad.Zero:
                result[place] = ad.Zero(operands[place].aval)
            else:
                result[place] = transpose(place, cotangent, *operands, **attributes)
            return result

        ad.primitive_transposes[self.primitive] = rule

    def is_own_transpose_in(self, places: Callable[..., Sequence[int]]) -> None:
        """Gives it as transpose itself, with the cotangent in the place.

        Where it has the attribute `transposed`, the other of both; where not, it is symmetric.
        """

        def transpose(place: int, cotangent: Array, *operands: Any, **attributes: Any) -> Any:
            if "transposed" in attributes:
                attributes["transposed"] = not attributes["transposed"]
            return self(*_with(operands, place, cotangent), **attributes)

        self.is_linear_in(places, transpose)

    def has_derivative_by(self, formula: Callable[..., Array], vector: int, items: int) -> None:
        """Gives the product of a vector and a Jacobian at some items its jvp, with these places.

        It is linear in the vector; in the items it has the tangent of a formula that takes what the
        kernel takes.
        """

        def jvp(primals: Any, tangents: Any, **attributes: Any) -> Any:
            result = self(*primals, **attributes)
            terms = []
            if not is_zero(tangents[vector]):
                terms.append(self(*_with(primals, vector, tangents[vector]), **attributes))

            def of_items(values: Array) -> Array:
                return formula(*_with(primals, items, values), **attributes)

            terms.append(tangent_of(of_items, [primals[items]], [tangents[items]]))
            return [result], [total(terms)]

        self.has_jvp(jvp)

    def _run(self, *operands: Array, **attributes: Any) -> Any:
        return _compiled(self, tuple(sorted(attributes.items())))(*operands)

    def _outputs(self, *avals: Any, **attributes: Any) -> list[Any]:
        """Results vary over the axes of a mesh, and are sharded along the batch, as the first."""
        first = avals[0]
        batch = first.shape[:-1]
        return [
            first.update(
                shape=(*batch, *shape),
                dtype=np.dtype(dtype),
                weak_type=False,
                sharding=_along_batch(first, len(shape)),
            )
            for shape, dtype in self.results(*avals, **attributes)
        ]

    def _lower(self, context: Any, *operands: Any, **attributes: Any) -> Any:
        dims = len(context.avals_in[0].shape) - 1
        number = ir.DictAttr.get({"num_batch_dims": ir.StringAttr.get(str(dims))})
        batch = {"mhlo.frontend_attributes": number}
        lower = jax.ffi.ffi_lowering(self.name, extra_attributes=batch)
        given = {name: _attribute(value) for name, value in attributes.items()}
        results: Any = lower(context, *operands, **given)
        rule = _sharding_rule(context, dims, operands, results)
        if rule is not None:
            results[0].owner.attributes["sdy.sharding_rule"] = rule
        return results

    def _map(self, operands: Any, dims: Any, **attributes: Any) -> Any:
        (size,) = {
            each.shape[dim] for each, dim in zip(operands, dims, strict=True) if dim is not None
        }
        fronted = [
            jnp.broadcast_to(each, (size, *each.shape))
            if dim is None
            else jnp.moveaxis(each, dim, 0)
            for each, dim in zip(operands, dims, strict=True)
        ]
        alike = sharded_alike(varying_alike(fronted), len(fronted[0].shape) - 1)
        results = self.primitive.bind(*alike, **attributes)
        return results, [0] * len(results)


def like_first(first: Any, *_: Any, **__: Any) -> list[Result]:
    """One result, like a list of the first operand."""
    return [((first.shape[-1],), first.dtype)]


def _with(operands: Sequence[Any], place: int, other: Any) -> tuple[Any, ...]:
    return (*operands[:place], other, *operands[place + 1 :])


@functools.lru_cache(maxsize=4096)
def _compiled(kernel: Kernel, attributes: tuple[tuple[str, Any], ...]) -> Any:
    return jax.jit(functools.partial(kernel.primitive.bind, **dict(attributes)))


def _attribute(value: Any) -> Any:
    """In the width that handlers read, whether JAX is in its 64-bit mode or not."""
    if isinstance(value, (bool, str)):
        return value
    return np.int64(value) if isinstance(value, int) else np.float64(value)


def _along_batch(aval: Any, dims: int) -> Any:
    """The sharding of an aval's batch, of as many dimensions more."""
    sharding = aval.sharding
    spec = tuple(sharding.spec)
    spec += (None,) * (len(aval.shape) - len(spec))
    return NamedSharding(sharding.mesh, PartitionSpec(*spec[:-1], *([None] * dims)))


def _sharding_rule(context: Any, dims: int, operands: Any, results: Any) -> Any:
    """Shardy's rule: the batch may be sharded, lists may not. None where JAX has it elsewhere.

    What is not partitioned by a rule is gathered first: right as well.
    """
    avals = [*context.avals_in, *context.avals_out]
    if not all(isinstance(size, int) for aval in avals for size in aval.shape):
        return None
    whole: list[str] = []

    def factors(aval: Any) -> str:
        names = [f"b{dim}" for dim in range(dims)]
        for _ in aval.shape[dims:]:
            whole.append(f"w{len(whole)}")
            names.append(whole[-1])
        return " ".join(names)

    of_operands = ", ".join(map(factors, context.avals_in))
    of_results = ", ".join(map(factors, context.avals_out))
    try:
        from jax._src import custom_partitioning_sharding_rule as rules

        return rules.sdy_sharding_rule_to_mlir(
            rules.str_to_sdy_sharding_rule(
                f"{of_operands} -> {of_results}", need_replication_factors=tuple(whole)
            ),
            [each.type for each in operands],
            [each.type for each in results],
        )
    except (ImportError, AttributeError, TypeError, ValueError):
        return None


def varying_alike(operands: Sequence[Array]) -> list[Array]:
    """The operands, all varying over those axes of a mesh over which any of them does.

    Inside of shard_map JAX keeps account of this, and gradients are summed over the axes where an
    operand begins to vary. Adding what varies is what has all of JAX's versions do so.
    """
    axes = [_varying(each) for each in operands]
    if len(set(axes)) <= 1:
        return list(operands)
    everywhere = frozenset[Any]().union(*axes)
    alike = []
    for each, own in zip(operands, axes, strict=True):
        for other, of_other in zip(operands, axes, strict=True):
            if not of_other <= own:
                each = _with_axes_of(each, other)
                own = own | of_other
        assert own == everywhere
        alike.append(each)
    return alike


def _with_axes_of(items: Array, other: Array) -> Array:
    nothing = jax.lax.stop_gradient(other).ravel()[:0] == 0
    return jnp.where(nothing.any(), jnp.zeros_like(items), items)


def sharded_alike(operands: Sequence[Array], dims: int) -> list[Array]:
    """The operands, their batch of so many dimensions sharded as that of any, lists of none.

    For the explicit axes of a mesh, which are a part of types: gradients come back as their
    operands are. Of other axes the compiler decides, by _sharding_rule.
    """
    specs = [_explicit_spec(each) for each in operands]
    if not any(map(any, specs)):
        return list(operands)
    batch: list[Any] = []
    taken = set[Any]()
    for dim in range(dims):
        for spec in specs:
            names = spec[dim] if isinstance(spec[dim], tuple) else (spec[dim],)
            if spec[dim] is not None and not taken.intersection(names):
                batch.append(spec[dim])
                taken.update(names)
                break
        else:
            batch.append(None)
    on_mesh = next(each for each, spec in zip(operands, specs, strict=True) if any(spec))
    is_traced = isinstance(on_mesh, jax.core.Tracer)
    sharding: Any = jax.typeof(on_mesh).sharding if is_traced else on_mesh.sharding
    alike = []
    for each, spec in zip(operands, specs, strict=True):
        wanted = (*batch, *[None] * (len(spec) - dims))
        if spec != wanted:
            each = reshard(each, NamedSharding(sharding.mesh, PartitionSpec(*wanted)))
        alike.append(each)
    return alike


def _explicit_spec(value: Any) -> tuple[Any, ...]:
    """For each dimension the explicit axes of a mesh that it lies along, None where none."""
    aval = jax.typeof(value)
    spec = tuple(aval.sharding.spec)
    return (*spec, *[None] * (len(aval.shape) - len(spec)))


def _varying(value: Any) -> frozenset[Any]:
    """The axes of a mesh over which a value varies, under whatever name JAX has them."""
    aval = jax.typeof(value)
    axes = getattr(aval, "vma", None)
    if axes is None:
        axes = getattr(getattr(aval, "manual_axis_type", None), "varying", None)
    return frozenset(axes or ())


def tangent_of(
    formula: Callable[..., Array], primals: Sequence[Any], tangents: Sequence[Any]
) -> Array | None:
    """The tangent of formula(*primals), None if nothing moves."""
    moving = [i for i, each in enumerate(tangents) if type(each) is not ad.Zero]
    if not moving:
        return None

    def of_moving(*values: Any) -> Array:
        arguments = list(primals)
        for i, value in zip(moving, values, strict=True):
            arguments[i] = value
        return formula(*arguments)

    directions = [tangents[i] for i in moving]
    tangent: Array = jax.jvp(of_moving, [primals[i] for i in moving], directions)[1]
    return tangent


def unknown(where: Array, items: Array) -> Array:
    """NaN where it is said, as are all derivatives in the items there; else 0, and so are they."""
    return jnp.exp(jnp.where(where, items, 0)) * jnp.where(where, jnp.nan, 0)


def is_zero(tangent: Any) -> bool:
    """Whether a tangent is JAX's sign for one that is 0 everywhere."""
    return type(tangent) is ad.Zero


def total(terms: Sequence[Array | None]) -> Array | None:
    """The sum of those that there are."""
    there = [term for term in terms if term is not None]
    return functools.reduce(jnp.add, there) if there else None
