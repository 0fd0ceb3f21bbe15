"""More than one process, more than one thread of Python."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

import rank_relax

pytestmark = pytest.mark.slow

STRENGTH = 2.0


def scores(index: int, items: int = 300) -> Tensor:
    return torch.randn(4, items, generator=torch.Generator().manual_seed(index))


def value_and_gradient(index: int) -> tuple[Tensor, Tensor]:
    leaf = scores(index).requires_grad_()
    loss = rank_relax.spearman_loss(leaf, scores(index + 1000), STRENGTH)
    loss.backward()
    assert leaf.grad is not None
    return loss.detach(), leaf.grad


class Ranked(Dataset[tuple[Tensor, Tensor]]):
    """Items that a worker makes with the operators, forward and backward."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return value_and_gradient(index)


def check_workers(context: str) -> None:
    """What workers give is what this process gives, whose kernels have run on several threads."""
    torch.set_num_threads(2)
    rank_relax.soft_rank(scores(0, items=200_000))
    loader = DataLoader(
        Ranked(), batch_size=None, num_workers=2, multiprocessing_context=context, timeout=120
    )
    for index, (loss, gradient) in enumerate(loader):
        expected_loss, expected_gradient = value_and_gradient(index)
        assert torch.equal(loss, expected_loss)
        assert torch.equal(gradient, expected_gradient)


def test_spawned_workers_of_a_data_loader_rank(keep_threads: None) -> None:
    check_workers("spawn")


def test_forked_workers_of_a_data_loader_rank() -> None:
    """Of a process without other libraries' threads, which this one may have."""
    code = "import test_processes; test_processes.check_workers('fork')"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parent, timeout=300)


def rank_in_child(index: int, results: Tensor) -> None:
    """Into shared memory."""
    results[index] = rank_relax.soft_rank(scores(index), STRENGTH)


def test_spawned_processes_rank_in_shared_memory() -> None:
    results = torch.zeros(2, 4, 300).share_memory_()
    torch.multiprocessing.spawn(rank_in_child, (results,), nprocs=2)
    for index in range(2):
        assert torch.equal(results[index], rank_relax.soft_rank(scores(index), STRENGTH))


# The second thread can only run while the first one has let go of the GIL, which the interpreter
# itself never asks it to do in this process.
SECOND_THREAD = """
import sys, threading, time, torch, rank_relax
sys.setswitchinterval(1e6)
count, done = 0, False
def count_up():
    global count
    while not done:
        count += 1
        time.sleep(0)
x = torch.randn(4, 300_000)
thread = threading.Thread(target=count_up)
thread.start()
progress = []
call = dict(
    operator=lambda: torch.ops.rank_relax.soft_rank(x, 100.0),
    nothing=lambda: sum(range(1_000_000)),
)[sys.argv[1]]
for _ in range(50):  # a busy machine may not wake the other thread in time
    before = count
    call()
    progress.append(count - before)
    if progress[-1]:
        break
    time.sleep(0)
done = True
thread.join()
print(any(progress))
"""


@pytest.mark.parametrize(("call", "progress"), [("operator", True), ("nothing", False)])
def test_another_thread_runs_during_a_kernel(call: str, progress: bool) -> None:
    """And not during plain Python, which shows that the experiment can fail."""
    run = subprocess.run(
        [sys.executable, "-P", "-c", SECOND_THREAD, call],
        check=True,
        capture_output=True,
        text=True,
    )
    assert run.stdout.strip() == str(progress)


def test_threads_of_python_get_what_one_gets() -> None:
    expected = [value_and_gradient(index) for index in range(12)]
    with ThreadPoolExecutor(4) as threads:
        for one, other in zip(threads.map(value_and_gradient, range(12)), expected, strict=True):
            assert torch.equal(one[0], other[0])
            assert torch.equal(one[1], other[1])
