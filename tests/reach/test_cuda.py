"""What is CUDA's own: streams, graphs, devices, very many rows and very long ones.

That the operators are right there is asked by the other tests, which take every device.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from operators import ALL_METHODS, devices
from torch import Tensor

from rank_relax import Method, SpearmanLoss, soft_rank, spearman_loss

pytestmark = pytest.mark.skipif(
    "cuda" not in devices(), reason="needs a GPU, and rank_relax compiled with its CUDA kernels"
)

soft_sort = torch.ops.rank_relax.soft_sort
soft_topk = torch.ops.rank_relax.soft_topk

SANITIZED = """
import torch
from rank_relax import soft_rank, spearman_loss
soft_sort, soft_quantile = torch.ops.rank_relax.soft_sort, torch.ops.rank_relax.soft_quantile
# The last have so many rows that blocks take a second one.
processors = torch.cuda.get_device_properties("cuda").multi_processor_count
for rows, size, strength in (
    (2, 7, 1.0), (2, 200, 1.0), (2, 200, 1e3), (2, 3000, 30.0), (2, 9000, 1e6),
    (2, 20000, 1.0), (2, 20000, 50.0), (2, 20000, 1e6),
    (16 * processors + 1, 150, 1e3), (4 * processors + 1, 1500, 20.0), (processors + 1, 7000, 1e6),
):
    x = torch.randn(rows, size, device="cuda", requires_grad=True)
    y = torch.randn(rows, size, device="cuda", requires_grad=True)
    mask = torch.rand(rows, size, device="cuda") < 0.9
    (gradient,) = torch.autograd.grad(soft_rank(x, strength, mask=mask), x, y, create_graph=True)
    torch.autograd.grad(gradient, x, y)
    spearman_loss(x, y, strength).backward()
    soft_sort(x, strength, mask=mask).sum().backward()
    soft_quantile(x, torch.tensor([0.1, 0.5], device="cuda"), strength).sum().backward()
    for method in ("l2", "kl"):
        projected = soft_rank(x, strength, method=method, mask=mask)
        (gradient,) = torch.autograd.grad(projected, x, y, create_graph=True)
        torch.autograd.grad(gradient, x, y)
        soft_sort(x, strength, method=method, mask=mask).sum().backward()
torch.cuda.synchronize()
"""


def on_cpu_in_double(input: Tensor, strength: float) -> Tensor:
    return soft_rank(input.cpu().double(), strength)


@pytest.mark.parametrize("size", [100, 1000, 6000, 20_000, 1_000_000, 10_000_000])
@pytest.mark.parametrize("strength", [1.0, 100.0, 1e6])
def test_rows_of_every_length_and_width_are_ranked_as_on_the_cpu(
    size: int, strength: float
) -> None:
    input = torch.randn(size, device="cuda")
    error = soft_rank(input, strength).cpu() - on_cpu_in_double(input, strength)
    assert error.abs().max() <= 5e-7


@pytest.mark.parametrize("size", [1, 200, 1000, 20_000, 1_000_000])
@pytest.mark.parametrize("strength", [1.0, 100.0, 1e6])
def test_rows_of_every_length_and_width_are_sorted_as_on_the_cpu(
    size: int, strength: float
) -> None:
    input = torch.randn(size, device="cuda", dtype=torch.float64)
    q = torch.linspace(0, 1, 9, device="cuda", dtype=torch.float64)
    levels = torch.arange(0.0, size + 1, size / 8, device="cuda", dtype=torch.float64)
    for name, rest in (
        ("soft_sort", ()),
        ("soft_quantile", (q,)),
        ("_quantile_at_levels", (levels,)),
    ):
        operator = getattr(torch.ops.rank_relax, name)
        arguments = (strength, "sigmoid", None)
        expected = operator(input.cpu(), *(tensor.cpu() for tensor in rest), *arguments)
        points = operator(input, *rest, *arguments).cpu()
        torch.testing.assert_close(points, expected, rtol=1e-14, atol=1e-12 / strength + 1e-15)


@pytest.mark.parametrize("strength", [1.0, 30.0, 1e6])
def test_long_gradients_are_those_of_the_cpu(strength: float) -> None:
    input, cotangent = torch.randn(2, 200_000)
    gradients = []
    for x in (input.double(), input.cuda()):
        x.requires_grad_()
        soft_rank(x, strength).backward(cotangent.to(x))
        assert x.grad is not None
        gradients.append(x.grad.cpu().double())
    scale = strength * cotangent.abs().max() * 0.25
    assert (gradients[0] - gradients[1]).abs().max() <= 1e-6 * scale


@pytest.mark.parametrize("function", [soft_rank, soft_sort])
@pytest.mark.parametrize("method", ["l2", "kl"])
@pytest.mark.parametrize("size", [1000, 20_000, 1_000_000])
@pytest.mark.parametrize("share", [1e-4, 0.3, 100.0])
def test_rows_of_every_length_are_projected_as_on_the_cpu(
    share: float, size: int, method: str, function: Callable[..., Tensor]
) -> None:
    input, cotangent = torch.randn(2, size, dtype=torch.float64)
    results = []
    for x in (input.clone(), input.cuda()):
        x.requires_grad_()
        output = function(x, share * size, method=method)
        (gradient,) = torch.autograd.grad(output, x, cotangent.to(x))
        results.append((output.detach().cpu(), gradient.cpu()))
    for got, expected in zip(results[1], results[0], strict=True):
        assert (got - expected).abs().max() <= 1e-11 * expected.abs().max()


@pytest.mark.parametrize("method", ALL_METHODS)
def test_results_are_the_same_to_the_bit_at_every_call(method: str) -> None:
    # Of the first three shapes blocks take a second row.
    processors = torch.cuda.get_device_properties("cuda").multi_processor_count
    many = ((16 * processors + 1, 150), (4 * processors + 1, 1500), (processors + 1, 7000))
    for shape in (*many, (50, 5000), (3, 100_000)):
        for strength in (1.0, 50.0, 1e5):
            input = torch.randn(shape, device="cuda")
            for function in (soft_rank, soft_sort):
                first = function(input, strength, method=method)
                for _ in range(5):
                    assert torch.equal(first, function(input, strength, method=method))


@pytest.mark.parametrize("method", ALL_METHODS)
def test_more_rows_than_a_grid_has_in_its_second_dimension(method: str) -> None:
    input = torch.randn(200_000, 20, device="cuda")
    for function in (soft_rank, soft_sort):
        results = function(input, method=method)
        for rows in (slice(70_000, 70_005), slice(-5, None)):
            torch.testing.assert_close(results[rows], function(input[rows], method=method))


def test_more_items_than_32_bits_count() -> None:
    rows, size = (1 << 21) + 1, 1024
    if torch.cuda.mem_get_info()[0] < 5 * rows * size * 2:
        pytest.skip("needs 21 GB of free memory on the GPU")
    input = torch.randn(rows, size, device="cuda", dtype=torch.float16)
    torch.testing.assert_close(soft_rank(input)[-3:], soft_rank(input[-3:].clone()))


def test_work_goes_to_the_current_stream() -> None:
    stream = torch.cuda.Stream()
    expected = soft_rank(torch.ones(4, 1000, device="cuda").cumsum(-1))
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)  # what follows on another stream would come too early
        input = torch.ones(4, 1000, device="cuda").cumsum(-1)
        ranks = soft_rank(input)
    stream.synchronize()
    assert torch.equal(ranks, expected)


def ranks_and_gradient(
    input: Tensor, cotangent: Tensor, method: Method = "sigmoid"
) -> tuple[Tensor, Tensor]:
    ranks = soft_rank(input, 2.0, method=method)
    (gradient,) = torch.autograd.grad(ranks, input, cotangent)
    return ranks, gradient


def loss_and_gradient(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    loss = spearman_loss(input, target, 2.0)
    (gradient,) = torch.autograd.grad(loss, input)
    return loss, gradient


def sorted_and_gradient(
    input: Tensor, cotangent: Tensor, method: Method = "sigmoid"
) -> tuple[Tensor, Tensor]:
    values = soft_sort(input, 2.0, method=method)
    (gradient,) = torch.autograd.grad(values, input, cotangent)
    return values, gradient


def projected_sort_and_gradient(input: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    values = soft_sort(input, 0.1, method="l2")
    (gradient,) = torch.autograd.grad(values, input, cotangent)
    return values, gradient


def mask_and_gradient(input: Tensor, cotangent: Tensor) -> tuple[Tensor, Tensor]:
    chosen = soft_topk(input, torch.full((), 5, device="cuda"), 2.0)
    (gradient,) = torch.autograd.grad(chosen, input, cotangent)
    return chosen, gradient


@pytest.mark.parametrize(
    "function",
    [
        ranks_and_gradient,
        partial(ranks_and_gradient, method="laplace"),
        partial(ranks_and_gradient, method="cauchy"),
        partial(ranks_and_gradient, method="kl"),
        loss_and_gradient,
        sorted_and_gradient,
        partial(sorted_and_gradient, method="laplace"),
        partial(sorted_and_gradient, method="cauchy"),
        projected_sort_and_gradient,
        mask_and_gradient,
    ],
)
@pytest.mark.parametrize("shape", [(6, 20), (6, 300), (6, 3000), (2, 50_000)])
def test_a_captured_graph_computes_anew_from_changed_inputs(
    function: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], shape: tuple[int, int]
) -> None:
    input = torch.randn(shape, device="cuda", requires_grad=True)
    other = torch.randn(shape, device="cuda")
    graph = torch.cuda.CUDAGraph()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        function(input, other)
    torch.cuda.current_stream().wait_stream(stream)
    with torch.cuda.graph(graph):
        outputs = function(input, other)
    for scale in (1.0, 1000.0, 0.0):  # the form of the rows changes as well
        with torch.no_grad():
            input.copy_(scale * torch.randn(shape, device="cuda"))
        other.normal_()
        graph.replay()
        for got, expected in zip(outputs, function(input, other), strict=True):
            assert torch.equal(got, expected)


@pytest.mark.parametrize("shape", [(4, 100), (1, 50_000)])
def test_a_first_call_may_be_captured(shape: tuple[int, int], tmp_path: Path) -> None:
    program = f"""
import torch
from rank_relax import soft_rank
input = torch.randn({shape}, device="cuda")
graph = torch.cuda.CUDAGraph()
with torch.cuda.graph(graph):
    ranks = soft_rank(input)
graph.replay()
assert torch.equal(ranks, soft_rank(input))
"""
    subprocess.run([sys.executable, "-P", "-c", program], cwd=tmp_path, check=True)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_tensors_of_another_device_than_the_current_one() -> None:
    input = torch.randn(3, 500)
    for device in ("cuda:1", "cuda:0"):
        ranks = soft_rank(input.to(device))
        assert ranks.device == torch.device(device)
        torch.testing.assert_close(ranks.cpu(), soft_rank(input))
    assert torch.cuda.current_device() == 0


def test_a_network_trains_in_half_precision_with_a_gradient_scaler() -> None:
    features = torch.randn(64, 40, 4, device="cuda")
    targets = features @ torch.tensor([1.0, -2.0, 0.5, 0.0], device="cuda")
    network = torch.nn.Linear(4, 1, device="cuda")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    scaler = torch.amp.GradScaler("cuda")
    loss_function = SpearmanLoss()
    for _ in range(100):
        optimizer.zero_grad()
        with torch.autocast("cuda", dtype=torch.float16):
            loss = loss_function(network(features).squeeze(-1), targets)
        assert loss.dtype == torch.float32
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
    assert loss < 0.05


@pytest.mark.parametrize("tool", ["memcheck", "racecheck", "initcheck", "synccheck"])
@pytest.mark.skipif(shutil.which("compute-sanitizer") is None, reason="needs compute-sanitizer")
def test_the_sanitizer_finds_nothing(tool: str, tmp_path: Path) -> None:
    command = ["compute-sanitizer", "--tool", tool, "--error-exitcode", "1"]
    # Of torch's own kernels initcheck finds much; ours are what is asked.
    command += ["--kernel-name", "kernel_substring=rank_relax"]
    result = subprocess.run(
        [*command, sys.executable, "-P", "-c", SANITIZED],
        cwd=tmp_path,  # not where an uncompiled package may lie
        # Or the tools would see torch's large pieces of memory, not those that we ask for.
        env={**os.environ, "PYTORCH_NO_CUDA_MEMORY_CACHING": "1"},
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-3000:]
