"""``torch.func`` over every operator, and one kernel call for a whole batch."""

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import oracle
import pytest
import torch
from operators import (
    ALL_METHODS,
    METHODS,
    SOFT_RANK,
    SPEARMAN_LOSS,
    Operator,
    Setting,
    Tensors,
    random_mask,
)
from torch import Tensor
from torch.func import grad, grad_and_value, hessian, jacfwd, jacrev, jvp, vjp, vmap
from torch.utils._python_dispatch import TorchDispatchMode

import rank_relax

soft_spearman_loss = partial(rank_relax.spearman_loss, target_ranks="soft")

B, N = 3, 5
# Rounding of float64 in sums of a few products of order 1.
CLOSE = {"rtol": 1e-10, "atol": 1e-11}
COMPOSITES = ("soft_quantile", "soft_topk", "spearman_loss")
MASK = torch.tensor([True, True, False, True, True])


class KernelCalls(TorchDispatchMode):
    """The names of the library's operators that reach the dispatcher below all transforms."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if func.namespace == "rank_relax":
            self.names.append(func.name().removeprefix("rank_relax::"))
        return func(*args, **(kwargs or {}))


@pytest.fixture(autouse=True)
def no_vmap_fallback() -> Iterator[None]:
    """A missing batching rule is an error here, not a loop."""
    torch._C._functorch._set_vmap_fallback_enabled(False)
    yield
    torch._C._functorch._set_vmap_fallback_enabled(True)


def functions(method: str, mask: Tensor | None) -> list[tuple[Callable, Callable]]:
    """The library's and the oracle's scalar functions of one row."""
    t = torch.randn(N, dtype=torch.float64)
    weights = torch.randn(N, dtype=torch.float64)
    strength = 1.4
    return [
        (
            lambda x: (rank_relax.soft_rank(x, strength, method=method, mask=mask) * weights).sum(),
            lambda x: (oracle.soft_rank(x, strength, method, mask) * weights).sum(),
        ),
        (
            lambda x: soft_spearman_loss(x, t, strength, method=method, mask=mask),
            lambda x: oracle.spearman_loss(x, t, strength, method, mask),
        ),
        (
            lambda x: soft_spearman_loss(t, x, strength, method=method, mask=mask),
            lambda x: oracle.spearman_loss(t, x, strength, method, mask),
        ),
    ]


def inverse_functions(method: str, mask: Tensor | None) -> list[tuple[Callable, Callable]]:
    """The same of what inverts the smoothed count, or for a projection of its sort."""
    weights, q = torch.randn(N, dtype=torch.float64), torch.tensor([0.2, 0.5, 1.0])
    strength = 1.4

    def sort(module: Any) -> Callable:
        def of(x: Tensor) -> Tensor:
            values = module.soft_sort(x, strength, method=method, mask=mask)
            return (values.sin() * weights).sum()

        return of

    if method not in METHODS:
        return [(sort(rank_relax), sort(oracle))]
    options = {"method": method, "mask": mask}
    return [
        (sort(rank_relax), sort(oracle)),
        (
            lambda x: (rank_relax.soft_quantile(x, q, strength, **options).sin() * q).sum(),
            lambda x: (oracle.soft_quantile(x, q, strength, **options).sin() * q).sum(),
        ),
        (
            lambda x: (rank_relax.soft_topk(x, 1.5, strength, **options) * weights).sum(),
            lambda x: (oracle.soft_topk(x, torch.tensor(1.5), strength, **options) * weights).sum(),
        ),
    ]


def row_jvp(function: Callable) -> Callable:
    return lambda x: jvp(function, (x,), (x.cos(),))


def row_vjp(function: Callable) -> Callable:
    def pull(x: Tensor) -> Tensor:
        value, pullback = vjp(function, x)
        return pullback(torch.ones_like(value))

    return pull


TRANSFORMS: dict[str, Callable[[Callable], Callable]] = {
    "grad": grad,
    "grad_and_value": grad_and_value,
    "vjp": row_vjp,
    "jvp": row_jvp,
    "jacrev": jacrev,
    "jacfwd": jacfwd,
    "hessian": hessian,
    "jacrev of jacrev": lambda f: jacrev(jacrev(f)),
    "jacfwd of jacfwd": lambda f: jacfwd(jacfwd(f)),
    "jacrev of jacfwd": lambda f: jacrev(jacfwd(f)),
    "grad of grad": lambda f: grad(lambda x: (grad(f)(x) ** 2).sum()),
    "jvp of grad": lambda f: row_jvp(grad(f)),
    "grad of jvp": lambda f: grad(lambda x: row_jvp(f)(x)[1]),
    "jvp of jvp": lambda f: row_jvp(lambda x: row_jvp(f)(x)[1]),
    "grad of grad of grad": lambda f: grad(
        lambda x: (grad(lambda y: (grad(f)(y) ** 2).sum())(x) ** 3).sum()
    ),
    "jvp of hessian": lambda f: row_jvp(hessian(f)),
}


# A mask and a batch are the same to every formula, so that some methods are asked without.
PLAIN = ("laplace", "cauchy")


@pytest.mark.parametrize("method", ALL_METHODS)
@pytest.mark.parametrize("name", TRANSFORMS)
def test_a_transform_gives_what_it_gives_of_the_oracle(
    name: str, method: str, subtests: pytest.Subtests
) -> None:
    choices = (False,) if method in PLAIN else (False, True)
    for masked, batched in itertools.product(choices, choices):
        with subtests.test(masked=masked, batched=batched):
            check_transform(TRANSFORMS[name], method, masked, batched)


def check_transform(
    transform: Callable[[Callable], Callable], method: str, masked: bool, batched: bool
) -> None:
    mask = MASK if masked else None
    cases = functions(method, mask)
    if masked == batched:  # their oracle halves for every point: half of the pairs are enough
        cases += inverse_functions(method, mask)
    for function, exact in cases:
        x = torch.randn((B, N) if batched else N, dtype=torch.float64)
        actual, expected = transform(function), transform(exact)
        if batched:
            result = vmap(actual)(x)
            rows = [expected(row) for row in x]
            reference = (
                tuple(torch.stack(parts) for parts in zip(*rows, strict=True))
                if isinstance(rows[0], tuple)
                else torch.stack(rows)
            )
        else:
            result, reference = actual(x), expected(x)
        torch.testing.assert_close(result, reference, **CLOSE)


@pytest.mark.parametrize("name", ["grad", "jvp", "jacrev", "jacfwd", "hessian"])
def test_a_transform_of_a_batch_is_the_batch_of_transforms(name: str) -> None:
    """The same function with the vmap inside the transform."""
    for function, exact in functions("sigmoid", MASK):
        x = torch.randn(B, N, dtype=torch.float64)
        transform = TRANSFORMS[name]
        actual = transform(lambda x, f=function: (vmap(f)(x) ** 2).sum())(x)
        expected = transform(
            lambda x, f=exact: (torch.stack([f(row) for row in x.unbind()]) ** 2).sum()
        )(x)
        torch.testing.assert_close(actual, expected, **CLOSE)


IN_DIMS: dict[str, Callable[[int], tuple[int | None, ...]]] = {
    "first": lambda count: (0,) * count,
    "last": lambda count: (-1,) * count,
    "middle": lambda count: (1,) * count,
    "only the first tensor": lambda count: (0,) + (None,) * (count - 1),
    "only the last tensor": lambda count: (None,) * (count - 1) + (0,),
    "mixed": lambda count: tuple((0, -1)[i % 2] for i in range(count)),
}


def test_vmap_over_any_dimensions_is_a_loop_over_them(
    operator: Operator, device: str, subtests: pytest.Subtests
) -> None:
    """Of every operator; and it is one call."""
    for in_dims, mask_dim in itertools.product(IN_DIMS, ("none", "batched", "unbatched")):
        with subtests.test(in_dims=in_dims, mask_dim=mask_dim):
            check_vmap(operator, in_dims, mask_dim, device)


def check_vmap(operator: Operator, in_dims: str, mask_dim: str, device: str) -> None:
    dims = IN_DIMS[in_dims](len(operator.tensors))
    shape = (2, N)
    samples = [operator.example(shape, device=device) for _ in range(B)]
    mask = {
        "none": None,
        "batched": torch.stack([random_mask(shape, device) for _ in range(B)]),
        "unbatched": random_mask(shape, device),
    }[mask_dim]

    def stacked(position: int, dim: int | None) -> Tensor:
        each = [sample[position] for sample in samples]
        if dim is None:
            return each[0]
        return torch.stack(each, min(dim, each[0].dim()))

    def call(mask: Tensor | None, *tensors: Tensor) -> Tensor:
        return operator(tensors, Setting(1.4, "sigmoid", mask))

    inputs = [stacked(position, dim) for position, dim in enumerate(dims)]
    dims = tuple(
        dim if dim is None else min(dim, tensor.dim() - 1)
        for dim, tensor in zip(dims, inputs, strict=True)
    )
    with KernelCalls() as calls:
        actual = vmap(call, (0 if mask_dim == "batched" else None, *dims))(mask, *inputs)
    kernels = [name for name in calls.names if name not in COMPOSITES]
    assert len(kernels) == operator.kernels
    for index in range(B):
        tensors: Tensors = tuple(
            sample if dim is not None else first
            for sample, first, dim in zip(samples[index], samples[0], dims, strict=True)
        )
        its_mask = mask[index] if mask_dim == "batched" and mask is not None else mask
        # As many short rows as a vector has lanes go abreast, and are summed in another order.
        torch.testing.assert_close(actual[index], call(its_mask, *tensors), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("input_dim", [None, 0, -1], ids=["shared", "first", "last"])
@pytest.mark.parametrize("levels", ["shared", "of each sample", "of each list"])
@pytest.mark.parametrize("lists", [(), (4,)], ids=["one list", "lists"])
def test_vmap_knows_levels_of_a_batch_of_a_sample_and_of_a_list(
    lists: tuple[int, ...], levels: str, input_dim: int | None
) -> None:
    """Levels q [L] or [*, L] and k [] or [*], of samples or not, beside such input."""
    own = lists if levels == "of each list" else ()
    samples = () if levels == "shared" else (B,)
    if input_dim is None and levels == "shared":
        samples = (B,)  # something must be
    x = torch.randn(*(() if input_dim is None else (B,)), *lists, N)
    q, k = torch.rand(*samples, *own, 2), torch.randint(0, N, (*samples, *own))
    inputs = x if input_dim is None else x.movedim(0, input_dim)
    for operator, level, kernel in (
        ("soft_quantile", q, "_soft_quantile_forward"),
        ("soft_topk", k, "_soft_topk_forward"),
    ):
        call = getattr(torch.ops.rank_relax, operator)
        with KernelCalls() as calls:
            actual = vmap(call, (input_dim, 0 if samples else None))(inputs, level)
        assert [name for name in calls.names if name not in COMPOSITES] == [kernel]
        for index in range(B):
            row = x if input_dim is None else x[index]
            assert torch.equal(actual[index], call(row, level[index] if samples else level))


def test_vmap_of_the_functions_with_their_options_is_a_loop() -> None:
    x, k = torch.randn(B, 4, N, dtype=torch.float64), torch.tensor([1, 2, 3])
    q, strength = torch.rand(B, dtype=torch.float64), torch.rand(B, dtype=torch.float64) + 0.5

    def call(x: Tensor, k: Tensor, q: Tensor, strength: Tensor) -> Tensor:
        values = rank_relax.soft_sort(x, strength, dim=0, descending=True)
        quantiles = rank_relax.soft_quantile(x, q, strength, dim=0)
        chosen = rank_relax.soft_topk(x, k, strength, dim=0, largest=False)
        return torch.cat([values, quantiles[None], chosen])

    actual = vmap(call)(x, k, q, strength)
    for arguments in zip(x, k, q, strength, actual, strict=True):
        torch.testing.assert_close(call(*arguments[:-1]), arguments[-1], **CLOSE)


def test_a_nested_vmap_is_one_call(operator: Operator) -> None:
    samples = operator.example((B, 2, N))
    setting = Setting(1.4, "gaussian")

    def call(*tensors: Tensor) -> Tensor:
        return operator(tensors, setting)

    with KernelCalls() as calls:
        actual = vmap(vmap(call))(*samples)
    kernels = [name for name in calls.names if name not in COMPOSITES]
    assert len(kernels) == operator.kernels
    assert torch.equal(actual, operator(samples, setting))


@pytest.mark.parametrize("unbatched", ["predictions", "targets", "mask"])
def test_vmap_of_a_gradient_makes_no_more_calls_than_one_gradient(unbatched: str) -> None:
    p, t, mask = torch.randn(B, N), torch.randn(B, N), torch.rand(B, N) > 0.2
    in_dims = tuple(None if unbatched == name else 0 for name in ("predictions", "targets", "mask"))
    inputs = tuple(
        tensor[0] if dim is None else tensor
        for tensor, dim in zip((p, t, mask), in_dims, strict=True)
    )

    def loss(p: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return soft_spearman_loss(p, t, mask=mask)

    with KernelCalls() as calls:
        actual = vmap(grad(loss), in_dims)(*inputs)
    with KernelCalls() as calls_of_one:
        grad(loss)(p[0], t[0], mask[0])
    assert calls.names == calls_of_one.names
    for index in range(B):
        row = tuple(
            tensor if dim is None else tensor[index]
            for tensor, dim in zip(inputs, in_dims, strict=True)
        )
        assert torch.equal(actual[index], grad(loss)(*row))


def test_a_batch_of_gradients_is_one_call(operator: Operator) -> None:
    """torch.autograd.grad(is_grads_batched=True), which has a batching of its own."""
    tensors = operator.example((3, 6), requires_grad=True)
    output = operator(tensors, Setting())
    cotangents = torch.randn(5, *output.shape, dtype=output.dtype)
    with KernelCalls() as one:
        torch.autograd.grad(output, tensors, cotangents[0], retain_graph=True)
    with KernelCalls() as batch:
        actual = torch.autograd.grad(
            output, tensors, cotangents, retain_graph=True, is_grads_batched=True
        )
    assert sorted(batch.names) == sorted(one.names)
    for index, cotangent in enumerate(cotangents):
        expected = torch.autograd.grad(output, tensors, cotangent, retain_graph=True)
        for together, alone in zip(actual, expected, strict=True):
            assert (together[index] - alone).abs().max() <= 1e-13 * (1 + alone.abs().max())


def test_a_call_outside_of_transforms_is_one_kernel_forward_and_one_backward() -> None:
    for operator in (SOFT_RANK, SPEARMAN_LOSS):
        tensors = operator.example((B, N))
        tensors[0].requires_grad_()
        with KernelCalls() as calls:
            operator(tensors, Setting()).sum().backward()
        kernels = [name for name in calls.names if name not in COMPOSITES]
        assert len(kernels) == 2


@pytest.mark.parametrize("method", ALL_METHODS)
def test_per_sample_gradients_of_a_model_are_those_of_a_loop(method: str) -> None:
    model = torch.nn.Linear(4, 1).double()
    parameters = dict(model.named_parameters())
    x, t = torch.randn(B, N, 4, dtype=torch.float64), torch.randn(B, N, dtype=torch.float64)

    def loss(parameters: dict[str, Tensor], x: Tensor, t: Tensor) -> Tensor:
        scores = torch.func.functional_call(model, parameters, (x,))[:, 0]
        return soft_spearman_loss(scores, t, 2.0, method=method)

    actual = vmap(grad(loss), (None, 0, 0))(parameters, x, t)
    for index in range(B):
        alone = grad(loss)(parameters, x[index], t[index])
        for name, gradient in alone.items():
            torch.testing.assert_close(actual[name][index], gradient, **CLOSE)


def test_the_functions_options_work_under_vmap() -> None:
    x = torch.randn(B, 4, N, dtype=torch.float64)
    strength = torch.rand(B, dtype=torch.float64) + 0.5

    def rank(x: Tensor, strength: Tensor) -> Tensor:
        return rank_relax.soft_rank(
            x, strength, dim=0, descending=True, normalize=False, scale="std"
        )

    actual = vmap(rank)(x, strength)
    for row, alpha, expected in zip(x, strength, actual, strict=True):
        torch.testing.assert_close(rank(row, alpha), expected, **CLOSE)
