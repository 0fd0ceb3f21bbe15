"""What the CDFs cost beside one another on a CPU; one thread, float32, N(0,1).

    python benchmarks/cdfs.py [--rounds 7]

Every line is one shape and strength: torch.sort in ns an item, and how many times as long soft
ranks, forward and forward and backward, and soft sorts take with each CDF over the same tensors. A
ratio is the median over rounds of the ratios inside a round. The error beside it is the largest of
a soft rank at 100 items against sums over all pairs in float64, by formulas of its own. With cauchy
only lists up to 64 items are sorted, and 10,000 ranked: it compares all pairs. A full run writes
results/cdfs.json.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from environment import environment
from torch import Tensor

from rank_relax import soft_rank, soft_sort

RESULTS = Path(__file__).resolve().parent / "results" / "cdfs.json"
SHAPES = ((4096, 16), (4096, 64), (128, 1000), (8, 10_000), (1, 1_000_000))
STRENGTHS = (1.0, 100.0)
LONGEST_CAUCHY = {"rank": 10_000, "rank+backward": 10_000, "sort": 64}
CDFS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": torch.sigmoid,
    "gaussian": torch.special.ndtr,
    "laplace": lambda d: torch.where(d < 0, d.exp() / 2, 1 - (-d).exp() / 2),
    "cauchy": lambda d: torch.atan(d) / math.pi + 0.5,
}


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def uses(x: Tensor, strength: float, method: str) -> dict[str, Callable[[], object]]:
    leaf, vector = x.clone().requires_grad_(), torch.randn_like(x)

    def backward() -> object:
        return torch.autograd.grad(soft_rank(leaf, strength, method=method), leaf, vector)

    named: dict[str, Callable[[], object]] = {
        "rank": lambda: soft_rank(x, strength, method=method),
        "rank+backward": backward,
        "sort": lambda: soft_sort(x, strength, method=method),
    }
    if method != "cauchy":
        return named
    return {name: use for name, use in named.items() if x.shape[-1] <= LONGEST_CAUCHY[name]}


def error(x: Tensor, strength: float, method: str) -> float | None:
    if method == "cauchy" and x.shape[-1] > LONGEST_CAUCHY["rank"]:
        return None
    row = x[0].double()
    ranks = soft_rank(x[:1], strength, method=method)[0]
    largest = 0.0
    for i in torch.linspace(0, len(row) - 1, 100).long().tolist():
        exact = (CDFS[method](strength * (row[i] - row)).sum() - 0.5) / (len(row) - 1)
        largest = max(largest, abs(float(ranks[i]) - float(exact)))
    return largest


def measure(shape: tuple[int, int], strength: float, rounds: int) -> dict[str, object]:
    x = torch.randn(shape)
    every = {
        f"{method} {name}": use
        for method in CDFS
        for name, use in uses(x, strength, method).items()
    }
    sorts: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in every}
    for _ in range(rounds + 1):  # the first is not counted
        sorts.append(min(seconds(lambda: torch.sort(x)) for _ in range(3)))
        for name, use in every.items():
            ratios[name].append(seconds(use) / sorts[-1])
    return {
        "shape": shape,
        "strength": strength,
        "sort_ns_an_item": round(statistics.median(sorts[1:]) / x.numel() * 1e9, 1),
        "ratios": {name: round(statistics.median(of[1:]), 2) for name, of in ratios.items()},
        "errors": {method: error(x, strength, method) for method in CDFS},
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = []
    for shape in SHAPES:
        for strength in STRENGTHS:
            lines.append(measure(shape, strength, rounds))
            print(json.dumps(lines[-1]), flush=True)
    record = {"environment": environment(), "rounds": rounds, "lines": lines}
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
