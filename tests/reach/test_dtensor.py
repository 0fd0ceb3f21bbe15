"""DTensors: lists that are sharded over devices give what they give on one."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import pytest
import torch
import torch.distributed as dist
from operators import OPERATORS, Operator, Setting
from process_group import ProcessGroup
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

import rank_relax
from rank_relax import _operators

HAS_GLOO = dist.is_available() and dist.is_gloo_available()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not HAS_GLOO, reason="this torch was built without gloo"),
]

if HAS_GLOO:
    from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, Partial, Replicate, Shard, distribute_tensor
    from torch.distributed.tensor.debug import CommDebugMode

SIZE = 2
LISTS = (3, 4)  # uneven shards of the first dimension, even ones of the second
SHAPE = (*LISTS, 7)
CLOSE = {"rtol": 1e-12, "atol": 1e-12}  # of float64, where sums are taken in another order


WHEN_IMPORTED = {
    "before": """
import torch.distributed.tensor
import rank_relax
""",
    "after": """
import sys
import rank_relax
finders = list(sys.meta_path)
assert "torch.distributed.tensor" not in sys.modules
from torch.distributed.tensor.placement_types import Shard
assert len(sys.meta_path) == len(finders) - 1, "it is still watched for"
""",
}


@pytest.mark.parametrize("when", WHEN_IMPORTED)
def test_every_operator_has_a_strategy_whenever_dtensor_is_imported(when: str) -> None:
    """And rank_relax does not import it, nor keep watching once it has come."""
    ask_for_strategies = """
import torch
from torch.distributed.tensor import DTensor
known = DTensor._op_dispatcher.sharding_propagator.op_strategy_funcs
for name in torch._C._dispatch_get_all_op_names():
    if name.startswith("rank_relax::"):
        operator = getattr(torch.ops.rank_relax, name.removeprefix("rank_relax::"))
        if operator.default._schema.arguments:  # else there is nothing that could be sharded
            assert operator.default in known, name
            print(name)
"""
    program = WHEN_IMPORTED[when] + ask_for_strategies
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert set(run.stdout.split()) == {f"rank_relax::{name}" for name in _operators.OPERATORS}


def test_a_torch_without_the_registration_is_a_warning_at_the_import_of_dtensor() -> None:
    program = """
import sys
import rank_relax
sys.modules["torch.distributed.tensor.experimental"] = None
import torch.distributed.tensor
"""
    run = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "rank_relax's operators take no DTensors with torch" in run.stderr


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessGroup]:
    group = ProcessGroup(tmp_path_factory.mktemp("group"), (SIZE,))
    yield group
    group.close()


def ask(processes: ProcessGroup, function: Callable[..., Any], *arguments: Any) -> list[Any]:
    answers = processes.ask(SIZE, function, *arguments)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


# What the processes do


@cache
def mesh_of(group: dist.ProcessGroup) -> "DeviceMesh":
    return DeviceMesh.from_group(group, "cpu")


def placed(tensor: Tensor, mesh: "DeviceMesh", placement: Any) -> "DTensor":
    """The tensor that all processes have, as a DTensor."""
    if isinstance(placement, Partial):
        part = tensor if mesh.get_local_rank() == 0 else torch.zeros_like(tensor)
        return DTensor.from_local(part, mesh, [placement], run_check=False)
    return distribute_tensor(tensor, mesh, [placement], src_data_rank=None)


def results(
    call: Callable[..., Any], tensors: tuple[Tensor, ...], cotangent: Tensor | None
) -> tuple[Any, ...]:
    """What is returned, and the gradients of its first tensor."""
    outputs = call(*tensors)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    leaves = [tensor for tensor in tensors if tensor.requires_grad]
    if not outputs[0].requires_grad:
        return outputs
    return *outputs, *torch.autograd.grad(outputs[0], leaves, cotangent, allow_unused=True)


def gathered(result: Any) -> Any:
    return result.full_tensor() if isinstance(result, DTensor) else result


def sharded_in(dim: int) -> Callable[[Tensor], Any]:
    """The placement of a tensor of many lists; one that all lists share is on every device."""

    def placement(tensor: Tensor) -> Any:
        has_lists = tensor.shape[: len(LISTS)] == LISTS
        return Shard(dim) if has_lists else Replicate()

    return placement


def within_lists(tensor: Tensor) -> Any:
    return Shard(tensor.dim() - 1) if tensor.dim() > 0 else Replicate()


def partial_sums(tensor: Tensor) -> Any:
    return Partial() if tensor.is_floating_point() else Replicate()


def in_different_ways(tensor: Tensor) -> Any:
    if tensor.dtype == torch.bool:
        return Shard(0)
    return Shard(1) if tensor.shape == SHAPE else Replicate()


def operator_results(
    operator: Operator,
    tensors: tuple[Tensor, ...],
    setting: Setting,
    cotangent: Tensor,
    place: Callable[[Tensor], Tensor],
) -> tuple[Any, ...]:
    """Of a call with every tensor in its place, those that its arguments were made from too."""
    leaves = {id(tensor): place(tensor.detach()).requires_grad_() for tensor in tensors}

    def argument(tensor: Tensor) -> Tensor:
        return leaves[id(tensor)] if id(tensor) in leaves else place(tensor.detach())

    arguments = tree_map_only(Tensor, argument, operator.arguments(tensors, setting))
    cotangent = place(cotangent)
    with CommDebugMode() as communication:
        found = results(lambda *_: operator.overload(*arguments), tuple(leaves.values()), cotangent)
    return *found, communication.get_total_counts()


# The derivatives of the others are made of torch's operators, for which a list must be whole.
PUBLIC = ("soft_rank", "soft_sort", "soft_quantile", "soft_topk", "spearman_loss")


def check_operator(rank: int, group: dist.ProcessGroup, index: int) -> None:
    operator, mesh = OPERATORS[index], mesh_of(group)
    torch.manual_seed(0)
    settings = operator.settings(SHAPE)
    masked = [setting for setting in settings if setting.mask is not None]
    for setting in (settings[0], masked[-1]):
        tensors = operator.example(SHAPE)
        cotangent = torch.randn_like(operator(tensors, setting))

        def found(
            placement: Callable[[Tensor], Any],
            tensors: tuple[Tensor, ...] = tensors,
            setting: Setting = setting,
            cotangent: Tensor = cotangent,
            derivatives: bool = True,
        ) -> tuple[Any, ...]:
            def place(tensor: Tensor) -> Tensor:
                return placed(tensor, mesh, placement(tensor))

            with torch.set_grad_enabled(derivatives):
                return operator_results(operator, tensors, setting, cotangent, place)

        *expected, _ = operator_results(operator, tensors, setting, cotangent, Tensor.clone)
        for dim in range(len(LISTS)):
            *actual, communications = found(sharded_in(dim))
            assert communications == 0
            for result in actual:
                assert result is None or result.placements == (Shard(dim),)
            assert_all_close(actual, expected)
        for placement in (within_lists, partial_sums, in_different_ways):
            *actual, _ = found(placement, derivatives=operator.name in PUBLIC)
            assert_all_close(actual, expected[: len(actual)])


def assert_all_close(found: Sequence[Any], expected: Sequence[Any]) -> None:
    assert len(found) == len(expected)
    for actual, wanted in zip(found, expected, strict=True):
        if wanted is None:  # of a tensor that is constant where it has a derivative
            assert actual is None
        else:
            torch.testing.assert_close(gathered(actual).detach(), wanted.detach(), **CLOSE)


@pytest.mark.parametrize("index", range(len(OPERATORS)), ids=[o.name for o in OPERATORS])
def test_an_operator_gives_what_it_gives_on_one_device(processes: ProcessGroup, index: int) -> None:
    """Without any communication, backward too, where no list is split."""
    ask(processes, check_operator, index)


# The functions


def call_soft_rank(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    return rank_relax.soft_rank(x, strength, dim=dim, mask=mask, descending=True, normalize=False)


def call_soft_rank_of_scaled(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    return rank_relax.soft_rank(x, strength, method="l2", dim=dim, mask=mask, scale="std")


def call_soft_sort(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    return rank_relax.soft_sort(x, strength, dim=dim, mask=mask, descending=True)


def call_soft_quantile(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    return rank_relax.soft_quantile(x, 0.4, strength, dim=dim, mask=mask)


def call_soft_quantiles(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    q = torch.tensor([0.0, 0.3, 1.0])
    return rank_relax.soft_quantile(x, q, strength, dim=dim, mask=mask)


def call_soft_topk(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    del t
    return rank_relax.soft_topk(x, 2, strength, dim=dim, largest=False, mask=mask)


def call_losses(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    x, t, mask = (tensor.movedim(dim, -1) for tensor in (x, t, mask))
    return rank_relax.spearman_loss(x, t, strength, mask=mask, reduction="none")


def call_loss(x: Tensor, t: Tensor, mask: Tensor, strength: Any, dim: int) -> Tensor:
    x, t, mask = (tensor.movedim(dim, -1) for tensor in (x, t, mask))
    return rank_relax.SpearmanLoss(strength, scale="std")(x, t, mask)


FUNCTIONS = (
    call_soft_rank,
    call_soft_rank_of_scaled,
    call_soft_sort,
    call_soft_quantile,
    call_soft_quantiles,
    call_soft_topk,
    call_losses,
    call_loss,
)


def check_function(rank: int, group: dist.ProcessGroup, index: int) -> None:
    """A function of DTensors, and its gradients, with a strength of every kind."""
    call, mesh = FUNCTIONS[index], mesh_of(group)
    torch.manual_seed(0)
    mask = torch.rand(SHAPE) < 0.8
    mask[0] = mask[..., 0] = True  # no list without items, of which a quantile is NaN
    targets = torch.randint(5, SHAPE)

    x = torch.randn(SHAPE, dtype=torch.float64, requires_grad=True)
    with torch.no_grad():
        cotangents = {dim: torch.randn_like(call(x, targets, mask, 2.0, dim)) for dim in (0, 2)}
    learnt = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    for dim, cotangent in cotangents.items():
        expected = results(
            lambda x, strength, dim=dim: call(x, targets, mask, strength, dim),
            (x, learnt),
            cotangent,
        )
        for placement in (Shard(0), Shard(1), Shard(2), Replicate()):
            sharded = placed(x.detach(), mesh, placement).requires_grad_()
            beside = [placed(tensor, mesh, placement) for tensor in (targets, mask)]
            own_cotangent = placed(cotangent, mesh, Replicate())
            plain = learnt.detach().clone().requires_grad_()
            dtensor = placed(learnt.detach(), mesh, Replicate()).requires_grad_()
            for strength in (2.0, plain, dtensor):
                is_tensor = isinstance(strength, Tensor)
                tensors = (sharded, strength) if is_tensor else (sharded,)
                with CommDebugMode() as communication:
                    output = call(sharded, *beside, strength, dim)
                assert isinstance(output, DTensor)
                if placement != Shard(dim) and call is not call_loss:
                    assert communication.get_total_counts() == 0
                gradients = torch.autograd.grad(output, tensors, own_cotangent)
                if strength is plain:
                    assert not isinstance(gradients[1], DTensor)
                assert_all_close([output, *gradients], expected[: 1 + len(tensors)])


@pytest.mark.parametrize(
    "index", range(len(FUNCTIONS)), ids=[call.__name__[5:] for call in FUNCTIONS]
)
def test_a_function_gives_what_it_gives_on_one_device(processes: ProcessGroup, index: int) -> None:
    ask(processes, check_function, index)


def check_compiled_loss(rank: int, group: dist.ProcessGroup) -> None:
    mesh, loss = mesh_of(group), rank_relax.SpearmanLoss(2.0)
    torch.manual_seed(0)
    x, t = torch.randn(2, 4, 9, dtype=torch.float64)
    expected = results(loss, (x.requires_grad_(), t), None)
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    for placement in (Shard(0), Shard(1)):
        leaf = placed(x.detach(), mesh, placement).requires_grad_()
        found = results(compiled, (leaf, placed(t, mesh, placement)), None)
        assert_all_close(found, expected)


def test_a_loss_of_dtensors_compiles(processes: ProcessGroup) -> None:
    ask(processes, check_compiled_loss)


# Placements on more than one dimension of a mesh


def check_mesh_of_two_dimensions(rank: int, group: dist.ProcessGroup) -> None:
    torch.manual_seed(0)
    x, t = torch.randn(2, *SHAPE)
    expected = rank_relax.spearman_loss(x, t, reduction="none")
    for shape in ((1, SIZE), (SIZE, 1)):
        mesh = init_device_mesh("cpu", shape)
        for placements in (
            [Shard(0), Shard(1)],
            [Shard(0), Shard(0)],
            [Shard(1), Replicate()],
            [Shard(0), Shard(2)],
        ):
            sharded = [distribute_tensor(y, mesh, placements, src_data_rank=None) for y in (x, t)]
            losses = rank_relax.spearman_loss(*sharded, reduction="none")
            torch.testing.assert_close(losses.full_tensor(), expected)


def test_a_mesh_may_have_several_dimensions(processes: ProcessGroup) -> None:
    ask(processes, check_mesh_of_two_dimensions)


# Training


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(-2)).double()


def train(model: nn.Module, features: Tensor, targets: Tensor) -> list[Tensor]:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    loss = rank_relax.SpearmanLoss(2.0)
    for _ in range(10):
        optimizer.zero_grad()
        loss(model(features), targets).backward()
        optimizer.step()
    return [gathered(parameter).detach() for parameter in model.parameters()]


def check_training(rank: int, group: dist.ProcessGroup) -> None:
    torch.manual_seed(1)
    features, targets = torch.randn(6, 9, 3, dtype=torch.float64), torch.randn(6, 9)
    initial, expected = (
        [p.detach() for p in network().parameters()],
        train(network(), features, targets),
    )
    assert all(not torch.equal(*pair) for pair in zip(initial, expected, strict=True))
    sharded = network()
    for layer in sharded:
        fully_shard(layer, mesh=mesh_of(group))
    own = slice(3 * rank, 3 * rank + 3)
    found = train(fully_shard(sharded, mesh=mesh_of(group)), features[own], targets[own])
    for actual, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(actual, wanted, rtol=0, atol=1e-6)


def test_a_fully_sharded_model_trains_as_one_process_does(processes: ProcessGroup) -> None:
    ask(processes, check_training)
