"""What ranks by projection cost on a CPU, beside torchsort and torch.sort; one thread, float32.

    python benchmarks/permutahedron.py [--rounds 15] [--json FILE]

Every line is a function of ``rank_relax.torchsort``, or ``rank_relax.soft_rank`` itself, and that
of torchsort with the same arguments, forward and backward, over standard normal values at its
default strength of 1. Every round times everything once, so that a slow moment of the machine falls
on all; a ratio is the median over rounds of the ratios inside a round, with half of the rounds
within the ± beside it. The errors, of this library and of torchsort, are those against float64: the
largest of the result over the largest result, or of the gradient over the largest gradient, which
for equal items of a sort, whose order is nobody's, is their mean. The figures are written to
results/permutahedron.json, or where --json says.

torchsort is no dependency. Its source distribution compiles CUDA code wherever it finds nvcc, which
a torch for the CPU can't; hide it::

    PATH=$VIRTUAL_ENV/bin:/usr/bin:/bin pip install --no-build-isolation --no-deps torchsort
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from timeit import Timer

import torch
from environment import environment
from torch import Tensor

import rank_relax
from rank_relax import torchsort as ours

RESULTS = Path(__file__).resolve().parent / "results" / "permutahedron.json"
SHAPES = ((1, 100), (128, 1000), (1, 1_000_000))
BLOCK_SECONDS = 0.01  # what is timed at once takes about that long, or is one call
POOL = 4  # tensors that take turns, or the processor would learn the one


@dataclass(frozen=True)
class Line:
    """One function at one shape; times in nanoseconds an item."""

    function: str
    regularization: str
    shape: tuple[int, int]
    time: float
    torchsort_time: float
    sort_time: float
    ratio: float
    ratio_spread: float
    error: float
    torchsort_error: float

    def __str__(self) -> str:
        rows, n = self.shape
        return (
            f"{self.function:20} {self.regularization:2} {rows:3} x {n:<9,} {self.time:8.1f} ns "
            f"{self.torchsort_time:8.1f} {self.sort_time:8.1f}   {self.ratio:5.2f} ± "
            f"{self.ratio_spread:4.2f}   {self.error:.1e}  {self.torchsort_error:.1e}"
        )


def forward_and_backward(
    function: Callable[..., Tensor], regularization: str, x: Tensor, g: Tensor
) -> tuple[Tensor, Tensor]:
    leaf = x.detach().requires_grad_()
    output = function(leaf, regularization)
    return output.detach(), torch.autograd.grad(output, leaf, g)[0]


def relative_error(actual: tuple[Tensor, ...], exact: tuple[Tensor, ...]) -> float:
    """The larger of those of the result and of the gradient."""
    return max(
        float((one - other).abs().max() / other.abs().max())
        for one, other in zip(actual, exact, strict=True)
    )


def tie_means(x: Tensor, gradient: Tensor) -> Tensor:
    """The mean gradient of the items of a list that are equal."""
    means = []
    for values, g in zip(x, gradient.double(), strict=True):
        which, counts = values.unique(return_inverse=True, return_counts=True)[1:]
        means.append((g.new_zeros(len(counts)).index_add(0, which, g) / counts)[which])
    return torch.stack(means)


def direct(x: Tensor, regularization: str) -> Tensor:
    return rank_relax.soft_rank(x, method=regularization)


# The name of a line, this library's function, its name in torchsort.
FUNCTIONS: tuple[tuple[str, Callable[..., Tensor], str], ...] = (
    ("rank_relax.soft_rank", direct, "soft_rank"),
    ("torchsort.soft_rank", ours.soft_rank, "soft_rank"),
    ("torchsort.soft_sort", ours.soft_sort, "soft_sort"),
)


def measure(
    name: str,
    mine: Callable[..., Tensor],
    theirs: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    regularization: str,
    shape: tuple[int, int],
    rounds: int,
) -> Line:
    """The reference is this library's function with the conventions of theirs."""
    torch.manual_seed(0)
    pool = [tuple(torch.randn(2, *shape)) for _ in range(POOL)]
    contenders: list[Callable[[], None]] = [
        lambda: [forward_and_backward(mine, regularization, x, g) for x, g in pool],
        lambda: [forward_and_backward(theirs, regularization, x, g) for x, g in pool],
        lambda: [torch.sort(x, -1) for x, _ in pool],
    ]
    for run in contenders:
        run()  # what is loaded and allocated at the first call
    calls = [max(1, round(BLOCK_SECONDS / Timer(run).timeit(1))) for run in contenders]
    items = POOL * shape[0] * shape[1]
    times = [
        [Timer(run).timeit(n) / (n * items) * 1e9 for run, n in zip(contenders, calls, strict=True)]
        for _ in range(rounds)
    ]
    ratios = [their_time / time for time, their_time, _ in times]
    ratio = statistics.median(ratios)
    x, g = pool[0]

    def error(function: Callable[..., Tensor], of: Callable[..., Tensor]) -> float:
        exact = forward_and_backward(of, regularization, x.double(), g.double())
        found = forward_and_backward(function, regularization, x, g)
        if name.endswith("sort"):
            exact, found = ((y, tie_means(x, d)) for y, d in (exact, found))
        return relative_error(found, exact)

    return Line(
        name,
        regularization,
        shape,
        *(statistics.median(column) for column in zip(*times, strict=True)),
        ratio=ratio,
        ratio_spread=statistics.median(abs(other - ratio) for other in ratios),
        error=error(mine, mine),
        torchsort_error=error(theirs, reference),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, default=RESULTS, help="where to write the figures")
    arguments = parser.parse_args()
    try:
        import torchsort
    except ImportError:
        raise SystemExit(
            "torchsort is not installed: see the first lines of this file for the command"
        ) from None
    torch.set_num_threads(1)
    print(
        "function, regularization, shape: ns an item, torchsort's, torch.sort's; torchsort ÷ this;"
    )
    print("error, torchsort's error")
    lines = []
    for name, mine, theirs in FUNCTIONS:
        for regularization in ("l2", "kl"):
            for shape in SHAPES:
                line = measure(
                    name,
                    mine,
                    getattr(torchsort, theirs),
                    getattr(ours, theirs),
                    regularization,
                    shape,
                    arguments.rounds,
                )
                print(line, flush=True)
                lines.append(line)
    record = {"environment": environment(), "lines": [asdict(line) for line in lines]}
    arguments.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
