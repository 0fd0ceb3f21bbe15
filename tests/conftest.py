"""What every test starts from: a seed, a clean Dynamo, a device, and the threads it found.

Also which tests are asked, in which order and where: the slow ones first, none of them with --fast.
"""

import functools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from operators import METHODS, OPERATORS, Operator, devices

import rank_relax

collect_ignore = ["jax"]  # which tests/jax/run runs, in an environment without torch

# Files whose tests share something dear, or processes that stay, and so run in one process. (Marks
# would say it there, but with pytest 9.2 pytest-xdist 3.8 no longer sees them.)
TOGETHER = {
    "test_c.py": "the library for C",
    "test_cpp.py": "C++ programs",
    "test_distributed.py": "processes",
    "test_dtensor.py": "processes of DTensors",
    "test_export.py": "C++ programs",
    "test_install.py": "wheels",
    "test_onnx.py": "exported models",
    "test_peers.py": "other libraries",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--fast",
        action="store_true",
        help="the first case of every question, of every operator, but for those marked slow",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Leaves each process that runs tests its share of the processors, which spin as they wait."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    torch.set_num_threads(max(1, torch.get_num_threads() // workers))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for runner in {item.runner for item in items if isinstance(item, pytest.DoctestItem)}:
        # Dynamo deletes what it has put among the globals of a function once that is gone: a
        # KeyError, at some later time, if doctest has emptied them before.
        runner.run = functools.partial(runner.run, clear_globs=False)
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if not config.getoption("fast"):
        return
    asked, chosen, left_out = set(), [], []
    for item in items:
        cases = item.callspec.params if hasattr(item, "callspec") else {}
        operator = cases.get("operator")
        question = (item.nodeid.partition("[")[0], getattr(operator, "name", operator))
        is_chosen = item.get_closest_marker("slow") is None and question not in asked
        asked.add(question)
        (chosen if is_chosen else left_out).append(item)
    items[:] = chosen
    config.hook.pytest_deselected(items=left_out)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """One test at a time to whichever process is free, and to one process what goes together."""
    from xdist.scheduler import LoadScopeScheduling

    class Scheduling(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return TOGETHER.get(Path(nodeid.partition("::")[0]).name, nodeid)

    return Scheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=OPERATORS, ids=lambda operator: operator.name)
def operator(request: pytest.FixtureRequest) -> Operator:
    entry: Operator = request.param
    return entry


@pytest.fixture
def on_device(request: pytest.FixtureRequest, device: str) -> Iterator[None]:
    """Tensors that a test makes without saying where are made on the device."""
    if device == "cpu":
        yield
        return
    if request.node.callspec.params.get("method", METHODS[0]) not in METHODS:
        pytest.skip(reason="this method has no CUDA kernel yet")
    with torch.device(device):
        yield


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    torch.manual_seed(20260101)


@pytest.fixture(autouse=True)
def clean_dynamo() -> Iterator[None]:
    """Without it the recompile limit would make a failure depend on the order of the tests."""
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.fixture
def keep_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def cpp_programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the C++ example and the tests' own program are, built by CMake as a user's would be."""
    tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for tool in ("cmake", "ninja"):
        if shutil.which(tool, path=tools) is None:
            pytest.skip(reason=f"{tool}, of the extra `test`, is not installed")
    build = tmp_path_factory.mktemp("cpp")
    prefixes = f"{torch.utils.cmake_prefix_path};{rank_relax.cmake_prefix_path}"
    configure = ["cmake", "-G", "Ninja", "-S", str(Path(__file__).parent / "cpp"), "-B", str(build)]
    for command in ([*configure, f"-DCMAKE_PREFIX_PATH={prefixes}"], ["cmake", "--build", build]):
        run = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, "PATH": tools}
        )
        if run.returncode != 0 and torch.version.cuda and "CUDA cannot be found" in run.stderr:
            pytest.skip(reason="torch's CMake package for CUDA asks for a CUDA toolkit: none here")
        assert run.returncode == 0, run.stdout + run.stderr
    return build
