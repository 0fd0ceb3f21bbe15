"""What a soft rank costs on a GPU, beside torch.sort, a copy of as many bytes and the pairwise sum.

    python benchmarks/gpu.py [--quick] [--json FILE] [--no-plot]
    python benchmarks/gpu.py --only {ranks,losses,operators} --json FILE
    python benchmarks/gpu.py --merge FILE...

Every line has a time with the quartiles of its rounds, the error, and the ratios to the others over
the same tensors. A round times everything once, one after the other, so that a slow moment of the
device falls on all; a ratio is the median over rounds of the ratios inside a round. Times are those
between two CUDA events around calls, or around replays of a captured graph, so many that a block
takes milliseconds; what is a graph is compared with graphs of sort, copy and pairwise sum. Four
random tensors take turns. Parts that were measured apart, with --only, are put together by --merge.
Standard normal float32, in some lines with an outlier in every list, and
the sigmoid, but for the projections. A full run writes results/gpu.json and
docs/pictures/gpu_time.png, which needs matplotlib. torchsort, compiled for this torch and this
device, joins where it is installed.

Not cuda.py, which torch would import in the place of the package of that name.

The error is that against pairwise sums in float64 at a sample of items, as in benchmarks/cpu.py. Of
sorts, top-k masks and projections it is that against the CPU's in float64, over the largest result.
"""

import argparse
import itertools
import json
import math
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from environment import environment
from sampled_errors import rank_errors, spearman_loss_error
from torch import Tensor

from rank_relax import soft_rank, soft_sort, soft_topk, spearman_loss

try:
    import torchsort
    import torchsort.isotonic_cuda
except ImportError:
    torchsort = None

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "gpu.json"
PICTURE = REPOSITORY / "docs" / "pictures" / "gpu_time.png"

PARTS = ("ranks", "losses", "operators")
POOL = 4  # tensors that take turns
ROUNDS = 21
BLOCK_MILLISECONDS = 5.0
PAIRWISE_BYTES = 4 << 30  # the largest n x n table that plain torch is asked for

Shape = tuple[int, ...]
SHAPES: tuple[Shape, ...] = (
    (4096, 64),
    (4096, 1000),
    (65536, 200),
    (128, 10_000),
    (1, 100_000),
    (1, 1_000_000),
    (1, 10_000_000),
)
STRENGTHS = (1.0, 100.0)
OUTLIER = 6e4  # so far away that a list of a million items is too wide for a grid of boxes
OUTLIER_SHAPES: tuple[Shape, ...] = ((4096, 1000), (1, 1_000_000))
SHARP: tuple[tuple[Shape, float], ...] = (  # strengths at which lists are sorted to be ranked
    ((4096, 64), 1e4),
    ((128, 6000), 250.0),
    ((1, 100_000), 1000.0),
    ((1, 10_000_000), 1e6),
)
LOSS_SHAPES: tuple[Shape, ...] = ((128, 1000), (4096, 64), (65536, 200))
SORT_SHAPES: tuple[Shape, ...] = (
    (4096, 64),
    (4096, 1000),
    (65536, 200),
    (128, 10_000),
    (1, 1_000_000),
)


@dataclass(frozen=True)
class Operator:
    """One that is not a rank by a CDF, and what torchsort has for it."""

    name: str
    call: Callable[[Tensor, float], Tensor]
    of_torchsort: Callable[[Tensor], Tensor] | None = None
    strengths: tuple[float, ...] = (1.0,)


OPERATORS = (
    Operator("soft_sort", soft_sort, strengths=STRENGTHS),
    Operator("soft_topk", lambda x, a: soft_topk(x, x.size(-1) // 10, a), strengths=STRENGTHS),
    Operator(
        "soft_rank l2",
        lambda x, a: soft_rank(x, a, method="l2"),
        lambda x: torchsort.soft_rank(x, "l2"),
    ),
    Operator(
        "soft_rank kl",
        lambda x, a: soft_rank(x, a, method="kl"),
        lambda x: torchsort.soft_rank(x, "kl"),
    ),
    Operator(
        "soft_sort l2",
        lambda x, a: soft_sort(x, a, method="l2"),
        lambda x: torchsort.soft_sort(x, "l2"),
    ),
)


@dataclass
class Spread:
    """A median and the quartiles beside it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Entry:
    """A line of the results."""

    operation: str  # forward, forward+backward, spearman_loss, .., and "graph" of what is replayed
    shape: Shape
    strength: float
    error: float
    microseconds: Spread
    rivals: dict[str, Spread]  # their microseconds
    ratios: dict[str, Spread]  # ours divided by theirs

    def line(self) -> str:
        shape = "x".join(map(str, self.shape))
        time = self.microseconds
        ratios = "".join(f"  {s.median:8.3g} / {name}" for name, s in self.ratios.items())
        return (
            f"{self.operation:26} {shape:>12} alpha={self.strength:<4g} {time.median:10.1f} us "
            f"[{time.low:.1f}, {time.high:.1f}]  error {self.error:.1e}{ratios}"
        )


Call = Callable[[], object]
GRAPH = " graph"  # behind the name of what is replayed


def in_turns(function: Callable[..., object], *pools: list[Tensor]) -> Call:
    """The function of the first tensor of every pool, then of the second, and so on, for ever."""
    turns = itertools.cycle(zip(*pools, strict=True))
    return lambda: function(*next(turns))


def captured(function: Callable[..., object], *pools: list[Tensor]) -> Call:
    """The same, as replays of a graph of all of them, one after the other, in turns."""
    graphs = []
    for arguments in zip(*pools, strict=True):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            function(*arguments)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            function(*arguments)
        graphs.append(graph)
    turns = itertools.cycle(graphs)
    return lambda: next(turns).replay()


def milliseconds(call: Call, calls: int) -> float:
    """Of one call, when so many are enqueued one after the other."""
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(calls):
        call()
    end.record()
    end.synchronize()
    return begin.elapsed_time(end) / calls


def interleaved(calls: dict[str, Call]) -> dict[str, list[float]]:
    """Microseconds a call in every round."""
    counts = {}
    for name, call in calls.items():
        milliseconds(call, 2 * POOL)  # caches, tables and the allocator's blocks
        counts[name] = max(1, math.ceil(BLOCK_MILLISECONDS / milliseconds(call, POOL)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(1e3 * milliseconds(call, counts[name]))
    return times


def pairwise_rank(x: Tensor, strength: float) -> Tensor:
    table = torch.sigmoid(strength * (x[:, :, None] - x[:, None, :]))
    return (table.sum(-1) - 0.5) / (x.size(-1) - 1)


def both_ways(name: str, function: Callable[..., object], *pools: list[Tensor]) -> dict[str, Call]:
    """As calls, and as replays of a graph."""
    return {name: in_turns(function, *pools), name + GRAPH: captured(function, *pools)}


def hard_rivals(inputs: list[Tensor]) -> dict[str, Call]:
    outputs = [torch.empty_like(x) for x in inputs]
    sort = both_ways("sort", lambda x: torch.sort(x, -1), inputs)
    return sort | both_ways("copy", lambda x, y: y.copy_(x), inputs, outputs)


def rivals(inputs: list[Tensor], strength: float) -> dict[str, Call]:
    table = hard_rivals(inputs)
    rows, n = inputs[0].shape
    if rows * n * n * 4 <= PAIRWISE_BYTES:
        table |= both_ways("pairwise", lambda x: pairwise_rank(x, strength), inputs)
    return table


def entries_of(
    calls: dict[str, Call],
    errors: dict[str, float],
    shape: Shape,
    strength: float,
    others: dict[str, Call],
) -> Iterator[Entry]:
    times = interleaved({**calls, **others})
    for name in calls:
        own = times[name]
        # Those that are timed in the same way, under their names alone.
        is_graph = name.endswith(GRAPH)
        theirs = {
            other.removesuffix(GRAPH): times[other]
            for other in others
            if other.endswith(GRAPH) == is_graph
        }
        yield Entry(
            operation=name,
            shape=shape,
            strength=strength,
            error=errors[name.removesuffix(GRAPH)],
            microseconds=Spread.of(own),
            rivals={other: Spread.of(of_other) for other, of_other in theirs.items()},
            ratios={
                other: Spread.of([a / b for a, b in zip(own, of_other, strict=True)])
                for other, of_other in theirs.items()
            },
        )


def with_gradient(function: Callable[[Tensor], Tensor]) -> Callable[..., list[Tensor]]:
    """Of the input and the gradient of the result: the result and the gradient of the input."""

    def both(x: Tensor, g: Tensor) -> list[Tensor]:
        output = function(x)
        return [output.detach(), torch.autograd.grad(output, x, g)[0]]

    return both


def measure_ranks(shape: Shape, strength: float, outlier: bool = False) -> Iterator[Entry]:
    inputs = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    if outlier:
        for x in inputs:
            x[:, 0] = OUTLIER
    cotangents = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    leaves = [x.clone().requires_grad_() for x in inputs]

    def forward(x: Tensor) -> Tensor:
        return soft_rank(x, strength)

    both = with_gradient(forward)
    ranks, gradient = both(leaves[0], cotangents[0])
    x, r, c, g = (tensor.cpu() for tensor in (inputs[0], ranks, cotangents[0], gradient))
    of_ranks, of_gradient = rank_errors(x, r, c, g, strength, "sigmoid")
    names = [name + (", outlier" if outlier else "") for name in ("forward", "forward+backward")]
    calls = both_ways(names[0], forward, inputs) | both_ways(names[1], both, leaves, cotangents)
    errors = dict(zip(names, (of_ranks, of_gradient), strict=True))
    yield from entries_of(calls, errors, shape, strength, rivals(inputs, strength))


def measure_loss(shape: Shape, strength: float) -> Iterator[Entry]:
    inputs = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    targets = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    leaves = [x.clone().requires_grad_() for x in inputs]

    def both(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        loss = spearman_loss(x, y, strength, target_ranks="soft")
        return loss, torch.autograd.grad(loss, x)[0]

    losses = spearman_loss(inputs[0], targets[0], strength, reduction="none", target_ranks="soft")
    x, y = inputs[0].cpu(), targets[0].cpu()
    error = spearman_loss_error(losses.cpu(), x, y, strength, "sigmoid")
    name = "spearman_loss"
    calls = both_ways(name, both, leaves, targets)
    yield from entries_of(calls, {name: error}, shape, strength, rivals(inputs, strength))


def measure_operator(operator: Operator, shape: Shape, strength: float) -> Iterator[Entry]:
    inputs = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    cotangents = [torch.randn(shape, device="cuda") for _ in range(POOL)]
    leaves = [x.clone().requires_grad_() for x in inputs]

    def forward(x: Tensor) -> Tensor:
        return operator.call(x, strength)

    both = with_gradient(forward)
    results = both(leaves[0], cotangents[0])
    exact = both(inputs[0].cpu().double().requires_grad_(), cotangents[0].cpu().double())
    errors = [
        float((result.cpu() - other).abs().max() / other.abs().max())
        for result, other in zip(results, exact, strict=True)
    ]
    name, theirs = operator.name, operator.of_torchsort if torchsort else None
    directions = (
        (name, forward, theirs, errors[0], [inputs]),
        (
            f"{name}+backward",
            both,
            theirs and with_gradient(theirs),
            errors[1],
            [leaves, cotangents],
        ),
    )
    for label, ours, of_torchsort, error, pools in directions:
        calls = both_ways(label, ours, *pools)
        others = hard_rivals(inputs)
        if of_torchsort is not None:  # not as a graph: it launches on the default stream
            others["torchsort"] = in_turns(of_torchsort, *pools)
        yield from entries_of(calls, {label: error}, shape, strength, others)


def surroundings() -> dict[str, str | None]:
    describe = ["git", "describe", "--always", "--dirty"]
    commit = "unknown"
    if shutil.which("git") is not None:
        described = subprocess.run(describe, cwd=REPOSITORY, text=True, capture_output=True)
        commit = described.stdout.strip() or commit
    return environment() | {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name(),
        "commit": commit,
        "cuda": torch.version.cuda,
        "torchsort": metadata.version("torchsort") if torchsort else None,
    }


def draw(results: dict[str, Any], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4.5), layout="constrained")
    graphs = tuple(name + GRAPH for name in ("forward", "forward+backward"))
    chosen = [e for e in read_entries(results) if e.operation in graphs]
    names = ["x".join(map(str, shape)) for shape in SHAPES]
    for operation, strength in itertools.product(graphs, STRENGTHS):
        by_shape = {
            e.shape: e.microseconds.median
            for e in chosen
            if (e.operation, e.strength) == (operation, strength)
        }
        times = [by_shape.get(shape, math.nan) for shape in SHAPES]
        axes.plot(names, times, "o-", label=f"{operation.removesuffix(GRAPH)}, α = {strength:g}")
    for rival in ("sort", "copy"):
        by_shape = {e.shape: e.rivals[rival].median for e in chosen}
        times = [by_shape.get(shape, math.nan) for shape in SHAPES]
        axes.plot(names, times, "--", color="gray" if rival == "copy" else "black", label=rival)
    axes.set(yscale="log", ylabel="µs", title=results["device"])
    axes.legend()
    figure.savefig(path, dpi=120)


def read_entries(results: dict[str, Any]) -> list[Entry]:
    def spreads(of: dict[str, Any]) -> dict[str, Spread]:
        return {name: Spread(**spread) for name, spread in of.items()}

    return [
        Entry(
            **entry
            | {
                "shape": tuple(entry["shape"]),
                "microseconds": Spread(**entry["microseconds"]),
                "rivals": spreads(entry["rivals"]),
                "ratios": spreads(entry["ratios"]),
            }
        )
        for entry in results["entries"]
    ]


def merge(files: list[Path], to: Path) -> None:
    """The entries of all files, which were written beside the same software and device."""
    all_results = [json.loads(file.read_text()) for file in files]
    first = all_results[0]
    for results in all_results:
        for name in first.keys() - {"entries", "date"}:
            if results[name] != first[name]:
                sys.exit(f"{name} is {first[name]} and {results[name]}: not the same surroundings")
    entries = [entry for results in all_results for entry in results["entries"]]
    write_results(first, entries, to)


def write_results(where: Mapping[str, Any], entries: list[dict[str, Any]], to: Path) -> None:
    results = {**where, "entries": entries}
    to.write_text(json.dumps(results, indent=1) + "\n")


def measurements(part: str, wanted: Callable[[Shape], bool]) -> Iterator[Entry]:
    if part == "ranks":
        for shape in filter(wanted, SHAPES):
            for strength in STRENGTHS:
                yield from measure_ranks(shape, strength)
        for shape, strength in SHARP:
            if wanted(shape):
                yield from measure_ranks(shape, strength)
        for shape in filter(wanted, OUTLIER_SHAPES):
            yield from measure_ranks(shape, 1.0, outlier=True)
    elif part == "losses":
        for shape in filter(wanted, LOSS_SHAPES):
            for strength in STRENGTHS:
                yield from measure_loss(shape, strength)
    else:
        for operator in OPERATORS:
            for shape in filter(wanted, SORT_SHAPES):
                for strength in operator.strengths:
                    yield from measure_operator(operator, shape, strength)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="short rows only, and write nothing")
    parser.add_argument("--only", choices=PARTS, help="this part alone, and no picture")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="FILE", help="measure nothing")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--no-plot", action="store_true")
    arguments = parser.parse_args()
    if arguments.only and not arguments.quick and arguments.json == RESULTS:
        parser.error("--only needs --json FILE: results/gpu.json is of all parts")
    if arguments.merge:
        merge(arguments.merge, arguments.json)
    elif torch.cuda.is_available():
        measure(arguments)
    else:
        sys.exit("benchmarks/gpu.py needs a GPU")
    if not (arguments.quick or arguments.only or arguments.no_plot):
        draw(json.loads(arguments.json.read_text()), PICTURE)


def measure(arguments: argparse.Namespace) -> None:
    torch.manual_seed(0)
    entries: list[Entry] = []

    def wanted(shape: Shape) -> bool:
        return not arguments.quick or math.prod(shape) < 1_000_000

    where = surroundings()
    for part in [arguments.only] if arguments.only else PARTS:
        for entry in measurements(part, wanted):
            print(entry.line(), flush=True)
            entries.append(entry)
            if not arguments.quick:  # at once: what was measured stays, whatever comes
                write_results(where, list(map(asdict, entries)), arguments.json)


if __name__ == "__main__":
    main()
