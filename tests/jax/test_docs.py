"""Every block of docs/jax.md runs, and every example of a docstring says what comes out."""

import doctest
import importlib
import importlib.util
import pkgutil
import re
from pathlib import Path

import pytest
import rank_relax_jax

PAGE = Path(__file__).resolve().parents[2] / "docs" / "jax.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(rank_relax_jax.__path__, "rank_relax_jax.")
    if not name.endswith(".librank_relax_jax")  # whose name looks like a module's
]
pytestmark = pytest.mark.usefixtures("float32")


def test_the_blocks_of_the_page_run_one_after_the_other() -> None:
    assert len(BLOCKS) >= 3
    names: dict[str, object] = {}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), names)


@pytest.mark.parametrize("module", ["rank_relax_jax", *MODULES])
def test_the_examples_of_docstrings(module: str) -> None:
    assert doctest.testmod(importlib.import_module(module)).failed == 0


def test_the_docstrings_have_examples() -> None:
    missing = [
        name
        for name in rank_relax_jax.__all__
        if callable(function := getattr(rank_relax_jax, name))
        and hasattr(function, "__code__")
        and ">>>" not in (function.__doc__ or "")
    ]
    assert missing == []


def test_the_training_example_learns_the_order() -> None:
    script = PAGE.parent / "examples" / "train_jax.py"
    spec = importlib.util.spec_from_file_location("train_jax", script)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    before, after = example.train(steps=60)
    assert after > 0.8 > before
