"""Which warnings fail a test, asked of pytest with this project's own settings."""

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[2] / "pyproject.toml"

# A module that is called so warns, of itself (stacklevel 1) or of its caller, the test (2).
TESTS = """
import warnings

import pytest


def warns(module, message, category, stacklevel=1):
    function = "def warn(*arguments): warnings.warn(*arguments)"
    scope = {"__name__": module, "warnings": warnings}
    exec(function, scope)
    scope["warn"](message, category, stacklevel)


@pytest.mark.parametrize("category", [FutureWarning, DeprecationWarning, UserWarning])
@pytest.mark.parametrize("module", ["torch", "torch.jit._script"])
def test_passes_of_torch(module, category):
    warns(module, "it is deprecated", category)


def test_passes_of_torch_in_autograd():
    warns("torch.autograd.function", "it is deprecated", FutureWarning)


@pytest.mark.parametrize("category", [FutureWarning, DeprecationWarning, UserWarning])
@pytest.mark.parametrize("module", ["rank_relax", "rank_relax.torchsort", "torchsort", "numpy"])
def test_fails_of_others(module, category):
    warns(module, "it is deprecated", category)


@pytest.mark.parametrize("category", [FutureWarning, DeprecationWarning, UserWarning])
def test_fails_of_the_caller_of_torch(category):
    warns("torch.jit._script", "it is deprecated", category, stacklevel=2)


@pytest.mark.parametrize(
    "message", ["rank_relax::soft_rank: no rule", "two\\nlines of rank_relax", "a performance drop"]
)
def test_fails_of_our_operators(message):
    warns("torch._functorch.vmap", message, UserWarning)


def test_fails_of_a_backward():
    warns("torch.autograd.graph", "a gradient has the wrong strides", UserWarning)
"""


@pytest.mark.slow
def test_a_warning_is_an_error_unless_torch_gives_it_to_itself(tmp_path: Path) -> None:
    file = tmp_path / "test_given.py"
    file.write_text(TESTS)
    options = ["-p", "no:cacheprovider", "-o", "addopts=", "--rootdir", str(tmp_path), "-q", "-rA"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", str(SETTINGS), *options, str(file)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    outcomes = Counter(
        re.findall(r"^(PASSED|FAILED) .*::test_(passes|fails)", run.stdout, re.MULTILINE)
    )
    assert outcomes == {("PASSED", "passes"): 7, ("FAILED", "fails"): 19}, run.stdout
