"""What every test starts from: a seed, a clean Dynamo, a device, and the threads it found."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from operators import OPERATORS, Operator

import rank_relax  # noqa: F401  (loads the operators)

with warnings.catch_warnings():
    # What torch loads at the first forward-mode derivative, and deprecates itself.
    warnings.simplefilter("ignore", DeprecationWarning)
    import torch._decomp.decompositions_for_jvp


def devices() -> list[str]:
    """The CPU, and CUDA where there is one and the library has kernels for it."""
    has_kernel = torch._C._dispatch_has_kernel_for_dispatch_key("rank_relax::soft_rank", "CUDA")
    return ["cpu", "cuda"] if has_kernel and torch.cuda.is_available() else ["cpu"]


@pytest.fixture(params=devices())
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=OPERATORS, ids=lambda operator: operator.name)
def operator(request: pytest.FixtureRequest) -> Operator:
    entry: Operator = request.param
    return entry


@pytest.fixture(autouse=True)
def only_what_the_device_has(request: pytest.FixtureRequest) -> None:
    if {"device", "operator"} <= set(request.fixturenames):
        on_cuda = request.getfixturevalue("device") == "cuda"
        if on_cuda and not request.getfixturevalue("operator").has_cuda:
            pytest.skip(reason="this operator has no CUDA kernel yet")


@pytest.fixture(autouse=True)
def only_lists_with_enough_items(request: pytest.FixtureRequest) -> None:
    if {"operator", "shape"} <= set(request.fixturenames):
        fewest = request.getfixturevalue("operator").fewest_items
        if request.getfixturevalue("shape")[-1] < fewest:
            pytest.skip(reason="an error of this operator, which test_sorting.py asks for")


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
