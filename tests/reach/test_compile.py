"""Whole graphs without a break, that return what eager returns, whatever changes between calls."""

import copy
from collections.abc import Callable

import pytest
import torch
from operators import OPERATORS, Operator, Setting
from torch import Tensor, nn
from torch._dynamo.testing import CompileCounterWithBackend

import rank_relax

pytestmark = [
    pytest.mark.usefixtures("on_device"),
    # torch's tracers look at the .grad of everything.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
]
DYNAMIC = pytest.mark.parametrize("dynamic", [False, True, None], ids=["static", "dynamic", "auto"])
# Sharper from call to call; the last one comes back to the first.
ANNEALED = (0.5, 1.0, 2.0, 4.0, 8.0, 0.5)


def compiled(function: Callable, dynamic: bool | None = None) -> Callable:
    """As one graph, run by the same kernels as eager's: equal in every bit."""
    return torch.compile(function, fullgraph=True, dynamic=dynamic, backend="aot_eager")


def value_and_gradients(function: Callable, *inputs: Tensor) -> list[Tensor]:
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(*leaves)
    weights = torch.linspace(-1, 2, output.numel(), dtype=output.dtype).view_as(output)
    return [output.detach(), *torch.autograd.grad(output, leaves, weights)]


def assert_equal(actual: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        assert one.stride() == other.stride()
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operator", "masked", "dynamic"),
    [
        pytest.param(operator, masked, dynamic, id=f"{operator.name}-{kind}")
        for operator in OPERATORS
        for masked, dynamic, kind in ((False, None, "auto"), (True, True, "masked, dynamic"))
        if masked or operator.is_public
    ],
)
def test_every_operator_compiles_forward_and_backward(
    operator: Operator, masked: bool, dynamic: bool | None, device: str
) -> None:
    """A static graph of the first shape, which turns into a dynamic one; or that from the start."""

    def call(mask: Tensor | None, *tensors: Tensor) -> Tensor:
        return operator(tensors, Setting(1.5, "gaussian", mask))

    graph = compiled(call, dynamic)
    for shape in ((2, 3, 8), (2, 3, 8), (4, 3, 5), (1, 3, 6)):
        tensors = operator.example(shape, torch.float32, device)
        mask = operator.random_mask(shape, device) if masked else None
        assert_equal(
            value_and_gradients(lambda *inputs, m=mask: graph(m, *inputs), *tensors),
            value_and_gradients(lambda *inputs, m=mask: call(m, *inputs), *tensors),
        )


@DYNAMIC
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dim": 0, "descending": True, "normalize": False},
        {"method": "gaussian", "scale": "std"},
    ],
    ids=str,
)
def test_the_functions_compile_with_their_options(
    options: dict[str, object], dynamic: bool | None
) -> None:
    def rank(x: Tensor) -> Tensor:
        return rank_relax.soft_rank(x, 2.0, **options)

    graph = compiled(rank, dynamic)
    for shape in ((3, 8), (3, 8), (5, 6)):
        x = torch.randn(shape)
        assert_equal(value_and_gradients(graph, x), value_and_gradients(rank, x))


@DYNAMIC
@pytest.mark.parametrize("strength", ["float", "tensor"])
@pytest.mark.parametrize("name", ["soft_sort", "soft_quantile", "soft_topk"])
def test_sorts_quantiles_and_top_k_masks_compile(
    name: str, strength: str, dynamic: bool | None
) -> None:
    def of(x: Tensor, alpha: float | Tensor, mask: Tensor) -> Tensor:
        if name == "soft_sort":
            return rank_relax.soft_sort(x, alpha, dim=0, descending=True, mask=mask)
        if name == "soft_quantile":
            q = torch.tensor([0.1, 0.5])
            one = rank_relax.soft_quantile(x, 0.25, alpha, dim=0, mask=mask)
            return torch.cat([one[None], rank_relax.soft_quantile(x, q, alpha, dim=0, mask=mask)])
        return rank_relax.soft_topk(x, 2, alpha, dim=0, largest=False, mask=mask)

    graph = compiled(of, dynamic)
    for shape in ((8, 3), (8, 3), (6, 5)):
        x, mask = torch.randn(shape), torch.rand(shape) > 0.2
        mask[0] = True
        for value in (1.5, 4.0):
            alpha = torch.tensor(value) if strength == "tensor" else value
            assert_equal(
                value_and_gradients(lambda x, m=mask, a=alpha: graph(x, a, m), x),
                value_and_gradients(lambda x, m=mask, a=alpha: of(x, a, m), x),
            )


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_the_loss_compiles_with_masks_and_integer_targets(reduction: str) -> None:
    def loss(p: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        return rank_relax.spearman_loss(p, t, 2.0, mask=mask, reduction=reduction, scale="std")

    graph = compiled(loss)
    for shape in ((3, 8), (4, 6)):
        t, mask = torch.randint(0, 5, shape), torch.rand(shape) > 0.2
        p = torch.randn(shape)
        assert_equal(
            value_and_gradients(lambda p, t=t, m=mask: graph(p, t, m), p),
            value_and_gradients(lambda p, t=t, m=mask: loss(p, t, m), p),
        )


@pytest.mark.parametrize("n", [0, 1])
def test_graphs_of_short_rows_are_right(n: int) -> None:
    graph = compiled(
        lambda p, t: rank_relax.spearman_loss(p, t, reduction="none", target_ranks="soft"), False
    )
    losses, *gradients = value_and_gradients(graph, torch.randn(3, n), torch.randn(3, n))
    assert losses.tolist() == [0, 0, 0]
    assert all((gradient == 0).all() for gradient in gradients)
    rank = compiled(rank_relax.soft_rank, False)
    assert rank(torch.randn(3, n)).tolist() == [[0.0] * n] * 3


class Holder(nn.Module):
    """A module whose loss has a strength that a schedule changes."""

    def __init__(self, strength: float | Tensor) -> None:
        super().__init__()
        self.loss = rank_relax.SpearmanLoss(strength, target_ranks="soft")
        self.rank = rank_relax.SoftRank(strength)

    def forward(self, p: Tensor, t: Tensor) -> Tensor:
        return self.loss(p, t) + self.rank(p).square().mean()


@pytest.mark.slow
@DYNAMIC
@pytest.mark.parametrize("kind", ["argument", "attribute", "tensor", "tensor attribute"])
def test_an_annealed_strength_never_goes_stale(kind: str, dynamic: bool | None) -> None:
    p, t = torch.randn(2, 3, 8)

    def loss(p: Tensor, t: Tensor, strength: float | Tensor) -> Tensor:
        return (
            rank_relax.spearman_loss(p, t, strength, target_ranks="soft")
            + rank_relax.soft_rank(p, strength).square().mean()
        )

    results = []
    module = Holder(torch.tensor(1.0) if kind == "tensor attribute" else 1.0)
    graph = compiled(loss, dynamic) if kind in ("argument", "tensor") else compiled(module, dynamic)
    for strength in ANNEALED:
        given = torch.tensor(strength) if "tensor" in kind else strength
        if kind in ("argument", "tensor"):

            def run(p: Tensor, t: Tensor, given: float | Tensor = given) -> Tensor:
                return graph(p, t, given)
        else:
            for part in (module.loss, module.rank):
                if kind == "attribute":
                    part.regularization_strength = strength
                else:
                    part.regularization_strength.fill_(strength)
            run = graph
        actual = value_and_gradients(run, p, t)
        expected = value_and_gradients(lambda p, t, given=given: loss(p, t, given), p, t)
        assert_equal(actual, expected)
        results.append(actual[0].item())
    assert len(set(results)) == len(set(ANNEALED))


def test_a_tensor_strength_compiles_once_for_all_its_values() -> None:
    """Beyond any limit on recompilations, which a float that changes runs into."""
    p, t = torch.randn(2, 3, 8)
    counter = CompileCounterWithBackend("aot_eager")
    graph = torch.compile(rank_relax.spearman_loss, fullgraph=True, backend=counter)
    for strength in torch.linspace(0.5, 8, 20):
        assert_equal([graph(p, t, strength)], [rank_relax.spearman_loss(p, t, strength)])
    assert counter.frame_count == 1


@DYNAMIC
def test_a_learnable_strength_compiles(dynamic: bool | None) -> None:
    p, t = torch.randn(2, 3, 8)

    def loss(strength: Tensor) -> Tensor:
        return rank_relax.spearman_loss(p, t, strength.exp())

    graph = compiled(loss, dynamic)
    for value in (-1.0, 0.0, 1.0):
        strength = torch.tensor(value)
        assert_equal(value_and_gradients(graph, strength), value_and_gradients(loss, strength))


def train(step_compiler: Callable[[Callable], Callable]) -> list[float]:
    """Losses of a few steps of a small model, and its last parameters."""
    torch.manual_seed(5)
    # No bias at the end: its gradient is 0 but for rounding, which Adam would make steps of.
    model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 1, bias=False)).double()
    criterion = rank_relax.SpearmanLoss(2.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    x, t = torch.randn(4, 16, 6).double(), torch.randn(4, 16).double()

    def forward(x: Tensor, t: Tensor) -> Tensor:
        return criterion(model(x)[..., 0], t)

    step = step_compiler(forward)
    losses = []
    for _ in range(8):
        optimizer.zero_grad()
        loss = step(x, t)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses + [value for p in model.parameters() for value in p.flatten().tolist()]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_model_with_its_optimizer_trains_as_in_eager(backend: str) -> None:
    eager = train(lambda forward: forward)
    graph = train(lambda forward: torch.compile(forward, fullgraph=True, backend=backend))
    assert eager[7] < eager[0]
    # float64's rounding in other places, carried on through eight steps of Adam.
    assert graph == pytest.approx(eager, abs=1e-9)


@pytest.mark.slow
def test_inductor_gives_what_eager_gives() -> None:
    def loss(p: Tensor, t: Tensor, mask: Tensor) -> Tensor:
        rank = rank_relax.soft_rank(p * 2, 1.5, method="gaussian", mask=mask, dim=0)
        return rank.sum() + rank_relax.spearman_loss(rank, t.sin(), mask=mask, target_ranks="soft")

    graph = torch.compile(loss, fullgraph=True, dynamic=True)
    for shape in ((5, 7), (4, 9)):
        p, t = torch.randn(2, *shape, dtype=torch.float64)
        mask = torch.rand(shape) > 0.2
        actual = value_and_gradients(lambda p, t, m=mask: graph(p, t, m), p, t)
        expected = value_and_gradients(lambda p, t, m=mask: loss(p, t, m), p, t)
        for one, other in zip(actual, expected, strict=True):
            # Rounding of fused pointwise operations in float64.
            assert (one - other).abs().max() <= 1e-12


@pytest.mark.slow
def test_a_compiled_transform_is_the_transform() -> None:
    def loss(p: Tensor, t: Tensor) -> Tensor:
        return rank_relax.spearman_loss(p, t, 1.5)

    p, t = torch.randn(2, 3, 6, dtype=torch.float64)
    for transform in (
        torch.func.grad,
        torch.func.jacfwd,
        torch.func.hessian,
        lambda f: torch.func.vmap(torch.func.grad(f)),
    ):
        torch.testing.assert_close(compiled(transform(loss))(p, t), transform(loss)(p, t))


def test_second_derivatives_in_one_graph_are_those_of_eager() -> None:
    """The gradient of a penalty on the gradient."""

    def penalty(p: Tensor, t: Tensor) -> Tensor:
        gradient = torch.func.grad(lambda q: rank_relax.spearman_loss(q, t, 1.5))(p)
        return gradient.square().sum()

    p, t = torch.randn(2, 3, 6, dtype=torch.float64)
    gradient = torch.func.grad(penalty)
    torch.testing.assert_close(compiled(gradient)(p, t), gradient(p, t))


@pytest.mark.slow
def test_compiled_autograd_gives_the_gradients_of_eager(operator: Operator, device: str) -> None:
    """With new values, strength, mask, shape and method: nothing may be baked in.

    The graph runs as it was traced: of backends, other tests ask.
    """

    def run(tensors: tuple[Tensor, ...], setting: Setting) -> list[Tensor]:
        leaves = [tensor.clone().requires_grad_() for tensor in tensors]
        operator(tuple(leaves), setting).square().sum().backward()
        return [leaf.grad for leaf in leaves if leaf.grad is not None]

    compiler = torch.compile(backend="eager", fullgraph=True, dynamic=True)
    calls = [((2, 5), 1.5, "sigmoid", True), ((2, 5), 0.5, "sigmoid", True)]
    if operator.is_public:
        calls.append(((3, 7), 0.5, "gaussian", False))
    for shape, strength, method, masked in calls:
        tensors = operator.example(shape, device=device)
        mask = operator.random_mask(shape, device) if masked else None
        setting = Setting(strength, method, mask)
        expected = run(tensors, setting)
        with torch._dynamo.compiled_autograd._enable(compiler):
            actual = run(tensors, setting)
        assert expected
        for one, other in zip(actual, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)


@pytest.mark.slow
def test_compiled_autograd_trains_a_compiled_model() -> None:
    model = nn.Linear(6, 1)
    twin = copy.deepcopy(model)
    x, t = torch.randn(4, 16, 6), torch.randn(4, 16)
    rank_relax.spearman_loss(twin(x)[..., 0], t, 2.0).backward()

    def step() -> None:
        rank_relax.spearman_loss(model(x)[..., 0], t, 2.0).backward()

    with torch._dynamo.config.patch(compiled_autograd=True):
        torch.compile(step, backend="aot_eager")()
    for parameter, reference in zip(model.parameters(), twin.parameters(), strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(parameter.grad, reference.grad)


def test_an_export_keeps_the_operator() -> None:
    program = torch.export.export(rank_relax.SoftRank(2.0), (torch.randn(3, 5),))
    assert any("rank_relax" in str(node.target) for node in program.graph.nodes)
    x = torch.randn(3, 5)
    assert torch.equal(program.module()(x), rank_relax.soft_rank(x, 2.0))
