"""What soft sorts, quantiles and top-k masks cost on a CPU; one thread, float32, N(0,1).

    python benchmarks/sorting.py [--rounds 15] [--entries REGEX] [--json FILE]

Every line is an operator, forward or forward and backward, beside what torch has for the hard
result over the same tensors (torch.sort, torch.quantile, torch.topk), and beside the same soft
result in plain torch where its table of n x n, or of n a level, fits: 40 halvings and a step of
Newton's method, differentiable once. Every round times everything once, so that a slow moment of
the machine falls on all; a ratio is the median over rounds of the ratios inside a round, with half
of the rounds within the ± beside it. Four random tensors take turns. Sorts are also measured of
lists of many equal items.

The error of a sorted value or a quantile is in units of (largest |y| 2e-7 + 1e-7/α), the bound that
is stated for them: below 1. Found from the logarithms of both sides of the equation in float64 at a
sample of places, over their slope. That of a mask is the largest |Σ mask - k| of a list, over k.
That of a gradient is the largest error against the formula with weights F'/Σ F' in float64, at a
sample of items, over the largest element; for a sort, with the points and sums of the library in
float64. A full run writes results/sorting.json.
"""

import argparse
import itertools
import json
import re
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

import torch
from environment import environment
from torch import Tensor

import rank_relax  # noqa: F401  # registers torch.ops.rank_relax

RESULTS = Path(__file__).resolve().parent / "results" / "sorting.json"
OPS = torch.ops.rank_relax
BLOCK_SECONDS = 0.01  # what is timed at once takes about that long, or is one call
POOL = 4  # tensors that take turns, or the processor would learn the one
PLAIN_PAIRS = 2**22  # the largest table of plain torch
PLACES = 200  # in a sample
QUANTILES = (0.1, 0.5, 0.9)

Shape = tuple[int, int]
SHAPES: tuple[Shape, ...] = (
    (1, 1_000_000),
    (1, 10_000),
    (128, 1000),
    (512, 200),
    (4096, 64),
    (4096, 16),
)
STRENGTHS = (1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True)
class Operation:
    """One use of the library at one shape and strength."""

    operator: str  # soft_sort, soft_quantile or soft_topk
    backward: bool
    shape: Shape
    strength: float
    stars: bool = False  # whole numbers from 1 to 5 in place of N(0,1)

    def __str__(self) -> str:
        rows, n = self.shape
        direction = "forward+backward" if self.backward else "forward"
        of = " stars" if self.stars else ""
        return f"{self.operator} {direction} {rows}x{n} alpha={self.strength:g}{of}"

    def values(self) -> Tensor:
        if self.stars:
            return torch.randint(1, 6, self.shape).float()
        return torch.randn(self.shape)

    def k(self) -> int:
        return self.shape[1] // 10

    def __call__(self, x: Tensor) -> Tensor:
        output: Tensor
        if self.operator == "soft_sort":
            output = OPS.soft_sort(x, self.strength)
        elif self.operator == "soft_quantile":
            output = OPS.soft_quantile(x, torch.tensor(QUANTILES), self.strength)
        else:
            output = OPS.soft_topk(x, torch.tensor(self.k()), self.strength)
        return output

    def hard(self, x: Tensor) -> object:
        """What torch has."""
        if self.operator == "soft_sort":
            return torch.sort(x, -1)
        if self.operator == "soft_quantile":
            return torch.quantile(x, torch.tensor(QUANTILES), -1)
        return torch.topk(x, self.k(), -1)

    def levels(self) -> Tensor:
        """Of the points that are found, in float64."""
        n = self.shape[1]
        if self.operator == "soft_sort":
            return torch.arange(n, dtype=torch.float64) + 0.5
        if self.operator == "soft_quantile":
            return torch.tensor(QUANTILES).double() * (n - 1) + 0.5  # shares of float32
        return torch.tensor([n - self.k()], dtype=torch.float64)

    def plain(self, x: Tensor) -> Tensor:
        """The same in plain torch, by a table of all items beside all levels."""
        points = plain_points(x, self.levels().to(x.dtype), self.strength)
        if self.operator == "soft_topk":
            return torch.sigmoid(self.strength * (x - points))
        return points

    def has_plain(self) -> bool:
        rows, n = self.shape
        return rows * n * len(self.levels()) <= PLAIN_PAIRS


def plain_points(x: Tensor, levels: Tensor, strength: float) -> Tensor:
    def count(y: Tensor, x: Tensor) -> Tensor:
        return torch.sigmoid(strength * (y[..., :, None] - x[..., None, :])).sum(-1)

    with torch.no_grad():
        margin = (torch.logit(levels / x.size(-1)).abs() + 1) / strength
        lower, upper = x.amin(-1, keepdim=True) - margin, x.amax(-1, keepdim=True) + margin
        for _ in range(40):
            middle = (lower + upper) / 2
            is_above = count(middle, x) > levels
            lower, upper = (
                torch.where(is_above, lower, middle),
                torch.where(is_above, middle, upper),
            )
        share = torch.sigmoid(strength * (middle[..., :, None] - x[..., None, :]))
        slope = strength * (share * (1 - share)).sum(-1)
    return middle - (count(middle, x) - levels) / slope


def operations() -> list[Operation]:
    return [
        Operation(operator, backward, shape, strength)
        for operator in ("soft_sort", "soft_topk", "soft_quantile")
        for shape, strength in itertools.product(SHAPES, STRENGTHS)
        for backward in (False, True)
    ] + [
        Operation("soft_sort", backward, (128, 1000), 100.0, stars=True)
        for backward in (False, True)
    ]


@dataclass(frozen=True)
class Line:
    """Times are nanoseconds an item; None where there is nothing to compare with."""

    operation: Operation
    time: float
    hard_time: float
    hard_ratio: float
    hard_ratio_spread: float
    plain_time: float | None
    plain_ratio: float | None
    error: float

    def __str__(self) -> str:
        plain = "" if self.plain_ratio is None else f"{self.plain_ratio:8.1f}"
        return (
            f"{self.operation!s:52} {self.time:8.1f} ns {self.hard_time:8.1f} "
            f"{self.hard_ratio:7.2f} ± {self.hard_ratio_spread:4.2f} {plain:8}   {self.error:.1e}"
        )


def call(operation: Callable[[Tensor], Tensor], backward: bool, x: Tensor, g: Tensor) -> None:
    if not backward:
        operation(x)
        return
    leaf = x.detach().requires_grad_()
    torch.autograd.grad(operation(leaf), leaf, g)


def density(d: Tensor) -> Tensor:
    return torch.sigmoid(d) * torch.sigmoid(-d)


def value_error(operation: Operation, x: Tensor) -> float:
    """Of the first list, as the first lines of this file say."""
    output = operation(x)[0].double()
    if operation.operator == "soft_topk":
        return abs(float(output.sum()) - operation.k()) / operation.k()
    levels, alpha = operation.levels(), operation.strength
    places = torch.randint(len(levels), (PLACES,)).unique()
    errors = [
        abs(steps_to_level(alpha * (output[place] - x[0].double()), levels[place]))
        for place in places.tolist()
    ]
    return max(errors) / alpha / (2e-7 * float(output.abs().max()) + 1e-7 / alpha)


def steps_to_level(d: Tensor, level: Tensor) -> float:
    """How far a point is from its level in units of 1/α, by its differences d from all items.

    Of the equation lower tail + what is missing = upper tail + what is too much, by logarithms,
    which differ in the widest gap.
    """
    tails = torch.sigmoid(-d.abs())
    is_below = d >= 0
    excess = is_below.sum() - level
    above, below = (
        tails[~is_below].sum() + excess.clamp(min=0),
        tails[is_below].sum() - excess.clamp(max=0),
    )
    rise = density(d[~is_below]).sum() / above + density(d[is_below]).sum() / below
    return float((above.log() - below.log()) / rise)


def points_and_densities(operation: Operation, x: Tensor) -> tuple[Tensor, Tensor]:
    """Of one list: of a sort, those of the library in float64, as sums for each are too many."""
    if operation.operator == "soft_sort":
        _, *bits = OPS._quantile_sort_forward(x, operation.strength, "sigmoid", None)
        points, densities = (each[0].view(torch.float64) for each in bits)
        return points, densities
    levels = operation.levels()[None]
    points = OPS._quantile_at_levels(x, levels, operation.strength, "sigmoid", None)[0]
    return points, density(operation.strength * (points[:, None] - x)).sum(-1)


def gradient_error(operation: Operation, x: Tensor, g: Tensor) -> float:
    """Of the first list, at a sample of its items."""
    leaf, alpha = x.detach().requires_grad_(), operation.strength
    (gradient,) = torch.autograd.grad(operation(leaf), leaf, g)  # lists go otherwise when alone
    row, weights = x[0].double(), g[0].double()
    points, densities = points_and_densities(operation, x[:1].double())
    items = torch.randint(len(row), (PLACES,)).unique()
    if operation.operator == "soft_topk":
        own = alpha * density(alpha * (row - points))
        exact = (own * (weights - (own * weights).sum() / (alpha * densities)))[items]
    else:
        exact = torch.stack(
            [(density(alpha * (points - row[i])) * weights / densities).sum() for i in items]
        )
    return float((gradient[0, items] - exact).abs().max() / exact.abs().max())


def measure(operation: Operation, rounds: int) -> Line:
    torch.manual_seed(0)
    xs = [operation.values() for _ in range(POOL)]
    gs = [torch.randn(operation(x).shape) for x in xs]
    contenders: list[Callable[[], object]] = [
        lambda: [call(operation, operation.backward, *pair) for pair in zip(xs, gs, strict=True)],
        lambda: [operation.hard(x) for x in xs],
    ]
    if operation.has_plain():
        contenders.append(
            lambda: [
                call(operation.plain, operation.backward, *pair)
                for pair in zip(xs, gs, strict=True)
            ]
        )
    for run in contenders:
        run()  # what is loaded and allocated at the first call
    calls = [max(1, round(BLOCK_SECONDS / Timer(run).timeit(1))) for run in contenders]
    items = POOL * operation.shape[0] * operation.shape[1]
    times = [
        [Timer(run).timeit(n) / (n * items) * 1e9 for run, n in zip(contenders, calls, strict=True)]
        for _ in range(rounds)
    ]
    columns = list(zip(*times, strict=True))
    ratios = [
        [other / time for time, other in zip(columns[0], column, strict=True)] for column in columns
    ]
    hard = statistics.median(ratios[1])
    error = (
        gradient_error(operation, xs[0], gs[0])
        if operation.backward
        else value_error(operation, xs[0])
    )
    return Line(
        operation,
        time=statistics.median(columns[0]),
        hard_time=statistics.median(columns[1]),
        hard_ratio=hard,
        hard_ratio_spread=statistics.median(abs(ratio - hard) for ratio in ratios[1]),
        plain_time=statistics.median(columns[2]) if len(columns) > 2 else None,
        plain_ratio=statistics.median(ratios[2]) if len(columns) > 2 else None,
        error=error,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--entries", default="", metavar="REGEX", help="only entries named so")
    parser.add_argument(
        "--json", type=Path, help="where to write; a full run: results/sorting.json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("operation: ns an item, of torch's hard one; that ÷ this; plain torch ÷ this; error")
    lines = []
    for operation in operations():
        if re.search(arguments.entries, str(operation)):
            lines.append(measure(operation, arguments.rounds))
            print(lines[-1], flush=True)
    path = arguments.json or (None if arguments.entries else RESULTS)
    if path:
        record = {"environment": environment(), "lines": [asdict(line) for line in lines]}
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
