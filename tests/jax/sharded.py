"""What tests/jax/test_sharding.py runs with four devices: prints a line for each that is right."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import rank_relax_jax as rr
from jax import Array
from jax.sharding import AxisType, NamedSharding, PartitionSpec

LISTS, SIZE = 8, 30
X = jnp.asarray(np.random.default_rng(0).normal(size=(LISTS, SIZE)), jnp.float32)
LABELS = jnp.asarray(np.random.default_rng(1).integers(0, 3, size=(LISTS, SIZE)))
FUNCTIONS = {
    "soft_rank": lambda x: rr.soft_rank(x, 2.0),
    "soft_sort": lambda x: rr.soft_sort(x, 2.0),
    "soft_topk": lambda x: rr.soft_topk(x, 3, 2.0),
    "soft_quantile": lambda x: rr.soft_quantile(x, 0.3, 2.0),
    "soft_count": lambda x: rr.soft_count(x, x, None, 2.0),
    "spearman_loss": lambda x: rr.spearman_loss(
        x, x**2, 2.0, target_ranks="soft", reduction="none"
    ),
}
BATCH = PartitionSpec("batch")


def near(actual: Array, expected: Array) -> None:
    np.testing.assert_allclose(np.asarray(actual), np.asarray(expected), rtol=1e-5, atol=1e-6)


def gradient(name: str):
    return jax.grad(lambda x: (FUNCTIONS[name](x) ** 2).sum())


def with_gradient(name: str) -> Callable[[Array], tuple[Array, Array]]:
    return lambda x: (FUNCTIONS[name](x), gradient(name)(x))


@functools.cache
def on_one_device(name: str) -> tuple[Array, Array]:
    return jax.jit(with_gradient(name))(X)


def both_near(actual: tuple[Array, Array], expected: tuple[Array, Array]) -> None:
    for one, other in zip(actual, expected, strict=True):
        near(one, other)


def sharded_jit() -> None:
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,))
    x = jax.device_put(X, NamedSharding(mesh, BATCH))
    for name in FUNCTIONS:
        compiled = jax.jit(with_gradient(name)).lower(x).compile()
        assert "all-gather" not in compiled.as_text(), name
        both_near(compiled(x), on_one_device(name))
        print("sharded jit without a gather:", name, flush=True)


def sharded_lists() -> None:
    """Lists that are cut are gathered, and right."""
    mesh = jax.make_mesh((2,), ("items",), axis_types=(AxisType.Auto,), devices=jax.devices()[:2])
    x = jax.device_put(X, NamedSharding(mesh, PartitionSpec(None, "items")))
    near(jax.jit(FUNCTIONS["soft_rank"])(x), on_one_device("soft_rank")[0])
    print("sharded lists: right", flush=True)


LOSSES = {name: {} for name in dir(rr) if name.endswith("_loss")}
LOSSES["precision_at_k_loss"] = LOSSES["recall_at_k_loss"] = {"k": 2}
# These have most of what a loss asks of a list: the others are asked of labels that lie as scores.
ASKED_MORE = ("listnet_loss", "listmle_loss", "cosent_loss", "ndcg_loss")


def explicit_axes() -> None:
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x = jax.device_put(X, NamedSharding(mesh, BATCH))
        for name, function in FUNCTIONS.items():
            result = jax.jit(function)(x)
            assert "batch" in str(jax.typeof(result).sharding.spec), name
            near(result, on_one_device(name)[0])
    print("explicit axes: right", flush=True)


def explicit_axes_of_losses() -> None:
    """Values and gradients of each, sharded along the batch; and where labels are not."""
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Explicit,))
    with jax.set_mesh(mesh):
        x, labels = (jax.device_put(each, NamedSharding(mesh, BATCH)) for each in (X, LABELS))
        for name, options in LOSSES.items():

            def both(x: Array, labels: Array, name: str = name, options: dict = options):
                return jax.value_and_grad(getattr(rr, name))(x, labels, **options)

            of_both = jax.jit(both)
            expected = of_both(X, LABELS)
            for given in (labels, LABELS)[: 1 + (name in ASKED_MORE)]:
                both_near(of_both(x, given), expected)
    print("explicit axes of losses: right", flush=True)


def explicit_axes_across_lists() -> None:
    """Operands that lie otherwise are made to lie alike, and gradients lie as what they are of."""
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Explicit,))
    size = 28
    x, mask = X[:, :size], jnp.asarray(np.arange(LISTS * size).reshape(LISTS, size) % 5 > 0)
    with jax.set_mesh(mesh):
        cut = jax.device_put(x, NamedSharding(mesh, PartitionSpec(None, "batch")))
        for name in ("soft_rank", "soft_sort", "soft_topk"):
            result = jax.jit(gradient(name))(cut)
            assert jax.typeof(result).sharding.spec == PartitionSpec(None, "batch"), name
            near(result, jax.jit(gradient(name))(x))
        along_batch = jax.device_put(mask, NamedSharding(mesh, BATCH))

        def masked(x: Array, mask: Array) -> Array:
            return rr.soft_sort(x, 2.0, mask=mask, scale="std")

        compiled = jax.jit(masked).lower(x, along_batch).compile()
        assert "all-gather" not in compiled.as_text()
        result = compiled(x, along_batch)
        assert "batch" in str(jax.typeof(result).sharding.spec)
        near(result, jax.jit(masked)(x, mask))
        of_masked = jax.jit(jax.grad(lambda x, mask: (masked(x, mask) ** 2).sum()))
        near(of_masked(x, along_batch), of_masked(x, mask))
        mapped = jax.vmap(lambda mask, x: rr.soft_rank(x, 2.0, mask=mask), (0, None))
        of_one = jax.jit(jax.grad(lambda x, mask: (mapped(mask, x) ** 2).sum()))
        near(of_one(x[0], along_batch), of_one(x[0], mask))
    print("explicit axes across lists: right", flush=True)


def shard_map() -> None:
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,))
    for name in FUNCTIONS:
        for check in (True, False):
            mapped = jax.shard_map(
                with_gradient(name), mesh=mesh, in_specs=BATCH, out_specs=BATCH, check_vma=check
            )
            both_near(jax.jit(mapped)(X), on_one_device(name))
        print("shard_map:", name, flush=True)


def what_varies_beside_what_does_not() -> None:
    """One list of points for all, and the lists of each device: gradients add up over devices."""
    mesh = jax.make_mesh((4,), ("batch",), axis_types=(AxisType.Auto,))
    points = X[:2]

    def loss(points: Array, x: Array) -> Array:
        return jax.lax.psum((rr.soft_count(points, x, None, 2.0) ** 2).sum(), "batch")

    mapped = jax.shard_map(
        jax.grad(loss, (0, 1)),
        mesh=mesh,
        in_specs=(PartitionSpec(), BATCH),
        out_specs=(PartitionSpec(), BATCH),
    )
    of_points, of_values = jax.jit(mapped)(points, X)

    def plainly(points: Array, x: Array) -> Array:
        repeated = jnp.tile(points, (4, 1))
        return (rr.soft_count(repeated, x, None, 2.0) ** 2).sum()

    expected = jax.jit(jax.grad(plainly, (0, 1)))(points, X)
    near(of_points, expected[0])
    near(of_values, expected[1])
    print("what varies beside what does not: right", flush=True)


if __name__ == "__main__":
    assert len(jax.devices()) == 4
    sharded_jit()
    sharded_lists()
    if hasattr(jax, "shard_map") and hasattr(jax, "set_mesh"):
        explicit_axes()
        explicit_axes_of_losses()
        explicit_axes_across_lists()
        shard_map()
        what_varies_beside_what_does_not()
    print("done", flush=True)
