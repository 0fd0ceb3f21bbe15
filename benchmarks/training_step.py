"""A training step with Spearman's loss, compiled against eager, beside the pairwise formula.

    python benchmarks/training_step.py [--rounds 15] [--json FILE]

The step is the forward, the loss, the backward and Adam's update of a small network that scores the
items of 32 lists; one thread, float32. "compiled" has forward and loss in one graph by inductor.
"pairwise" is the same loss in plain torch, from the table of all pairs, eager and under the same
compiler. Every round times every line once, so that a slow moment of the machine falls on all of
them; a ratio is the median over rounds of the ratios inside a round, with half of the rounds within
the ± beside it. The error is the largest of the weights' gradients against float64 sums over pairs,
over the largest gradient.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

import torch
import torch.nn.functional as F
from environment import environment
from torch import Tensor, nn

import rank_relax

LISTS, FEATURES, HIDDEN = 32, 16, 32
LENGTHS = (16, 100, 1000)
BLOCK_SECONDS = 0.05  # what is timed at once takes about that long, or is one step
BASELINE = "rank_relax, eager"

Loss = Callable[[Tensor, Tensor], Tensor]
Step = Callable[[], None]


@dataclass(frozen=True)
class Line:
    """One way to take the step at one length; the time in milliseconds a step."""

    name: str
    length: int
    time: float
    ratio: float
    ratio_spread: float
    error: float

    def __str__(self) -> str:
        ratio = f"{self.ratio:.2f} ± {self.ratio_spread:.2f}"
        return f"{self.length:6} {self.name:22} {self.time:9.2f} ms {ratio:>16} {self.error:9.1e}"


def pairwise(predictions: Tensor, targets: Tensor) -> Tensor:
    """Spearman's loss of soft ranks in plain torch, O(n²) memory."""
    ranks = [
        torch.sigmoid(x[..., :, None] - x[..., None, :]).sum(-1) for x in (predictions, targets)
    ]
    predicted, wanted = (r - r.mean(-1, keepdim=True) for r in ranks)
    return (1 - F.cosine_similarity(predicted, wanted, dim=-1)).mean()


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(FEATURES, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 1, bias=False))


def gradients(model: nn.Module, loss: Tensor) -> list[Tensor]:
    return [g.double() for g in torch.autograd.grad(loss, list(model.parameters()))]


def error_of(model: nn.Module, forward: Loss, features: Tensor, targets: Tensor) -> float:
    exact_model = network().double()
    exact_loss = pairwise(exact_model(features.double())[..., 0], targets.double())
    exact = gradients(exact_model, exact_loss)
    actual = gradients(model, forward(features, targets))
    largest = max(float(g.abs().max()) for g in exact)
    return (
        max(float((one - other).abs().max()) for one, other in zip(actual, exact, strict=True))
        / largest
    )


def steps(features: Tensor, targets: Tensor) -> dict[str, tuple[Step, float]]:
    """Every line's step, with the error of its first gradient."""
    made = {}
    soft = rank_relax.SpearmanLoss(target_ranks="soft")
    for loss_name, loss in (("rank_relax", soft), ("pairwise", pairwise)):
        for mode in ("eager", "compiled"):
            model = network()

            def forward(
                x: Tensor, t: Tensor, model: nn.Module = model, loss: Loss = loss
            ) -> Tensor:
                return loss(model(x)[..., 0], t)

            run = torch.compile(forward, fullgraph=True) if mode == "compiled" else forward
            error = error_of(model, run, features, targets)
            optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

            def step(run: Loss = run, optimizer: torch.optim.Optimizer = optimizer) -> None:
                optimizer.zero_grad()
                run(features, targets).backward()
                optimizer.step()

            step()
            made[f"{loss_name}, {mode}"] = (step, error)
    return made


def milliseconds(step: Step, calls: int) -> float:
    return Timer(step).timeit(calls) / calls * 1e3


def measure(length: int, rounds: int) -> list[Line]:
    features, targets = torch.randn(LISTS, length, FEATURES), torch.randn(LISTS, length)
    table = steps(features, targets)
    calls = {
        name: max(1, round(BLOCK_SECONDS * 1e3 / milliseconds(step, 1)))
        for name, (step, _) in table.items()
    }
    results = [
        {name: milliseconds(step, calls[name]) for name, (step, _) in table.items()}
        for _ in range(rounds)
    ]
    lines = []
    for name, (_, error) in table.items():
        ratios = [result[name] / result[BASELINE] for result in results]
        low, _, high = statistics.quantiles(ratios, n=4)
        time = statistics.median(result[name] for result in results)
        lines.append(Line(name, length, time, statistics.median(ratios), (high - low) / 2, error))
    return lines


def main() -> None:
    """Prints the table and, if asked, writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="rounds of measurement")
    parser.add_argument("--json", type=Path, help="also write the table here")
    arguments = parser.parse_args()
    if arguments.rounds < 2:
        parser.error("--rounds must be 2 or more: one round has no spread")
    torch.set_num_threads(1)
    print(f"{'length':>6} {'':22} {'a step':>12} {'/ ' + BASELINE:>16} {'error':>9}")
    lines = []
    for length in LENGTHS:
        torch.manual_seed(1)
        for line in measure(length, arguments.rounds):
            print(line, flush=True)
            lines.append(asdict(line))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(
            json.dumps({"environment": environment(), "lines": lines}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
