"""Spearman's loss of one list over processes of this machine: by moments, and by gathering it.

    python benchmarks/distributed.py [--processes 1 2 4] [--items 10000 ... 10000000] [--json FILE]

Forward and backward of a float32 list of standard normal scores, whose targets need no gradient; an
equal part in each process, of one thread. Two ways:

- ``moments``: ``rank_relax.distributed.spearman_loss``;
- ``gather``: every process gathers all predictions and targets, and takes
  ``rank_relax.spearman_loss`` of the whole list and the gradient of its own part.

A round times each way once, from a barrier to the end of the slowest process; the time is the
median over rounds, with half of the rounds within the ± beside it. Bytes are those that a process
sends if collectives go round a ring, as NCCL's do for large tensors: (W-1) times its part for an
all-gather, 2 (W-1)/W of the tensor for an all-reduce. They are counted, not measured; processes of
one machine exchange them through its memory, at no network's speed. The errors are those of the
loss and of the gradient, relative to its largest element, against float64 in one process.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from environment import environment
from torch import Tensor

import rank_relax
from rank_relax import distributed

STRENGTHS = (1.0, 100.0)  # some 11 boxes and some 1100


class RingBytes:
    """Counts what this process would send on a ring, while it is entered."""

    def __init__(self) -> None:
        self.bytes = 0.0

    def __enter__(self) -> "RingBytes":
        self._originals = dist.all_reduce, dist.all_gather
        all_reduce, all_gather = self._originals

        def counted_reduce(tensor: Tensor, *args: Any, **options: Any) -> Any:
            processes = dist.get_world_size(options.get("group"))
            self.bytes += 2 * (processes - 1) / processes * tensor.nbytes
            return all_reduce(tensor, *args, **options)

        def counted_gather(parts: list[Tensor], tensor: Tensor, **options: Any) -> Any:
            self.bytes += (len(parts) - 1) * tensor.nbytes
            return all_gather(parts, tensor, **options)

        dist.all_reduce, dist.all_gather = counted_reduce, counted_gather
        return self

    def __exit__(self, *_: object) -> None:
        dist.all_reduce, dist.all_gather = self._originals


def by_moments(predictions: Tensor, targets: Tensor, strength: float) -> Tensor:
    return distributed.spearman_loss(predictions, targets, strength, target_ranks="soft")


def by_gathering(predictions: Tensor, targets: Tensor, strength: float) -> Tensor:
    whole = []
    for part in (predictions, targets):
        parts = [torch.empty_like(part) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, part.detach())
        parts[dist.get_rank()] = part
        whole.append(torch.cat(parts))
    return rank_relax.spearman_loss(*whole, strength, target_ranks="soft")


WAYS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {
    "moments": by_moments,
    "gather": by_gathering,
}


def make_list(items: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    predictions = torch.randn(items, generator=generator)
    return predictions, predictions + torch.randn(items, generator=generator)


def exact(items: int, strength: float) -> tuple[Tensor, Tensor]:
    """The loss and its gradient in float64."""
    predictions, targets = (x.double() for x in make_list(items))
    predictions.requires_grad_()
    loss = rank_relax.spearman_loss(predictions, targets, strength, target_ranks="soft")
    (gradient,) = torch.autograd.grad(loss, predictions)
    return loss.detach(), gradient


def run_ways(items: int, strength: float, rounds: int) -> dict[str, dict[str, float]]:
    """What this process measures; times are those of the slowest one."""
    processes, rank = dist.get_world_size(), dist.get_rank()
    length = items // processes
    mine = slice(rank * length, (rank + 1) * length)
    predictions, targets = (x[mine].clone() for x in make_list(length * processes))
    predictions.requires_grad_()
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    table: dict[str, dict[str, float]] = {}
    for round_ in range(rounds + 1):  # the first one only warms up
        for way, loss_of in WAYS.items():
            predictions.grad = None
            dist.barrier()
            start = time.perf_counter()
            with RingBytes() as sent:
                loss = loss_of(predictions, targets, strength)
                loss.backward()
            seconds = torch.tensor(time.perf_counter() - start)
            dist.all_reduce(seconds, dist.ReduceOp.MAX)
            if round_ > 0:
                times[way].append(float(seconds))
            table[way] = {"bytes": sent.bytes, "loss": float(loss.detach())}
            if round_ == rounds:
                scale = processes if way == "moments" else 1
                table[way]["gradient_error"] = gradient_error(
                    predictions, scale, mine, length * processes, strength
                )
    for way, seconds_of_rounds in times.items():
        low, middle, high = statistics.quantiles(seconds_of_rounds, n=4)
        table[way] |= {"seconds": middle, "seconds_spread": (high - low) / 2}
    return table


def gradient_error(
    predictions: Tensor, scale: int, mine: slice, items: int, strength: float
) -> float:
    """The largest over processes, which take turns, for memory's sake."""
    error = torch.zeros(())
    assert predictions.grad is not None
    for turn in range(dist.get_world_size()):
        if turn == dist.get_rank():
            _, gradient = exact(items, strength)
            difference = predictions.grad.double() / scale - gradient[mine]
            error = (difference.abs().max() / gradient.abs().max()).float()
        dist.barrier()
    dist.all_reduce(error, dist.ReduceOp.MAX)
    return float(error)


def serve(rank: int, processes: int, store: str, arguments: argparse.Namespace, file: str) -> None:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", store=dist.FileStore(store, processes), rank=rank, world_size=processes
    )
    lines = []
    for items in arguments.items:
        for strength in STRENGTHS:
            table = run_ways(items, strength, arguments.rounds)
            loss, _ = exact(items // processes * processes, strength)
            for way, line in table.items():
                error = abs(line.pop("loss") - float(loss))
                key = {"processes": processes, "items": items, "strength": strength, "way": way}
                lines.append({**key, **line, "loss_error": error})
            if rank == 0:
                print_lines(lines[-len(WAYS) :])
    if rank == 0:
        Path(file).write_text(json.dumps(lines))
    dist.destroy_process_group()


def print_lines(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        time_ = f"{line['seconds'] * 1e3:.1f} ± {line['seconds_spread'] * 1e3:.1f}"
        print(
            f"{line['processes']:9} {line['items']:10} {line['strength']:8g} {line['way']:8} "
            f"{time_:>16} {line['bytes']:14,.0f} {line['loss_error']:10.1e} "
            f"{line['gradient_error']:10.1e}",
            flush=True,
        )


def main() -> None:
    """Prints the table and, if asked, writes it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--items", type=int, nargs="+", default=[10**k for k in (4, 5, 6, 7)])
    parser.add_argument("--rounds", type=int, default=7, help="rounds of measurement")
    parser.add_argument("--json", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be 2 or more: one round has no spread")
    print(
        f"{'processes':>9} {'items':>10} {'strength':>8} {'way':8} {'ms':>16} {'bytes sent':>14} "
        f"{'of loss':>10} {'gradient':>10}  error"
    )
    lines = []
    for processes in arguments.processes:
        with tempfile.TemporaryDirectory() as directory:
            file = str(Path(directory, "lines.json"))
            multiprocessing.spawn(
                serve,
                (processes, str(Path(directory, "store")), arguments, file),
                nprocs=processes,
            )
            lines += json.loads(Path(file).read_text())
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps({"environment": environment(), "lines": lines}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
