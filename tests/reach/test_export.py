"""Programs that are saved, loaded and run elsewhere: in another process, and without Python.

One model calls every public operator, so a new operator is tested by its entry in operators.py.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from operators import ALL_METHODS, OPERATORS, Operator, Setting
from torch import Tensor, nn

import rank_relax

pytestmark = [
    pytest.mark.slow,
    # torch's tracers look at the .grad of everything, and what saves and compiles uses what torch
    # deprecates.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # Sizes and options are constants of a trace.
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
]

PUBLIC = [
    operator
    for operator in OPERATORS
    if not operator.name.startswith("_") and operator.tensors != ("grad_output", "input")
]
Loader = Callable[[Path, tuple[Tensor, ...]], list[Tensor]]


class EveryOperator(nn.Module):
    """The outputs of every public operator and of the modules, masked and not, with gradients."""

    def __init__(self, operators: list[Operator]) -> None:
        super().__init__()
        self.operators = operators
        self.losses = nn.ModuleList(
            rank_relax.SpearmanLoss(1.5, method=method) for method in ALL_METHODS
        )
        self.rank = rank_relax.SoftRank(torch.tensor(2.0), dim=0, descending=True, scale="std")

    def forward(self, x: Tensor, t: Tensor, mask: Tensor) -> list[Tensor]:
        return [
            self.rank(x),
            *(loss(x, t, mask) for loss in self.losses),
            *(
                operator((x, t, x)[: len(operator.tensors)], Setting(1.5, mask=given))
                for operator in self.operators
                for given in (None, mask)
            ),
            *(
                torch.ops.rank_relax.soft_rank_backward(t, x, 1.5, method, mask)
                for method in ALL_METHODS
            ),
        ]


def example(rows: int, items: int) -> tuple[Tensor, Tensor, Tensor]:
    x, t = torch.randn(2, rows, items)
    return x, t, torch.rand(rows, items) > 0.2


def assert_same(actual: list[Tensor], expected: list[Tensor]) -> None:
    """The kernels are the same; what is compiled around them rounds in other places."""
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        torch.testing.assert_close(one, other, rtol=0, atol=2e-6)


@pytest.fixture(scope="module")
def program() -> torch.export.ExportedProgram:
    """For any batch and any length."""
    sizes = {0: torch.export.Dim("rows", min=2), 1: torch.export.Dim("items", min=2)}
    model = EveryOperator(PUBLIC)
    return torch.export.export(model, example(3, 6), dynamic_shapes=(sizes, sizes, sizes))


@pytest.fixture(scope="module")
def package(program: torch.export.ExportedProgram, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Compiled by AOTInductor."""
    path = tmp_path_factory.mktemp("package") / "model.pt2"
    return str(torch._inductor.aoti_compile_and_package(program, package_path=str(path)))


IN_PYTHON = """
import sys, torch, rank_relax
kind, model, inputs, outputs = sys.argv[1:]
arguments = torch.load(inputs)
if kind == "program":
    run = torch.export.load(model).module()
elif kind == "package":
    run = torch._inductor.aoti_load_package(model)
else:
    run = torch.jit.load(model)
torch.save(list(run(*arguments)), outputs)
"""


def run_elsewhere(command: list[str], kind: str, model: str, tmp_path: Path) -> None:
    """In a process of its own, on other values and another shape than the model was made with."""
    arguments = example(4, 9)
    inputs, outputs = tmp_path / "inputs.pt", tmp_path / "outputs.pt"
    torch.save(list(arguments), inputs)
    subprocess.run([*command, kind, model, str(inputs), str(outputs)], check=True)
    assert_same(torch.load(outputs), EveryOperator(PUBLIC)(*arguments))


@pytest.fixture(params=["Python", "C++"])
def command(request: pytest.FixtureRequest) -> list[str]:
    """What runs a saved model."""
    if request.param == "Python":
        return [sys.executable, "-P", "-W", "ignore", "-c", IN_PYTHON]
    return [str(request.getfixturevalue("cpp_programs") / "run_saved")]


def test_an_exported_program_runs_in_a_fresh_process(
    program: torch.export.ExportedProgram, tmp_path: Path
) -> None:
    path = str(tmp_path / "program.pt2")
    torch.export.save(program, path)
    run_elsewhere(
        [sys.executable, "-P", "-W", "ignore", "-c", IN_PYTHON], "program", path, tmp_path
    )


def test_a_compiled_package_runs_in_python_and_in_cpp(
    package: str, command: list[str], tmp_path: Path
) -> None:
    run_elsewhere(command, "package", package, tmp_path)


def test_an_exported_program_is_differentiable(program: torch.export.ExportedProgram) -> None:
    x, t, mask = example(4, 9)
    gradients = []
    for model in (program.module(), EveryOperator(PUBLIC)):
        leaf = x.clone().requires_grad_()
        total = sum(output.square().sum() for output in model(leaf, t, mask))
        gradients += torch.autograd.grad(total, leaf)
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-6)


def every_operator_scripted(x: Tensor, t: Tensor, mask: Tensor) -> list[Tensor]:
    """TorchScript's language has no loops over functions."""
    ops = torch.ops.rank_relax
    return [
        ops.soft_rank(x, 1.5),
        ops.soft_rank(x, 1.5, "gaussian", mask),
        ops.soft_rank(x, 1.5, "l2", mask),
        ops.soft_rank_backward(t, x, 1.5, "kl"),
        ops.soft_sort(x, 1.5, "l2"),
        ops.soft_sort(x, 1.5, "kl", mask),
        ops.spearman_loss(x, t),
        ops.spearman_loss(x, t, 1.5, "kl", mask),
    ]


@pytest.mark.skipif(not hasattr(torch, "jit"), reason="this torch has no TorchScript")
def test_a_scripted_function_is_saved_and_runs_elsewhere(
    command: list[str], tmp_path: Path
) -> None:
    path = str(tmp_path / "script.pt")
    torch.jit.script(every_operator_scripted).save(path)
    arguments = example(4, 9)
    inputs, outputs = tmp_path / "inputs.pt", tmp_path / "outputs.pt"
    torch.save(list(arguments), inputs)
    subprocess.run([*command, "script", path, str(inputs), str(outputs)], check=True)
    for one, other in zip(torch.load(outputs), every_operator_scripted(*arguments), strict=True):
        assert torch.equal(one, other)


@pytest.mark.skipif(not hasattr(torch, "jit"), reason="this torch has no TorchScript")
def test_a_traced_model_is_saved_and_runs_elsewhere(command: list[str], tmp_path: Path) -> None:
    """The functions and modules too, of which TorchScript sees the operators alone."""
    path = str(tmp_path / "trace.pt")
    torch.jit.trace(EveryOperator(PUBLIC), example(3, 6), check_trace=False).save(path)
    run_elsewhere(command, "script", path, tmp_path)


@pytest.mark.skipif(not hasattr(torch, "jit"), reason="this torch has no TorchScript")
@pytest.mark.filterwarnings("error::torch.jit.TracerWarning")
def test_a_trace_of_the_loss_has_no_warning() -> None:
    torch.jit.trace(rank_relax.spearman_loss, example(3, 6)[:2])


@pytest.mark.skipif(not hasattr(torch, "jit"), reason="this torch has no TorchScript")
def test_scripts_have_gradients() -> None:
    script = torch.jit.script(every_operator_scripted)
    x, t, mask = example(4, 9)
    gradients = []
    for function in (script, script, every_operator_scripted):  # the second run is optimized
        leaf = x.clone().requires_grad_()
        total = sum(output.square().sum() for output in function(leaf, t, mask))
        gradients += torch.autograd.grad(total, leaf)
    assert torch.equal(gradients[0], gradients[2])
    assert torch.equal(gradients[1], gradients[2])
