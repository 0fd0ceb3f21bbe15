"""Which tests are asked, none of the slow ones with --fast; and JAX's modes."""

import os
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec

import pytest

# It compares with rank_relax for torch, which tests/jax/run has in its last environment alone.
collect_ignore = [] if find_spec("torch") and find_spec("rank_relax") else ["test_torch.py"]

# Most of the time goes into compiling what is run once. XLA's own kernels are compiled in fewer
# steps the older way, which jaxlib 0.12 has no more: there it would stop at the flag.
flags = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 11):
    flags.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(flags))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out the slow tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--fast"):
        return
    left_out = [item for item in items if item.get_closest_marker("slow") is not None]
    items[:] = [item for item in items if item.get_closest_marker("slow") is None]
    config.hook.pytest_deselected(items=left_out)


def _set_x64(wanted: bool) -> Iterator[None]:
    import jax

    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", wanted)
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def float64() -> Iterator[None]:
    """JAX in its 64-bit mode."""
    yield from _set_x64(True)


@pytest.fixture
def float32() -> Iterator[None]:
    """JAX as it is by itself, where nothing has 64 bits."""
    yield from _set_x64(False)
