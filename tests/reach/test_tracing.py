"""What records the functions without running them: graphs of FX, fake tensors, unknown lengths."""

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

import rank_relax
from rank_relax import torchsort

pytestmark = [
    # As in test_compile.py.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
]

T = torch.tensor([[3, 1, 2, 4, 0], [1, 2, 4, 3, 7]])
FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "soft_rank": rank_relax.soft_rank,
    "soft_rank l2": lambda x, a: rank_relax.soft_rank(x, a, method="l2"),
    "scaled": lambda x, a: rank_relax.soft_rank(x, a, scale="std", descending=True),
    "spearman_loss": lambda x, a: rank_relax.spearman_loss(x, T, a),
    "hard_rank": lambda x, a: rank_relax.hard_rank(x * a),
    "spearman_correlation": lambda x, a: rank_relax.spearman_correlation(x * a, T),
    "soft_sort": rank_relax.soft_sort,
    "soft_quantile": lambda x, a: rank_relax.soft_quantile(x, 0.3, a),
    "soft_topk": lambda x, a: rank_relax.soft_topk(x, 2, a),
    "torchsort": lambda x, a: torchsort.soft_rank(x, "l2", a),
    "torchsort sort": lambda x, a: torchsort.soft_sort(x, "l2", a),
}


def modules(strength: float | Tensor) -> dict[str, nn.Module]:
    return {
        "SoftRank": rank_relax.SoftRank(strength, scale="std"),
        "SpearmanLoss": rank_relax.SpearmanLoss(strength, dim=0),
        "SoftSort": rank_relax.SoftSort(strength),
        "SoftQuantile": rank_relax.SoftQuantile(torch.tensor([0.2, 0.5]), strength),
        "SoftTopK": rank_relax.SoftTopK(2, strength),
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_numpy_strength_compiles(name: str) -> None:
    x = torch.randn(2, 5, dtype=torch.float64)
    graph = torch.compile(FUNCTIONS[name], backend="aot_eager", fullgraph=True)
    for strength in (np.float64(2.0), np.float64(0.5), np.float32(2.0)):
        expected = FUNCTIONS[name](x, float(strength))
        # A product with the strength is rounded, where a float stays out of the scores.
        assert (graph(x, strength) - expected).abs().max() <= 1e-12


def test_a_numpy_k_and_q_compile() -> None:
    def both(x: Tensor, k: Any, q: Any) -> tuple[Tensor, Tensor]:
        return rank_relax.soft_topk(x, k, 2.0), rank_relax.soft_quantile(x, q, 2.0)

    x = torch.randn(2, 5)
    graph = torch.compile(both, backend="aot_eager", fullgraph=True)
    for one, other in zip(graph(x, np.int64(2), np.float64(0.3)), both(x, 2, 0.3), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize(
    "kind", [float, nn.Parameter, torch.clone], ids=["float", "learnt", "buffer"]
)
def test_every_module_can_be_traced_by_fx(kind: Callable[[Any], Any]) -> None:
    x, mask = torch.randn(3, 5), torch.rand(3, 5) > 0.2
    mask[:, 0] = True
    for name, module in modules(kind(torch.tensor(2.0))).items():
        traced = torch.fx.symbolic_trace(module)
        arguments = (x, x.roll(1, -1)) if name == "SpearmanLoss" else (x,)
        for masked in ((), (mask,)):
            assert torch.equal(traced(*arguments, *masked), module(*arguments, *masked))
        calls = [node for node in traced.graph.nodes if node.op == "call_function"]
        assert [node.target.__module__.partition(".")[0] for node in calls] == ["rank_relax"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_can_be_traced_by_fx(name: str) -> None:
    traced = torch.fx.symbolic_trace(lambda x: FUNCTIONS[name](x * 2, 2.0))
    x = torch.randn(2, 5)
    assert torch.equal(traced(x), FUNCTIONS[name](x * 2, 2.0))


def test_a_subclass_of_tensor_is_ranked_as_it_is() -> None:
    class Named(Tensor):
        pass

    x = torch.randn(3, 5)
    ranks = rank_relax.soft_rank(x.as_subclass(Named), 2.0)
    assert type(ranks) is Named
    assert torch.equal(ranks.as_subclass(Tensor), rank_relax.soft_rank(x, 2.0))


@pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")
def test_modules_that_hold_fake_tensors_are_shown_copied_and_run() -> None:
    for kind in (nn.Parameter, torch.clone):
        with FakeTensorMode():
            x = torch.randn(3, 5, requires_grad=True)
            for name, module in modules(kind(torch.ones(()))).items():
                assert "FakeTensor" in repr(module)
                copy.deepcopy(module)
                result = module(x, x.detach()) if name == "SpearmanLoss" else module(x)
                assert isinstance(result, FakeTensor)
                (gradient,) = torch.autograd.grad(result.sum(), x)
                assert gradient.shape == x.shape
        assert "FakeTensor" in repr(module)


@pytest.fixture
def unknown_lengths() -> Iterator[None]:
    with torch._dynamo.config.patch(
        capture_dynamic_output_shape_ops=True, capture_scalar_outputs=True
    ):
        yield


@pytest.mark.usefixtures("unknown_lengths")
@pytest.mark.parametrize("strength", ["float", "tensor"])
@pytest.mark.parametrize(
    "name", ["soft_rank", "scaled", "soft_rank l2", "loss", "std loss", "soft_sort"]
)
def test_lists_of_unknown_length_compile(name: str, strength: str) -> None:
    def of(x: Tensor, t: Tensor, keep: Tensor) -> Tensor:
        alpha = t[0].exp() if strength == "tensor" else 2.0
        if "loss" in name:
            scale = "std" if "std" in name else None
            return rank_relax.spearman_loss(x[keep], t[keep], alpha, scale=scale)
        return FUNCTIONS[name](x[keep], alpha).square().sum()

    x, t = torch.randn(2, 9, dtype=torch.float64)
    graph = torch.compile(of, backend="aot_eager", fullgraph=True)
    for step in (2, 3, 9, 0):
        keep = torch.arange(9) % step == 0 if step else torch.zeros(9, dtype=torch.bool)
        results = []
        for function in (graph, of):
            leaf = x.clone().requires_grad_()
            result = function(leaf, t, keep)
            results += [(result.detach(), *torch.autograd.grad(result, leaf))]
        for one, other in zip(*results, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


WILD: dict[str, Callable[[], Tensor]] = {
    "transposed": lambda: torch.randn(5, 4, 3).transpose(0, 2),
    "expanded": lambda: torch.randn(3, 1, 5).expand(3, 4, 5),
    "overlapping": lambda: torch.randn(40).as_strided((3, 4, 5), (7, 1, 2)),
    "channels last": lambda: torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    "of size one": lambda: torch.randn(1, 4, 1).as_strided((1, 4, 1), (77, 1, 13)),
    "stepped": lambda: torch.randn(3, 8, 5)[:, ::2],
}


@pytest.mark.filterwarnings("ignore:.*lists of one item each")
@pytest.mark.parametrize("layout", WILD)
@pytest.mark.parametrize(
    "name", ["soft_rank", "spearman_loss", "soft_sort", "soft_quantile", "soft_topk"]
)
def test_a_graph_has_the_strides_of_eager(name: str, layout: str) -> None:
    x = WILD[layout]()

    def of(x: Tensor, dim: int, alpha: Any) -> Tensor:
        if name == "spearman_loss":
            return rank_relax.spearman_loss(x, -x.detach(), alpha, dim=dim, reduction="none")
        further = {"soft_quantile": (0.5,), "soft_topk": (1,)}.get(name, ())
        function = getattr(rank_relax, name)
        return function(x, *further, regularization_strength=alpha, dim=dim)

    for dim in (-1, 1):
        for alpha in (2.0, torch.tensor(2.0)):
            results = []
            for function in (of, torch.compile(of, backend="aot_eager", fullgraph=True)):
                leaf = x.detach().requires_grad_()
                result = function(leaf, dim, alpha)
                (gradient,) = torch.autograd.grad(result.square().sum(), leaf)
                results.append((result, gradient))
            for eager, compiled in zip(*results, strict=True):
                assert eager.stride() == compiled.stride()
                assert torch.equal(eager, compiled)


def test_a_k_and_a_q_that_are_tensors_compile_once_for_all_their_values() -> None:
    def both(x: Tensor, k: Tensor, q: Tensor) -> tuple[Tensor, Tensor]:
        return rank_relax.soft_topk(x, k, 2.0), rank_relax.soft_quantile(x, q, 2.0)

    x, counter = torch.randn(3, 8), CompileCounterWithBackend("aot_eager")
    graph = torch.compile(both, fullgraph=True, backend=counter)
    for step in range(12):
        arguments = (x, torch.tensor(step / 2), torch.tensor(step / 12))
        for one, other in zip(graph(*arguments), both(*arguments), strict=True):
            assert torch.equal(one, other)
    assert counter.frame_count == 1
