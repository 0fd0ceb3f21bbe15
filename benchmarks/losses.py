"""What ranking losses cost on a CPU, forward and backward; one thread, float32, N(0,1).

    python benchmarks/losses.py [--rounds 9] [--entries REGEX] [--json FILE]

Every line is a loss at one shape beside spearman_loss with its default options over the same
scores, and beside the same loss in plain torch, by a table of all pairs, where that fits. "Ragged"
ones are flat, 256 lists of 16 to 496 items, with offsets, and spearman_loss has all items in one. A
tenth of the items are relevant, or labels are real numbers for the losses that take the pairs that
these order. Every round times everything of a line once; a ratio is the median over rounds of the
ratios inside a round, with half of the rounds within the ± beside it. Four random tensors take
turns.

The error is that of the gradient of the sum of the losses: the largest difference from the plain
one in float64, over its largest element. A full run writes results/losses.json.
"""

import argparse
import itertools
import json
import platform
import re
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

import torch
from torch import Tensor

import rank_relax

RESULTS = Path(__file__).resolve().parent / "results" / "losses.json"
BLOCK_SECONDS = 0.02  # what is timed at once takes about that long, or is one call
POOL = 4  # tensors that take turns, or the processor would learn the one
PLAIN_PAIRS = 2**24  # the largest table of plain torch

Lists = dict[str, Tensor]
Loss = Callable[..., Tensor]


def differences(scores: Tensor) -> Tensor:
    """s_j - s_i, [..., i, j]."""
    return scores[..., None, :] - scores[..., :, None]


def plain_positions(scores: Tensor, temperature: float) -> Tensor:
    return torch.sigmoid(differences(scores) / temperature).sum(-1) + 0.5


def plain_ndcg(scores: Tensor, labels: Tensor) -> Tensor:
    gains = 2**labels - 1
    places = torch.arange(2, scores.shape[-1] + 2).to(scores.dtype)
    most = (gains.sort(-1, descending=True).values / places.log2()).sum(-1)
    return 1 - (gains / torch.log2(1 + plain_positions(scores, 0.1))).sum(-1) / most


def plain_mrr(scores: Tensor, labels: Tensor) -> Tensor:
    return 1 - (labels / plain_positions(scores, 0.1)).amax(-1)


def plain_average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    above = torch.sigmoid(differences(scores) / 0.01)
    relevant = (above * labels[..., None, :]).sum(-1) + 0.5
    precision = relevant / (above.sum(-1) + 0.5)
    return 1 - (labels * precision).sum(-1) / labels.sum(-1)


def plain_auc(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = labels[..., :, None] * (1 - labels)[..., None, :]
    return (pairs * torch.sigmoid(differences(scores))).sum((-2, -1)) / pairs.sum((-2, -1))


def plain_pairwise_logistic(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = labels[..., :, None] > labels[..., None, :]
    losses = torch.nn.functional.softplus(differences(scores))
    return (pairs * losses).sum((-2, -1)) / pairs.sum((-2, -1))


def plain_kendall(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = labels[..., :, None] > labels[..., None, :]
    n = scores.shape[-1]
    most = (pairs.sum((-2, -1)) * (n * (n - 1) / 2)).sqrt()
    return 1 - (pairs * (1 - 2 * torch.sigmoid(differences(scores)))).sum((-2, -1)) / most


def plain_cosent(scores: Tensor, labels: Tensor) -> Tensor:
    pairs = labels[..., :, None] > labels[..., None, :]
    wrong = torch.where(pairs, differences(scores) / 0.05, -torch.inf).flatten(-2)
    return torch.nn.functional.softplus(wrong.logsumexp(-1), threshold=100)


def plain_listnet(scores: Tensor, labels: Tensor) -> Tensor:
    return -(torch.softmax(labels, -1) * torch.log_softmax(scores, -1)).sum(-1)


# Ours, plain torch's, and whether labels are real numbers.
LOSSES: dict[str, tuple[Loss, Loss, bool]] = {
    "ndcg_loss": (rank_relax.ndcg_loss, plain_ndcg, False),
    "mrr_loss": (rank_relax.mrr_loss, plain_mrr, False),
    "average_precision_loss": (rank_relax.average_precision_loss, plain_average_precision, False),
    "auc_loss": (rank_relax.auc_loss, plain_auc, False),
    "pairwise_logistic_loss": (rank_relax.pairwise_logistic_loss, plain_pairwise_logistic, True),
    "kendall_loss": (rank_relax.kendall_loss, plain_kendall, True),
    "cosent_loss": (rank_relax.cosent_loss, plain_cosent, True),
    "listnet_loss": (rank_relax.listnet_loss, plain_listnet, True),
}

SHAPES: tuple[tuple[int, int], ...] = ((4096, 16), (128, 1000), (1, 10_000), (1, 100_000))


@dataclass(frozen=True)
class Entry:
    loss: str
    rows: int
    n: int
    ragged: bool

    def __str__(self) -> str:
        return f"{self.loss} {'ragged ' if self.ragged else ''}{self.rows}x{self.n}"

    def inputs(self) -> Lists:
        if self.ragged:  # n is the mean length
            lengths = torch.randint(16, 2 * self.n - 16, (self.rows,))
            offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
            shape: tuple[int, ...] = (int(offsets[-1]),)
        else:
            shape = (self.rows, self.n)
        scores = torch.randn(shape)
        labels = torch.randn(shape) if LOSSES[self.loss][2] else (torch.rand(shape) < 0.1).float()
        if self.ragged:
            labels[offsets[:-1]] = 1.0
            return {"scores": scores, "labels": labels, "offsets": offsets}
        labels[:, 0] = 1.0
        return {"scores": scores, "labels": labels}

    def has_plain(self) -> bool:
        return not self.ragged and self.rows * self.n**2 <= PLAIN_PAIRS * 8


def gradient(loss: Loss, lists: Lists) -> Tensor:
    lists = dict(lists)
    leaf = lists.pop("scores").detach().requires_grad_()
    value = loss(leaf, lists.pop("labels"), **lists)
    return torch.autograd.grad(value.sum(), leaf)[0]


@dataclass(frozen=True)
class Line:
    """Times are nanoseconds an item; None where there is nothing to compare with."""

    entry: Entry
    time: float
    spearman_ratio: float
    spearman_ratio_spread: float
    plain_ratio: float | None
    plain_ratio_spread: float | None
    error: float | None

    def __str__(self) -> str:
        plain = ""
        if self.plain_ratio is not None:
            plain = f"{self.plain_ratio:8.1f} ± {self.plain_ratio_spread:.1f}   {self.error:.1e}"
        return (
            f"{self.entry!s:40} {self.time:8.1f} ns "
            f"{self.spearman_ratio:6.2f} ± {self.spearman_ratio_spread:4.2f} {plain}"
        )


def seconds(call: Callable[[], object]) -> float:
    timer = Timer(call)
    once = timer.timeit(1)
    count = max(1, int(BLOCK_SECONDS / once))
    return timer.timeit(count) / count


def median_and_spread(values: list[float]) -> tuple[float, float]:
    middle = statistics.median(values)
    return middle, statistics.median(abs(value - middle) for value in values)


def measure(entry: Entry, rounds: int) -> Line:
    ours, plain, _ = LOSSES[entry.loss]
    pool = itertools.cycle([entry.inputs() for _ in range(POOL)])
    times, to_spearman, to_plain = [], [], []
    for _ in range(rounds + 1):  # the first one warms up
        lists = next(pool)
        rows = {k: v.reshape(1, -1) if entry.ragged else v for k, v in lists.items()}
        rows.pop("offsets", None)
        time = seconds(lambda lists=lists: gradient(ours, lists))
        spearman = seconds(lambda rows=rows: gradient(rank_relax.spearman_loss, rows))
        times.append(time / lists["scores"].numel() * 1e9)
        to_spearman.append(time / spearman)
        if entry.has_plain():
            to_plain.append(seconds(lambda lists=lists: gradient(plain, lists)) / time)
    error = None
    if entry.has_plain():
        lists = {
            name: tensor[: max(1, PLAIN_PAIRS // entry.n**2)] for name, tensor in lists.items()
        }
        exact = gradient(plain, {name: tensor.double() for name, tensor in lists.items()})
        found = gradient(lambda *x: ours(*x, reduction="none"), lists)
        error = float((found - exact).abs().max() / exact.abs().max())
    plain_figures = median_and_spread(to_plain[1:]) if to_plain else (None, None)
    return Line(
        entry,
        statistics.median(times[1:]),
        *median_and_spread(to_spearman[1:]),
        *plain_figures,
        error,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--entries", default="", help="those whose name this regex finds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    entries = [Entry(loss, rows, n, False) for loss in LOSSES for rows, n in SHAPES]
    entries += [Entry(loss, 256, 256, True) for loss in LOSSES]
    chosen = [entry for entry in entries if re.search(arguments.entries, str(entry))]
    print(f"torch {torch.__version__}, {platform.machine()}, one thread, forward + backward")
    print(f"{'loss':40} {'an item':>11} ÷ spearman_loss   plain torch ÷ this   error")
    lines = []
    for entry in chosen:
        lines.append(measure(entry, arguments.rounds))
        print(lines[-1], flush=True)
    target = arguments.json or (RESULTS if chosen == entries else None)
    if target is not None:
        environment = {
            "torch": str(torch.__version__),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }
        record = {"environment": environment, "lines": [asdict(line) for line in lines]}
        target.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
