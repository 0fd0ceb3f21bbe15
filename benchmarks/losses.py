"""What ranking losses cost on a CPU, forward and backward: time and memory; one thread, float32.

    python benchmarks/losses.py [--rounds 9] [--entries REGEX] [--json FILE]

Every line is a loss at one shape, of scores from N(0,1), beside spearman_loss with its default
options over the same scores, and beside the same loss in plain torch, by a table of all pairs,
where that fits, and where it is installed beside the loss of another library: allRank, or
pytorch-metric-learning. "Ragged" ones are flat, 256 lists of 16 to 496 items, with offsets, and
spearman_loss has all items in one. A tenth of the items are relevant, or labels are five grades, or
real numbers for the losses that take the pairs that these order. At 128x1000 our loss and the plain
one are also compiled. Embeddings for Smooth-AP are of 64 dimensions, in classes of four.

Every round times everything of a line once; a ratio is the median over rounds of the ratios inside
a round, with half of the rounds within the ± beside it. Four random tensors take turns. Memory is
the most that one call takes, forward and backward, in a process of its own, beyond its inputs. The
error is that of the gradient of the sum of the losses: the largest difference from the plain one in
float64, over its largest element. A full run writes results/losses.json.

allRank pins a torch of 2021, so that it takes `pip install --no-deps allRank`.
"""

import argparse
import functools
import itertools
import json
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

import allrank_losses
import plain_losses as plain
import torch
from environment import cpu_model, environment
from peak_memory import peak_memory
from torch import Tensor

import rank_relax

RESULTS = Path(__file__).resolve().parent / "results" / "losses.json"
BLOCK_SECONDS = 0.02  # what is timed at once takes about that long, or is one call
LINE_SECONDS = 8  # a line has fewer rounds where they would take longer, but three
POOL = 4  # tensors that take turns, or the processor would learn the one
PLAIN_PAIRS = 2**24  # the largest table of plain torch, for an error; and an eighth of a timed one
COMPILED = (128, 1000)
DIMENSIONS, CLASS_SIZE = 64, 4  # of embeddings

Lists = dict[str, Tensor]
Loss = Callable[..., Tensor]


def allrank(name: str) -> Loss | None:
    """A loss of allRank, where that is installed."""
    try:
        return getattr(allrank_losses.losses(), name)
    except ImportError:
        return None


def metric_learning(embeddings: Tensor, labels: Tensor) -> Tensor:
    from pytorch_metric_learning.losses import SmoothAPLoss

    return SmoothAPLoss(temperature=0.01)(embeddings, labels)


def relevant(*shape: int) -> Tensor:
    labels = (torch.rand(shape) < 0.1).float()
    labels[..., 0] = 1.0
    return labels


def grades(*shape: int) -> Tensor:
    labels = torch.randint(5, shape).float()
    labels[..., 0] = 4.0
    return labels


def real(*shape: int) -> Tensor:
    """Numbers from -2 to 2, of which no two are equal: definitions differ in what they do then."""
    n = shape[-1]
    return (torch.rand(shape).argsort(-1) - n / 2) * (4 / n)


def classes(*shape: int) -> Tensor:
    return torch.randint(shape[-1], shape[:-1])


@dataclass(frozen=True)
class Contest:
    """A loss and what it is compared with."""

    ours: Loss
    plain: Loss | None = None
    labels: Callable[..., Tensor] = real
    peer: Loss | None = None  # of the same tensors, with a loss and a scale of its own
    with_events: bool = False
    ragged: bool = True
    longest: int = 10**6


LAMBDA_RANK = allrank("lambdaLoss")
if LAMBDA_RANK is not None:
    LAMBDA_RANK = functools.partial(LAMBDA_RANK, weighing_scheme="lambdaRank_scheme")

CONTESTS: dict[str, Contest] = {
    "spearman_loss": Contest(rank_relax.spearman_loss, plain.spearman),
    "ndcg_loss": Contest(rank_relax.ndcg_loss, plain.ndcg, grades, allrank("approxNDCGLoss")),
    "mrr_loss": Contest(rank_relax.mrr_loss, plain.mrr, relevant),
    "adr_mse_loss": Contest(rank_relax.adr_mse_loss, plain.adr_mse),
    "average_precision_loss": Contest(
        rank_relax.average_precision_loss, plain.average_precision, relevant
    ),
    "precision_at_k_loss, k=10": Contest(
        functools.partial(rank_relax.precision_at_k_loss, k=10), labels=relevant
    ),
    "recall_at_k_loss, k=10": Contest(
        functools.partial(rank_relax.recall_at_k_loss, k=10), labels=relevant
    ),
    "auc_loss": Contest(rank_relax.auc_loss, plain.auc, relevant),
    "partial_auc_loss": Contest(rank_relax.partial_auc_loss, labels=relevant),
    "pairwise_logistic_loss": Contest(
        rank_relax.pairwise_logistic_loss, plain.pairwise_logistic, peer=allrank("rankNet")
    ),
    "pairwise_logistic_loss, five grades": Contest(
        rank_relax.pairwise_logistic_loss, plain.pairwise_logistic, grades, allrank("rankNet")
    ),
    "lambda_loss, k=10": Contest(
        functools.partial(rank_relax.lambda_loss, k=10), plain.lambda_rank_at_10, grades
    ),
    "lambda_loss": Contest(
        rank_relax.lambda_loss,
        plain.lambda_rank,
        grades,
        LAMBDA_RANK,
        longest=10**5,
    ),
    "kendall_loss": Contest(rank_relax.kendall_loss, plain.kendall),
    "concordance_loss": Contest(rank_relax.concordance_loss, plain.concordance, with_events=True),
    "listnet_loss": Contest(rank_relax.listnet_loss, plain.listnet, peer=allrank("listNet")),
    "listmle_loss": Contest(rank_relax.listmle_loss, plain.listmle, peer=allrank("listMLE")),
    "cosent_loss": Contest(rank_relax.cosent_loss, plain.cosent),
    "topk_cross_entropy_loss": Contest(
        rank_relax.topk_cross_entropy_loss, labels=classes, ragged=False
    ),
    "normal_scores_loss": Contest(rank_relax.normal_scores_loss, plain.normal_scores),
}
SMOOTH_AP = Contest(rank_relax.smooth_ap_loss, peer=metric_learning)

SHAPES = ((4096, 16), (128, 1000), (1, 10_000), (1, 100_000), (1, 1_000_000))
BATCHES = (128, 256, 512, 1024)  # of embeddings


@dataclass(frozen=True)
class Entry:
    loss: str
    rows: int
    n: int
    ragged: bool = False

    def __str__(self) -> str:
        return f"{self.loss} {'ragged ' if self.ragged else ''}{self.rows}x{self.n}"

    @property
    def contest(self) -> Contest:
        return CONTESTS.get(self.loss, SMOOTH_AP)

    def inputs(self) -> Lists:
        """What is differentiated is the first."""
        if self.contest is SMOOTH_AP:
            labels = torch.arange(self.n) // CLASS_SIZE
            return {"embeddings": torch.randn(self.n, DIMENSIONS), "labels": labels}
        offsets = None
        shape: tuple[int, ...] = (self.rows, self.n)
        if self.ragged:  # n is the mean length
            lengths = torch.randint(16, 2 * self.n - 16, (self.rows,))
            offsets = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
            shape = (int(offsets[-1]),)
        lists = {"scores": torch.randn(shape), "labels": self.contest.labels(*shape)}
        if self.contest.with_events:
            lists["events"] = torch.rand(shape) < 0.5
        if offsets is not None:
            lists["labels"][offsets[:-1]] = lists["labels"].max()
            lists["offsets"] = offsets
        return lists

    def pairs(self) -> int:
        return self.rows * self.n**2

    def has_peer(self) -> bool:
        """The peer takes rows alone, and for embeddings a table of all threes."""
        most = 2 * PLAIN_PAIRS if self.contest is not SMOOTH_AP else 2**19
        return self.contest.peer is not None and not self.ragged and self.pairs() <= most

    def has_plain(self) -> bool:
        most = 8 * PLAIN_PAIRS
        return self.contest.plain is not None and not self.ragged and self.pairs() <= most


def gradient(loss: Loss, lists: Lists) -> Tensor:
    (_, given), (_, labels), *events = ((k, v) for k, v in lists.items() if k != "offsets")
    leaf = given.detach().requires_grad_()
    offsets = {"offsets": lists["offsets"]} if "offsets" in lists else {}
    value = loss(leaf, labels, *(x for _, x in events), **offsets)
    return torch.autograd.grad(value.sum(), leaf)[0]


@dataclass(frozen=True)
class Ratio:
    median: float
    spread: float

    @classmethod
    def of(cls, values: list[float]) -> "Ratio":
        middle = statistics.median(values)
        return cls(middle, statistics.median(abs(value - middle) for value in values))

    def __str__(self) -> str:
        return f"{self.median:.3g} ± {self.spread:.2g}"


# What a line tells beside its own time: this loss's to spearman_loss's, and others' to this one's.
RATIOS = {
    "spearman": "÷ spearman_loss",
    "plain": "plain ÷",
    "plain compiled": "compiled plain ÷",
    "peer": "peer ÷",
    "compiled": "compiled ÷",
}


@dataclass(frozen=True)
class Line:
    """Nanoseconds and bytes are those of an item, whose gradient is taken."""

    entry: Entry
    rounds: int
    nanoseconds: float
    ratios: dict[str, Ratio]
    bytes: dict[str, float | None]  # of this one, "ours", and of "plain" and "peer"
    error: float | None

    def __str__(self) -> str:
        ratios = " ".join(f"{self.ratios.get(name, '')!s:>16}" for name in RATIOS)
        memory = "/".join("?" if x is None else f"{x:.0f}" for x in self.bytes.values())
        error = "" if self.error is None else f"{self.error:.1e}"
        return f"{self.entry!s:48} {self.nanoseconds:9.1f} {ratios} {memory:>16} {error}"


def seconds(call: Callable[[], object]) -> float:
    timer = Timer(call)
    once = timer.timeit(1)
    count = int(BLOCK_SECONDS / once)
    return timer.timeit(count) / count if count else once


def spearman_of(lists: Lists) -> Tensor:
    """The gradient of spearman_loss in the same scores, as one list where they are ragged."""
    scores = lists["scores"].view(1, -1) if "offsets" in lists else lists["scores"]
    return gradient(rank_relax.spearman_loss, {"scores": scores, "labels": scores.roll(1, -1)})


def rivals(entry: Entry) -> dict[str, Callable[[Lists], Tensor]]:
    contest = entry.contest
    losses: dict[str, Loss | None] = {
        "plain": contest.plain if entry.has_plain() else None,
        "peer": contest.peer if entry.has_peer() else None,
    }
    if (entry.rows, entry.n) == COMPILED:
        torch.compiler.reset()
        compile_ = functools.partial(torch.compile, fullgraph=True, dynamic=False)
        losses["compiled"] = compile_(contest.ours)
        losses["plain compiled"] = compile_(contest.plain) if entry.has_plain() else None
    found: dict[str, Callable[[Lists], Tensor]] = {}
    if contest is not SMOOTH_AP:
        found["spearman"] = spearman_of
    for name, loss in losses.items():
        if loss is not None:
            found[name] = functools.partial(gradient, loss)
    return found


def error(entry: Entry, lists: Lists) -> float:
    rows = max(1, PLAIN_PAIRS // entry.n**2)
    lists = {name: tensor[:rows] for name, tensor in lists.items()}
    in_float64 = {k: v.double() if v.is_floating_point() else v for k, v in lists.items()}
    exact = gradient(entry.contest.plain, in_float64)
    found = gradient(functools.partial(entry.contest.ours, reduction="none"), lists)
    return float((found - exact).abs().max() / exact.abs().max())


def measure(entry: Entry, most_rounds: int) -> Line:
    ours = functools.partial(gradient, entry.contest.ours)
    others = rivals(entry)
    pool = [entry.inputs() for _ in range(POOL)]
    items = (
        pool[0]["labels"].numel() if entry.contest.labels is not classes else entry.rows * entry.n
    )
    times: list[float] = []
    ratios: dict[str, list[float]] = {name: [] for name in others}
    began, rounds = time.perf_counter(), 0.0
    for lists in itertools.cycle(pool):
        times.append(seconds(functools.partial(ours, lists)))
        for name, other in others.items():
            their = seconds(functools.partial(other, lists))
            ratios[name].append(times[-1] / their if name == "spearman" else their / times[-1])
        if len(times) == 1:  # it warms up, and compiles
            began = time.perf_counter()
        elif len(times) == 2:
            rounds = max(3, min(most_rounds, LINE_SECONDS / (time.perf_counter() - began)))
        elif len(times) > rounds:
            break
    with_memory = {"ours": ours} | {k: others[k] for k in ("plain", "peer") if k in others}
    memory: dict[str, float | None] = {}
    for name, call in with_memory.items():
        peak = peak_memory(functools.partial(call, pool[0]))
        memory[name] = None if peak is None else peak / items
    return Line(
        entry,
        len(times) - 1,
        statistics.median(times[1:]) / items * 1e9,
        {name: Ratio.of(values[1:]) for name, values in ratios.items()},
        memory,
        error(entry, pool[0]) if entry.has_plain() else None,
    )


def entries() -> list[Entry]:
    chosen = []
    for name, contest in CONTESTS.items():
        chosen += [Entry(name, rows, n) for rows, n in SHAPES if n <= contest.longest]
        chosen += [Entry(name, 256, 256, ragged=True)] if contest.ragged else []
    return chosen + [Entry("smooth_ap_loss", 1, n) for n in BATCHES]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--entries", default="", help="those whose name this regex finds")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    every = entries()
    chosen = [entry for entry in every if re.search(arguments.entries, str(entry))]
    print(f"torch {torch.__version__}, {cpu_model()}, one thread, forward + backward")
    headings = " ".join(f"{heading:>16}" for heading in (*RATIOS.values(), "bytes"))
    print(f"{'':48} {'ns':>9} {headings} error")
    lines = []
    for entry in chosen:
        lines.append(measure(entry, arguments.rounds))
        print(lines[-1], flush=True)
    target = arguments.json or (RESULTS if chosen == every else None)
    if target is not None:
        record = {"environment": environment(), "lines": [asdict(line) for line in lines]}
        target.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
