import os
from collections.abc import Iterator

import pytest

# Most of the time goes into compiling what is run once.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out the slow tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--fast"):
        return
    for item in items:
        if "slow" in item.keywords:
            item.add_marker(pytest.mark.skip(reason="--fast"))


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
