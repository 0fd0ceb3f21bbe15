"""Programs in C++ that link the library, with no Python in the process."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import torch
from torch import Tensor

import rank_relax
from rank_relax import _build_info

pytestmark = pytest.mark.slow

LIBRARY = Path(rank_relax.__file__).parent / _build_info.library


def test_the_example_trains(cpp_programs: Path) -> None:
    """It fails unless its loss falls; no environment, so nothing finds Python for it."""
    run = subprocess.run(
        [cpp_programs / "example" / "train"], capture_output=True, text=True, env={}
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "after" in run.stdout


def test_the_example_loads_no_python(cpp_programs: Path) -> None:
    environment = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}
    loaded = subprocess.run(
        [cpp_programs / "example" / "train"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    assert str(LIBRARY) in loaded  # kept, though no symbol of it is used
    assert "libtorch_cpu" in loaded
    assert not re.search(r"lib(torch_)?python[\d.]*\.so", loaded)


def every_function(
    x: Tensor, t: Tensor, q: Tensor, k: Tensor, mask: Tensor, *options: object
) -> list[Tensor]:
    """What call_operators calls, in its order."""
    operators = torch.ops.rank_relax
    return [
        operators.soft_rank(x, *options),
        operators.soft_rank_backward(t, x, *options),
        operators.spearman_loss(x, t, *options),
        operators.soft_sort(x, *options),
        operators.soft_quantile(x, q, *options),
        operators.soft_topk(x, k, *options),
        operators.hard_rank(x, True, False, mask, torch.float64),
        operators.spearman_loss(x, t, 2.5, "sigmoid", mask, "hard"),
    ]


@pytest.mark.parametrize("method", ["sigmoid", "gaussian", "laplace", "cauchy"])
def test_every_function_of_the_header_is_its_operator(
    method: str, cpp_programs: Path, tmp_path: Path
) -> None:
    """With the defaults and with all arguments."""
    x, t = torch.randn(2, 3, 7)
    tensors = (x, t, torch.tensor([0.1, 0.5]), torch.tensor([1.0, 2.0, 3.0]))
    mask = torch.rand(3, 7) > 0.2
    inputs, outputs = tmp_path / "inputs.pt", tmp_path / "outputs.pt"
    torch.save([*tensors, mask], inputs)
    subprocess.run([cpp_programs / "call_operators", method, inputs, outputs], check=True)
    plain = every_function(*tensors, mask)
    expected = plain + every_function(*tensors, mask, 2.5, method, mask)
    for actual, other in zip(torch.load(outputs), expected, strict=True):
        assert torch.equal(actual, other)
