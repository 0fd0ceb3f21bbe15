"""What a call costs beside ``F.mse_loss``: [8, 16], float32, eager, one thread.

    python benchmarks/overhead.py [--rounds 30] [--json FILE]

At this size the work is small and the call is what takes the time. Every round times every line
once, so that a slow moment of the machine falls on all of them; a ratio is the median over rounds
of the ratios inside a round, with half of the rounds within the ± beside it. The error is that
against the same loss by a plain formula in float64.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from timeit import Timer

import torch
import torch.nn.functional as F
from environment import environment
from torch import Tensor

import rank_relax

SHAPE = (8, 16)
CALLS = 500  # of each line in a round: some ten milliseconds
BASELINE = "F.mse_loss"

Loss = Callable[[Tensor, Tensor], Tensor]


def losses() -> dict[str, Loss]:
    """What is measured, by the name under which it is printed."""
    operator = torch.ops.rank_relax.spearman_loss
    return {
        BASELINE: F.mse_loss,
        "SpearmanLoss()": rank_relax.SpearmanLoss(),
        "rank_relax.spearman_loss": rank_relax.spearman_loss,
        "torch.ops.rank_relax.spearman_loss(...).mean()": lambda p, t: operator(p, t).mean(),
        "pairwise torch.sigmoid": pairwise,
    }


def pairwise(predictions: Tensor, targets: Tensor) -> Tensor:
    """The same loss in plain torch, O(n²) memory; there are no ties to average."""
    soft = torch.sigmoid(predictions[..., :, None] - predictions[..., None, :]).sum(-1)
    hard = targets.argsort(-1).argsort(-1).to(soft)
    predicted, wanted = (r - r.mean(-1, keepdim=True) for r in (soft, hard))
    return (1 - F.cosine_similarity(predicted, wanted, dim=-1, eps=0)).mean()


def reference(name: str, predictions: Tensor, targets: Tensor) -> Tensor:
    loss = F.mse_loss if name == BASELINE else pairwise
    return loss(predictions.double(), targets.double())


def round_times(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Microseconds a call, of every function once."""
    return {
        name: Timer(function).timeit(CALLS) / CALLS * 1e6 for name, function in functions.items()
    }


def compare(functions: dict[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Times and ratios to the baseline over rounds, after one that only warms up."""
    round_times(functions)
    results = [round_times(functions) for _ in range(rounds)]
    table = {}
    for name in functions:
        ratios = [result[name] / result[BASELINE] for result in results]
        low, _, high = statistics.quantiles(ratios, n=4)
        table[name] = {
            "microseconds": statistics.median(result[name] for result in results),
            "ratio": statistics.median(ratios),
            "ratio_spread": (high - low) / 2,
        }
    return table


def measure(rounds: int) -> dict[str, dict[str, dict[str, float]]]:
    """The whole table: forward without a graph, and forward with backward."""
    predictions, targets = torch.randn(SHAPE), torch.randn(SHAPE)
    leaf = predictions.clone().requires_grad_()

    def forward(loss: Loss) -> Callable[[], object]:
        return lambda: loss(predictions, targets)

    def forward_backward(loss: Loss) -> Callable[[], object]:
        def step() -> None:
            leaf.grad = None
            loss(leaf, targets).backward()

        return step

    table = {
        "forward": compare({name: forward(loss) for name, loss in losses().items()}, rounds),
        "forward+backward": compare(
            {name: forward_backward(loss) for name, loss in losses().items()}, rounds
        ),
    }
    for name, loss in losses().items():
        exact = reference(name, predictions, targets)
        error = (loss(predictions, targets).double() - exact).abs().item()
        for part in table.values():
            part[name]["error"] = error
    return table


def main() -> None:
    """Prints the table and, if asked, writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="rounds of measurement")
    parser.add_argument("--json", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be 2 or more: one round has no spread")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    table = measure(arguments.rounds)
    for part, lines in table.items():
        print(f"\n{part + ', [8, 16] float32':50} {'µs':>8} {'/ ' + BASELINE:>16} {'error':>9}")
        for name, line in lines.items():
            ratio = f"{line['ratio']:.2f} ± {line['ratio_spread']:.2f}"
            print(f"{name:50} {line['microseconds']:8.1f} {ratio:>16} {line['error']:9.1e}")
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps({"environment": environment(), **table}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
