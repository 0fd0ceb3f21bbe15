"""What a soft rank costs on a CPU, beside torch.sort, torch.sigmoid and the pairwise sum in torch.

    python benchmarks/cpu.py [--quick] [--entries REGEX] [--json FILE] [--no-plots | --only-plots]

Every line has a time an item with the quartiles of its rounds, the error, and the ratios to the
others over the same tensors. A round times everything once, one after the other, so that a slow
moment of the machine falls on all; a ratio is the median over rounds of the ratios inside a round.
Four random tensors take turns, or the processor would learn the one. One thread, standard normal
float32 and the sigmoid where a line says nothing else. A full run writes results/cpu.json and
docs/pictures/cpu_time.png, which needs matplotlib; the tables at its end are Markdown.

The error is that against pairwise sums in float64 at a sample of items: of a rank, or of a loss,
the absolute one; of a gradient, in units of α/(n-1) · max|g - mean g| · max_k Σ_j F'(α(x_k - x_j)).
"""

import argparse
import importlib.util
import itertools
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from timeit import Timer

import torch
from environment import INSTRUCTION_SET, environment
from plot_cpu import HEADING, Entry, Results, Spread, draw, tables
from sampled_errors import rank_errors, spearman_loss_error
from torch import Tensor

import rank_relax  # noqa: F401  # registers torch.ops.rank_relax

REPOSITORY = Path(__file__).resolve().parent.parent
RESULTS = REPOSITORY / "benchmarks" / "results" / "cpu.json"
PICTURE = REPOSITORY / "docs" / "pictures" / "cpu_time.png"

POOL = 4  # tensors that take turns: more would leave the cache, which flatters the ratios
BLOCK_SECONDS = 0.005  # what is timed at once takes about that long, or is one call
PAIRWISE_ITEMS = 2000  # the longest rows that are also ranked by an n x n table
PAIRWISE_PAIRS = 2**20  # and the rows of the sample, so few that its tables stay in the cache
BATCH_ITEMS = 2**17  # short rows are batched to so many items

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Operation:
    """One use of the library."""

    operator: str = "soft_rank"  # or spearman_loss
    backward: bool = False  # whether the gradient is taken as well
    strength: float = 1.0
    method: str = "sigmoid"
    threads: int = 1

    def __str__(self) -> str:
        parts = [self.operator, "forward+backward" if self.backward else "forward"]
        parts += [f"alpha={self.strength:g}"]
        parts += [self.method] if self.method != "sigmoid" else []
        parts += [f"{self.threads} threads"] if self.threads != 1 else []
        return " ".join(parts)


@dataclass(frozen=True)
class Setting:
    """Operations over the same tensors, which are timed in turns."""

    group: str
    shape: Shape
    operations: tuple[Operation, ...]
    distribution: str = "normal"
    dtype: torch.dtype = torch.float32
    instruction_set: str | None = None  # what the library must have been loaded with, if not None
    quick: bool = False  # also part of a --quick run

    def __str__(self) -> str:
        parts = [self.group, *([self.instruction_set] if self.instruction_set else [])]
        parts += ["x".join(map(str, self.shape))]
        parts += [self.distribution] if self.distribution != "normal" else []
        parts += ["float64"] if self.dtype == torch.float64 else []
        return " ".join(parts)


def forward_and_backward(*strengths: float, method: str = "sigmoid") -> tuple[Operation, ...]:
    return tuple(
        Operation(backward=backward, strength=strength, method=method)
        for strength in strengths
        for backward in (False, True)
    )


# The shapes and strengths that have an aim: forward, and with backward, in multiples of
# torch.sigmoid over the same tensor.
AIMS: dict[tuple[Shape, float], tuple[float, float]] = {
    ((1_000_000,), 1.0): (3.0, 8.0),
    ((1_000_000,), 100.0): (6.5, 16.0),
    ((10_000,), 1.0): (3.5, 8.5),
    ((128, 1000), 1.0): (6.5, 17.0),
    ((4096, 64), 1.0): (5.0, 15.0),
}

# Each makes inputs out of standard normal ones; rows lie along the last dimension.
DISTRIBUTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "normal": lambda x: x,
    "outlier": lambda x: x.scatter(-1, torch.randint(x.size(-1), (*x.shape[:-1], 1)), 1e30),
    "geometric": lambda x: (
        10 ** torch.linspace(-30, 30, x.size(-1), dtype=x.dtype)[torch.rand_like(x).argsort(-1)]
    ),
    "clusters": lambda x: x + torch.where(torch.rand_like(x) < 0.5, 1e4, -1e4),
    "constant": lambda x: x[..., :1].repeat(*[1] * (x.dim() - 1), x.size(-1)),
    "infinities": lambda x: torch.where(
        torch.rand_like(x) < 0.5, x.new_tensor(torch.inf).copysign(x), x
    ),
    "presorted": lambda x: x.sort(-1).values,
    "reversed": lambda x: x.sort(-1, descending=True).values,
    "density-1": lambda x: torch.rand_like(x) * x.size(-1),
    "density-5": lambda x: torch.rand_like(x) * (x.size(-1) / 5),
    "density-20": lambda x: torch.rand_like(x) * (x.size(-1) / 20),
    "ties": lambda x: x.round(),
    "relu": lambda x: x.relu(),
    "cauchy": lambda x: torch.empty_like(x).cauchy_(),
}


def figures(group: str, instruction_set: str | None = None) -> Iterator[Setting]:
    for shape in dict.fromkeys(shape for shape, _ in AIMS):
        operations = forward_and_backward(*(alpha for other, alpha in AIMS if other == shape))
        quick = math.prod(shape) < 200_000
        yield Setting(group, shape, operations, quick=quick, instruction_set=instruction_set)


def lengths_and_strengths() -> Iterator[Setting]:
    """Short lists and sharp strengths too, as ranking losses are trained at."""
    for shape in ((4096, 16), (4096, 64), (512, 200), (128, 1000), (10_000,)):
        operations = tuple(
            operation
            for alpha in (1, 10, 100, 1000)
            for operation in (
                *forward_and_backward(alpha),
                Operation("spearman_loss", backward=True, strength=alpha),
            )
        )
        yield Setting("grid", shape, operations)


def sweep() -> Iterator[Setting]:
    """Rows of every length: the picture. Every third length has everything."""
    sigmoid = forward_and_backward(1, 100)
    everything = sigmoid + forward_and_backward(1, 100, method="gaussian")
    for exponent in range(4, 23):
        shape = (max(1, BATCH_ITEMS >> exponent), 1 << exponent)
        if exponent % 3 != 1:
            yield Setting("sweep", shape, sigmoid)
        else:
            yield Setting("sweep", shape, everything, quick=exponent <= 10)
            yield Setting("sweep", shape, everything, dtype=torch.float64)


def nasty_inputs() -> Iterator[Setting]:
    for shape in ((128, 1000), (100_000,), (1_000_000,)):
        for distribution in DISTRIBUTIONS:
            strength = 1e6 if distribution == "normal" else 1.0
            quick = shape == (128, 1000) and distribution in ("geometric", "infinities", "ties")
            operations = (Operation(strength=strength),)
            yield Setting("nasty", shape, operations, distribution, quick=quick)


def spearman() -> Iterator[Setting]:
    """The loss beside a soft rank, and what calls cost by themselves."""
    operations = (Operation(), Operation("spearman_loss", backward=True))
    for shape in ((128, 1000), (1, 2)):
        yield Setting("spearman", shape, operations, quick=True)


def threads() -> Setting:
    single = forward_and_backward(1, 100)
    double = tuple(replace(operation, threads=2) for operation in single)
    return Setting("threads", (1_000_000,), single + double)


def supported_instruction_sets() -> list[str]:
    names = {"DEFAULT": 0, "AVX2": 1, "AVX512": 2}
    last = names.get(torch.backends.cpu.get_cpu_capability(), 0)
    return ["baseline", "avx2", "avx512"][: last + 1]


def registry() -> list[Setting]:
    sets = supported_instruction_sets()
    return [
        *figures("figures"),
        *spearman(),
        threads(),
        *nasty_inputs(),
        *lengths_and_strengths(),
        *sweep(),
        *itertools.chain.from_iterable(figures("instructions", name) for name in sets),
    ]


def chosen(settings: Iterable[Setting], pattern: str, quick: bool) -> list[Setting]:
    """The settings with those operations whose entry's name the pattern is found in."""
    result = []
    for setting in settings:
        kept = tuple(o for o in setting.operations if re.search(pattern, f"{setting} {o}"))
        if kept and (setting.quick or not quick):
            result.append(replace(setting, operations=kept))
    return result


@dataclass
class Data:
    """The tensors of a setting: what is ranked, and cotangents of ranks or targets of a loss."""

    inputs: list[Tensor]
    others: list[Tensor]

    @classmethod
    def of(cls, setting: Setting) -> "Data":
        torch.manual_seed(0)
        distribution = DISTRIBUTIONS[setting.distribution]

        def normals() -> Tensor:
            return torch.randn(setting.shape, dtype=setting.dtype)

        inputs = [distribution(normals()) for _ in range(POOL)]
        return cls(inputs, [normals() for _ in inputs])


@dataclass
class Contender:
    """Something to time. Those with the same key are the same thing."""

    key: str
    run: Callable[[], object]
    items: int
    threads: int = 1

    def timed(self, calls: int) -> float:
        """Nanoseconds an item."""
        torch.set_num_threads(self.threads)
        self.run()  # else it would pay for the caches and the heap that another one has left
        return Timer(self.run).timeit(calls) / (calls * self.items) * 1e9


def in_turns(function: Callable[..., object], *pools: Sequence[Tensor]) -> Callable[[], object]:
    """The function of the first tensor of every pool, then of the second, and so on, for ever."""
    turns = itertools.cycle(zip(*pools, strict=True))
    return lambda: function(*next(turns))


def with_gradient(
    function: Callable[[Tensor], Tensor], inputs: Sequence[Tensor], cotangents: Sequence[Tensor]
) -> Callable[[], object]:
    leaves = [x.detach().requires_grad_() for x in inputs]
    return in_turns(lambda x, g: torch.autograd.grad(function(x), x, g), leaves, cotangents)


def ranks_of(operation: Operation) -> Callable[[Tensor], Tensor]:
    soft_rank, strength = torch.ops.rank_relax.soft_rank, operation.strength
    return lambda x: soft_rank(x, strength, operation.method, None)


def loss_of(operation: Operation) -> Callable[[Tensor, Tensor], Tensor]:
    loss, strength = torch.ops.rank_relax.spearman_loss, operation.strength
    setting = strength, operation.method, None, "soft"
    return lambda predictions, targets: loss(predictions, targets, *setting)


def ours(operation: Operation, data: Data) -> Contender:
    if operation.operator == "spearman_loss":
        loss = loss_of(operation)
        leaves = [x.detach().requires_grad_() for x in data.inputs]
        run = in_turns(lambda p, t: torch.autograd.grad(loss(p, t).sum(), p), leaves, data.others)
    elif operation.backward:
        run = with_gradient(ranks_of(operation), data.inputs, data.others)
    else:
        run = in_turns(ranks_of(operation), data.inputs)
    return Contender(str(operation), run, data.inputs[0].numel(), operation.threads)


def pairwise(operation: Operation, data: Data) -> Contender:
    """Soft ranks in plain torch, by a table of n x n for each of a few rows."""
    strength, n = operation.strength, data.inputs[0].size(-1)
    cdfs: dict[str, Callable[[Tensor], Tensor]] = {
        "sigmoid": torch.sigmoid,
        "gaussian": torch.special.ndtr,
    }
    cdf = cdfs[operation.method]

    def ranks(x: Tensor) -> Tensor:
        return (cdf(strength * (x[:, :, None] - x[:, None, :])).sum(-1) - 0.5) / (n - 1)

    count = max(1, PAIRWISE_PAIRS // n**2)
    inputs, others = ([x.reshape(-1, n)[:count] for x in xs] for xs in (data.inputs, data.others))
    backward = operation.backward
    run = with_gradient(ranks, inputs, others) if backward else in_turns(ranks, inputs)
    return Contender(f"pairwise {replace(operation, threads=1)}", run, inputs[0].numel())


def rivals(setting: Setting, operation: Operation, data: Data) -> dict[str, Contender]:
    """What an operation is compared with."""
    items, threads = data.inputs[0].numel(), operation.threads

    def plain(function: Callable[[Tensor], object], name: str, pool: list[Tensor]) -> Contender:
        return Contender(f"{name} {threads}", in_turns(function, pool), items, threads)

    table = {
        "torch.sort": plain(sort_rows, "torch.sort", data.inputs),
        "torch.sigmoid": plain(torch.sigmoid, "torch.sigmoid", data.inputs),
    }
    if operation.operator == "soft_rank" and setting.shape[-1] <= PAIRWISE_ITEMS and threads == 1:
        table["pairwise"] = pairwise(operation, data)
    if setting.group == "nasty":
        shuffled = [x[..., torch.randperm(x.size(-1))] for x in data.inputs]
        table["torch.sort, shuffled"] = plain(sort_rows, "torch.sort, shuffled", shuffled)
    if threads > 1:
        table["one thread"] = ours(replace(operation, threads=1), data)
    if operation.operator != "soft_rank":
        table["soft_rank"] = ours(Operation(), data)
    return table


def sort_rows(x: Tensor) -> object:
    return torch.sort(x, -1)


def interleaved(contenders: Iterable[Contender], seconds: float) -> dict[str, list[float]]:
    """Nanoseconds an item in every round, by key; the rounds take so long, but are five or more."""
    everyone = {contender.key: contender for contender in contenders}
    durations = {}
    for key, contender in everyone.items():
        durations[key] = contender.timed(1) * contender.items / 1e9
    calls = {key: math.ceil(BLOCK_SECONDS / duration) for key, duration in durations.items()}
    once = sum((calls[key] + 1) * duration for key, duration in durations.items())
    rounds = max(5, min(41, math.ceil(seconds / once)))
    times: dict[str, list[float]] = {key: [] for key in everyone}
    for _ in range(rounds):
        for key, contender in everyone.items():
            times[key].append(contender.timed(calls[key]))
    return times


def rank_and_gradient_errors(operation: Operation, data: Data) -> tuple[float, float]:
    """The second is NaN where there is no gradient to take."""
    torch.set_num_threads(operation.threads)
    leaf, cotangent = data.inputs[0].detach().requires_grad_(operation.backward), data.others[0]
    ranks = ranks_of(operation)(leaf)
    gradient = torch.full_like(cotangent, torch.nan)
    if operation.backward:
        (gradient,) = torch.autograd.grad(ranks, leaf, cotangent)
    torch.set_num_threads(1)  # more would wait for one another at every small block
    return rank_errors(leaf, ranks, cotangent, gradient, operation.strength, operation.method)


def loss_error(operation: Operation, data: Data) -> float:
    arguments = data.inputs[0], data.others[0]
    losses = loss_of(operation)(*arguments)
    return spearman_loss_error(losses, *arguments, operation.strength, operation.method)


def errors(operations: Sequence[Operation], data: Data) -> dict[Operation, float]:
    """Of every operation; a gradient's also tells that of the ranks it belongs to."""
    found: dict[Operation, float] = {}
    for operation in sorted(operations, key=lambda operation: not operation.backward):
        if operation.operator == "spearman_loss":
            found[operation] = loss_error(operation, data)
        elif operation not in found:
            of_ranks, of_gradient = rank_and_gradient_errors(operation, data)
            found[replace(operation, backward=False)] = of_ranks
            if operation.backward:
                found[operation] = of_gradient
    return found


def measure(setting: Setting, seconds: float) -> Iterator[Entry]:
    data = Data.of(setting)
    contenders = {operation: ours(operation, data) for operation in setting.operations}
    compared = {operation: rivals(setting, operation, data) for operation in setting.operations}
    others = itertools.chain.from_iterable(table.values() for table in compared.values())
    times = interleaved([*contenders.values(), *others], seconds)
    error = errors(setting.operations, data)
    aims_of = AIMS if setting.group in ("figures", "instructions") else {}
    for operation, contender in contenders.items():
        own = times[contender.key]
        theirs = {name: times[rival.key] for name, rival in compared[operation].items()}
        aims = aims_of.get((setting.shape, operation.strength), (None, None))
        yield Entry(
            name=f"{setting} {operation}",
            group=setting.group,
            instruction_set=setting.instruction_set,
            shape=list(setting.shape),
            dtype=str(setting.dtype).removeprefix("torch."),
            distribution=setting.distribution,
            **asdict(operation),
            rounds=len(own),
            error=error[operation],
            aim=aims[operation.backward],
            nanoseconds=Spread.of(own),
            rivals={name: Spread.of(values) for name, values in theirs.items()},
            ratios={
                name: Spread.of([mine / other for mine, other in zip(own, values, strict=True)])
                for name, values in theirs.items()
            },
        )


def measure_all(settings: Sequence[Setting], seconds: float) -> list[Entry]:
    """All of these, each printed when it is known."""
    entries = []
    for setting in settings:
        for entry in measure(setting, seconds):
            print(entry.line(), flush=True)
            entries.append(entry)
    return entries


def measure_elsewhere(instruction_set: str, arguments: Sequence[str]) -> list[Entry]:
    """The entries of an instruction set, by a process whose library was loaded with it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "entries.json"
        command = [sys.executable, __file__, *arguments]
        command += ["--instruction-set", instruction_set, "--json", str(path)]
        environment = {**os.environ, INSTRUCTION_SET: instruction_set}
        if subprocess.run(command, env=environment).returncode:
            print(f"instructions {instruction_set}: could not be measured")
            return []
        return Results.read(path).entries


def run(arguments: argparse.Namespace) -> Results:
    """Everything asked for: what the library was loaded for here, the rest in other processes."""
    seconds = 0.3 if arguments.quick else 1.5
    settings = chosen(registry(), arguments.entries, arguments.quick)
    if not settings:
        sys.exit(f"no entry has {arguments.entries!r} in its name")
    here = [s for s in settings if s.instruction_set == arguments.instruction_set]
    results = Results(
        environment() | {"threads": "1 where an entry says nothing else"},
        measure_all(here, seconds),
    )
    if arguments.instruction_set is None:
        passed_on = ["--entries", arguments.entries, *(["--quick"] if arguments.quick else [])]
        for name in dict.fromkeys(s.instruction_set for s in settings if s.instruction_set):
            results.entries += measure_elsewhere(name, passed_on)
    return results


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a small part, in less than a minute")
    parser.add_argument("--entries", default="", metavar="REGEX", help="only entries named so")
    parser.add_argument(
        "--json", type=Path, help="written, or read; default of a full run: cpu.json"
    )
    parser.add_argument("--figure", type=Path, default=PICTURE, help="where the picture goes")
    plots = parser.add_mutually_exclusive_group()
    plots.add_argument("--no-plots", action="store_true", help="draw nothing")
    plots.add_argument("--only-plots", action="store_true", help="measure nothing: read the JSON")
    parser.add_argument("--instruction-set", help=argparse.SUPPRESS)  # measure_elsewhere's
    arguments = parser.parse_args()
    arguments.part = bool(arguments.quick or arguments.entries or arguments.instruction_set)
    arguments.no_plots = arguments.no_plots or (arguments.part and not arguments.only_plots)
    if arguments.json is None and (arguments.only_plots or not arguments.part):
        arguments.json = RESULTS
    if not arguments.no_plots and importlib.util.find_spec("matplotlib") is None:
        parser.error("the picture needs matplotlib: install it, or give --no-plots")
    if arguments.only_plots and not arguments.json.exists():
        parser.error(f"{arguments.json} is not there: run without --only-plots first")
    return arguments


def main() -> None:
    """Measures, prints, and writes what a full run or ``--json`` asks for."""
    arguments = parse_arguments()
    if arguments.only_plots:
        results = Results.read(arguments.json)
    else:
        if arguments.instruction_set is None:
            print(HEADING)
        results = run(arguments)
        if arguments.json:
            results.write(arguments.json)
    if arguments.instruction_set is None:
        print(tables(results.entries))
    if not arguments.no_plots:
        draw(results, arguments.figure)


if __name__ == "__main__":
    main()
