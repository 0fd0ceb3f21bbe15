"""Devices that the library has no kernel for: pairs by tensor operators, or the host.

torch's lazy backend is such a device, in every build of torch: it records the operators that it is
given and runs them later, and it has no views, so that what works there works on others too.
"""

import itertools
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._lazy.ts_backend
from operators import (
    ALL_METHODS,
    FORMULAS,
    METHODS,
    OPERATORS,
    Operator,
    Setting,
    Tensors,
    settings,
)
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import rank_relax

inf, nan = torch.inf, torch.nan
NAMES = sorted({operator.overload._schema.name for operator in OPERATORS})
KERNELS = [
    name
    for name in NAMES
    if not torch._C._dispatch_has_kernel_for_dispatch_key(name, "CompositeImplicitAutograd")
]

# Lists of one length, each hard in its own way.
HARD = {
    "NaN": [nan, 0.5, 1.0, -2.0, 0.7],
    "infinities": [inf, -inf, 0.0, inf, 2.0],
    "constant": [3.0] * 5,
    "constant but NaN": [nan, 1.0, 1.0, 1.0, 1.0],
    "ties": [1.0, 2.0, 1.0, 2.0, 1.0],
    "huge": [-3e38, 3e38, 0.0, 1e38, -1e38],
    "narrow": [1.0, 1.0 + 2**-20, 1.0 + 2**-22, 1.0, 1.0 - 2**-21],
    "tiny": [1e-30, 3e-30, 2e-30, 0.0, -4e-30],
    "an outlier": [1e30, 1.0, 2.0, 3.0, 5.0],
}


@pytest.fixture(scope="module")
def elsewhere() -> str:
    """The type of a device that there is no kernel for."""
    with suppress(RuntimeError):  # a page of the documentation may have started it
        torch._lazy.ts_backend.init()
    return "lazy"


def moved(tensors: Tensors, setting: Setting, device: str) -> tuple[Tensors, Setting]:
    leaves = tuple(tensor.detach().to(device).requires_grad_() for tensor in tensors)
    mask = None if setting.mask is None else setting.mask.to(device)
    return leaves, setting._replace(mask=mask)


def distance(actual: Tensor, exact: Tensor) -> Tensor:
    """0 where both are NaN."""
    actual, exact = actual.detach().cpu().double(), exact.detach()
    return torch.where(actual.isnan() & exact.isnan(), 0.0, (actual - exact).abs())


def gradients_of(output: Tensor, inputs: Tensors, cotangent: Tensor) -> Tensors:
    return torch.autograd.grad(
        output, inputs, cotangent, allow_unused=True, materialize_grads=True, create_graph=True
    )


@pytest.mark.slow
@pytest.mark.parametrize("operator", FORMULAS, ids=lambda operator: operator.name)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_results_and_gradients_are_those_of_the_oracle(
    operator: Operator, dtype: torch.dtype, elsewhere: str
) -> None:
    for shape in operator.those_it_takes([(5,), (2, 3, 9), (3, 1), (2, 0), (0, 4)]):
        for setting in settings(shape):
            tensors = operator.example(shape, dtype)
            inputs, there = moved(tensors, setting, elsewhere)
            output = operator(inputs, there)
            assert output.device.type == elsewhere
            assert output.dtype == operator(tensors, setting).dtype
            doubles, _ = moved(tuple(tensor.double() for tensor in tensors), setting, "cpu")
            exact = operator.expected(doubles, setting)
            error = distance(output, exact)
            assert (error <= operator.error_bound(tensors, setting, dtype)).all()
            cotangent = torch.randn(exact.shape, dtype=output.dtype)
            gradients = gradients_of(output, inputs, cotangent.to(elsewhere))
            expected = gradients_of(exact, doubles, cotangent.double())
            bounds = operator.vjp_error_bound(cotangent, tensors, setting, dtype)
            for one, other, bound in zip(gradients, expected, bounds, strict=True):
                assert (distance(one, other) <= bound).all()


@pytest.mark.parametrize("row", HARD)
def test_hard_lists_get_what_the_cpu_gives(
    row: str, elsewhere: str, subtests: pytest.Subtests
) -> None:
    errors = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-3}
    for method, (dtype, error) in itertools.product(ALL_METHODS, errors.items()):
        with subtests.test(method=method, dtype=dtype):
            values = torch.tensor(HARD[row], dtype=torch.float64).to(dtype)
            check_hard_list(values, method, error, elsewhere)


def check_hard_list(values: Tensor, method: str, error: float, elsewhere: str) -> None:
    dtype = values.dtype
    targets = torch.tensor([0.5, 2.0, -1.0, 0.0, 1.0], dtype=dtype)
    for strength, mask in ((1.0, None), (30.0, torch.tensor([True, True, False, True, True]))):
        setting = Setting(strength, method, mask)
        outputs = []
        for device in ("cpu", elsewhere):
            (x, t), there = moved((values, targets), setting, device)
            rank = torch.ops.rank_relax.soft_rank(x, *there)
            losses = [
                torch.ops.rank_relax.spearman_loss(*pair, *there, "soft")
                for pair in ((x, t), (t, x))
            ]
            weighted = rank * torch.linspace(-1, 1, 5, dtype=dtype, device=device)
            grads = [
                torch.autograd.grad(one.sum(), x, retain_graph=True)[0]
                for one in (weighted[rank.isfinite()], *losses)
            ]
            outputs.append([result.detach().cpu() for result in (rank, *losses, *grads)])
        for here, there in zip(*outputs, strict=True):
            scale = here.double().nan_to_num(0, 0, 0).abs().max().clamp(min=1)
            torch.testing.assert_close(
                there.double() / scale,
                here.double() / scale,
                rtol=0,
                atol=error,
                equal_nan=True,
            )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", HARD)
def test_masks_and_quantiles_of_hard_lists_are_those_of_the_cpu(
    row: str, method: str, elsewhere: str
) -> None:
    x, q = torch.tensor(HARD[row]).double(), torch.tensor([0.2, 0.5, 0.9])
    weights = torch.linspace(-1, 1, 5, dtype=torch.float64)
    for strength in (1.0, 30.0, 1e15):
        for k in (1.0, 2.5):
            results = []
            for device in ("cpu", elsewhere):
                leaf, level = x.to(device).requires_grad_(), torch.tensor(k, device=device)
                chosen = torch.ops.rank_relax.soft_topk(leaf, level, strength, method)
                (gradient,) = torch.autograd.grad(chosen, leaf, weights.to(device))
                quantiles = torch.ops.rank_relax.soft_quantile(
                    x.to(device), q.to(device), strength, method
                )
                results.append(
                    [tensor.detach().cpu() for tensor in (chosen, gradient / strength, quantiles)]
                )
            for here, there in zip(*results, strict=True):
                torch.testing.assert_close(there, here, rtol=1e-12, atol=1e-12, equal_nan=True)


def test_counts_of_lists_in_a_row_are_those_of_the_cpu(elsewhere: str) -> None:
    """And NaN where their ends are none: nobody waits for the device to look at them."""
    x, points = torch.randn(2, 9), torch.randn(2, 5)
    ends = torch.tensor([[0, 4, 4, 9], [0, 0, 8, 9]])
    point_ends = torch.tensor([[0, 2, 3, 5], [0, 1, 1, 5]])

    def counts(device: str, ends: Tensor) -> Tensor:
        given = {"offsets": ends.to(device), "point_offsets": point_ends.to(device)}
        return rank_relax.soft_count(points.to(device), x.to(device), **given).cpu()

    torch.testing.assert_close(counts(elsewhere, ends), counts("cpu", ends))
    wrong = ends.clone()
    wrong[1, 2] = 10
    there = counts(elsewhere, wrong)
    assert there[1].isnan().all()
    torch.testing.assert_close(there[0], counts("cpu", ends)[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("strength", [1e-300, 1e-42, 1e-10, 1e10, 1e42, 1e300])
def test_any_strength_is_in_range(strength: float, method: str, elsewhere: str) -> None:
    """Gradients too: they grow with the strength where items tie, and are 0 elsewhere."""
    values, targets = torch.tensor([0.0, 0.5, 0.5, -2.0, 3e38]), torch.tensor([1.0, 3, 2, 5, 4])
    results = []
    for device in ("cpu", elsewhere):
        x, t = (tensor.to(device).requires_grad_() for tensor in (values, targets))
        ranks = torch.ops.rank_relax.soft_rank(x, strength, method)
        loss = torch.ops.rank_relax.spearman_loss(x, t, strength, method, None, "soft")
        weights = torch.linspace(-1, 1, 5, device=device)
        gradients = [*torch.autograd.grad(ranks, x, weights), *torch.autograd.grad(loss, (x, t))]
        results.append([result.detach().cpu() for result in (ranks, loss, *gradients)])
    for here, there in zip(*results, strict=True):
        assert not here.isnan().any()
        torch.testing.assert_close(there, here, rtol=5e-6, atol=5e-7)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_second_derivatives_are_those_of_the_cpu(method: str, elsewhere: str) -> None:
    setting = Setting(1.5, method, torch.tensor([[True] * 6, [True, False, True] * 2]))
    tensors = tuple(torch.randn(2, 2, 6, dtype=torch.float64))
    results = []
    for device in ("cpu", elsewhere):
        (p, t), there = moved(tensors, setting, device)
        loss = torch.ops.rank_relax.spearman_loss(p, t, *there, "soft")
        loss = loss + torch.ops.rank_relax.soft_rank(p, *there).square().sum(-1)
        penalty = sum(
            g.square().sum() for g in gradients_of(loss.sum(), (p, t), torch.ones_like(loss.sum()))
        )
        results.append([g.cpu() for g in torch.autograd.grad(penalty, (p, t))])
    for here, there in zip(*results, strict=True):
        torch.testing.assert_close(there, here, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(2100,), (2, 210, 110)], ids=str)
def test_tables_are_cut_where_they_would_be_large(shape: tuple[int, ...], elsewhere: str) -> None:
    x, v = torch.randn(2, *shape)
    here = torch.ops.rank_relax.soft_rank_backward(v, x, 2.0)
    there = torch.ops.rank_relax.soft_rank_backward(v.to(elsewhere), x.to(elsewhere), 2.0).cpu()
    torch.testing.assert_close(there, here, rtol=0, atol=1e-6)


MEMORY = """
import resource, torch, rank_relax
kernel = torch.library.get_kernel("rank_relax::soft_rank", "Lazy")
keys = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)
x = torch.randn(5000)
kernel.call_boxed(keys, x[:2500], 1.0, "sigmoid", None)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
ranks = kernel.call_boxed(keys, x, 1.0, "sigmoid", None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
assert (ranks - rank_relax.soft_rank(x)).abs().max() <= 1e-6
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in other units elsewhere")
def test_memory_does_not_grow_with_the_square_of_a_list() -> None:
    """One table of all pairs would be 100 MB, and several are alive at a time."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", MEMORY], check=True, capture_output=True, text=True
    )
    assert int(run.stdout) < 60_000  # kB


@pytest.mark.parametrize("name", KERNELS)
def test_a_kernel_of_the_device_comes_first(name: str) -> None:
    table = torch._C._dispatch_dump_table(name)
    kernels = dict(re.findall(r"^(\w+): registered at .*csrc/torch/(\w+)/", table, re.MULTILINE))
    assert kernels["CPU"] == "cpu"
    assert kernels["Meta"] == "operators"
    assert kernels["AutogradCPU"] == kernels["AutogradPrivateUse1"] == "autograd"
    names, _, _, ways = torch.ops.rank_relax._declarations()
    way = ways[names.index(name.removeprefix("rank_relax::"))]
    elsewhere = "any_device" if way == "tensor operators" else "operators"
    assert way == "on the host" or elsewhere != "operators"
    assert kernels["PrivateUse1"] == kernels["XLA"] == kernels["Lazy"] == elsewhere


@pytest.mark.slow
def test_every_function_works_where_there_is_no_float64() -> None:
    """In a process of its own, which declares that the lazy backend has none and refuses it."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "without_float64.py")],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "RANK_RELAX_DEVICES_WITHOUT_FLOAT64": "none, lazy",
            "PYTHONPATH": str(Path(rank_relax.__file__).parent.parent),
        },
    )
    assert re.search(r"^\d+ calls, 0 problems$", run.stdout, re.MULTILINE), run.stdout + run.stderr


def test_lists_over_many_devices_without_float64_are_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    monkeypatch.setattr(rank_relax._float64, "_devices_without", [elsewhere])
    x = torch.randn(3, device=elsewhere)
    x.device_mesh = None  # as a DTensor has
    with pytest.raises(NotImplementedError, match="DTensors on lazy, which has no float64"):
        rank_relax.soft_rank(x, scale="std")


def test_float32_calls_return_nothing_of_float64_from_any_operator() -> None:
    """On the CPU, whose kernels may keep float64 inside, as on a device that has none."""

    class NoFloat64(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            output = function(*args, **(kwargs or {}))
            for leaf in tree_leaves(output):
                assert not isinstance(leaf, Tensor) or leaf.dtype != torch.float64, function
            return output

    x, t = torch.randn(2, 3, 9).requires_grad_().unbind()
    alpha = torch.tensor(2.0, requires_grad=True)
    for scale in (None, "std"):
        for strength in (2.0, alpha):
            with NoFloat64():
                results = [
                    rank_relax.soft_rank(x, strength, scale=scale).square(),
                    rank_relax.spearman_loss(x, t, strength, scale=scale, target_ranks="soft"),
                    rank_relax.soft_sort(x, strength, scale=scale).square(),
                    rank_relax.soft_sort(x, strength, method="l2", scale=scale).square(),
                    rank_relax.soft_quantile(x, 0.3, strength, scale=scale),
                    rank_relax.soft_topk(x, 2, strength, scale=scale).square(),
                ]
                total = torch.stack([result.sum() for result in results]).sum()
                torch.autograd.grad(total, (x, t))


def test_a_network_trains_as_on_the_cpu(elsewhere: str) -> None:
    x, t = torch.randn(4, 16, 6).double(), torch.randn(4, 16).double()
    losses = []
    for device in ("cpu", elsewhere):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1, bias=False)).double()
        model.to(device)
        loss = rank_relax.SpearmanLoss(2.0)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
        for _ in range(4):
            optimizer.zero_grad()
            value = loss(model(x.to(device))[..., 0], t.to(device))
            value.backward()
            optimizer.step()
            losses.append(value.item())
    assert losses[3] < losses[0]
    assert losses[4:] == pytest.approx(losses[:4], abs=1e-11)


@pytest.mark.parametrize("method", ALL_METHODS)
def test_tensors_on_two_devices_are_refused(method: str, elsewhere: str) -> None:
    x, mask = torch.randn(3).to(elsewhere), torch.ones(3, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"on cpu.*; move them to one device"):
        torch.ops.rank_relax.soft_rank(x, 1.0, method, mask)


def test_sparse_tensors_are_refused() -> None:
    x = torch.eye(3).to_sparse()
    with pytest.raises(
        TypeError, match="soft_rank: input must be a dense tensor, got layout Sparse; convert"
    ):
        rank_relax.soft_rank(x)
    with pytest.raises(TypeError, match="must be dense, got layout Sparse; convert"):
        rank_relax.soft_rank(x, method="l2")
