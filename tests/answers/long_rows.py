"""Rows of every size, spread and shape, and what the operators must return for a sample of items.

The sums are those of `oracle`, pair by pair in float64, but of the sampled items against all of
the row: an n x n table of pairs would not fit where n is large.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

# Beyond |d| = 40, F is 0 or 1 and its derivatives are 0, to the last bit of a float64; but of the
# Cauchy distribution nothing is out of reach, and only the square of d has to be in range.
FAR, FAR_OF_CAUCHY = 40.0, 1e150
WHOLE_ROW = 400  # up to here every item is looked at
PAIRS_AT_ONCE = 1 << 16  # as many as a core's own cache holds


def normal(n: int, generator: Generator) -> Tensor:
    return torch.randn(n, dtype=torch.float64, generator=generator)


def uniform(n: int, generator: Generator) -> Tensor:
    return torch.rand(n, dtype=torch.float64, generator=generator)


def signs(n: int, generator: Generator) -> Tensor:
    return torch.randint(0, 2, (n,), generator=generator) * 2.0 - 1.0


def shuffled(values: Tensor, generator: Generator) -> Tensor:
    return values[torch.randperm(values.numel(), generator=generator)]


def geometric(n: int, generator: Generator) -> Tensor:
    steps = 10 ** torch.linspace(-30, 30, n, dtype=torch.float64)
    return shuffled(steps * signs(n, generator), generator)


def with_outlier(n: int, generator: Generator) -> Tensor:
    values = normal(n, generator)
    values[n // 3] = 1e30
    return values


def one_at_the_other_end(n: int, generator: Generator) -> Tensor:
    values = 1 - 1e-3 * uniform(n, generator)
    values[n // 2] = -1
    return values


def half_infinite(n: int, generator: Generator) -> Tensor:
    values = normal(n, generator)
    return torch.where(uniform(n, generator) < 0.5, values, torch.inf * signs(n, generator))


def dense_and_sparse(n: int, generator: Generator) -> Tensor:
    """Twenty regions of width 10 in turn: 99 of 100 items are in every other one."""
    region = torch.randint(0, 10, (n,), generator=generator)
    sparse = uniform(n, generator) < 0.01
    return 10 * (2 * region + sparse + uniform(n, generator))


def cauchy(n: int, generator: Generator) -> Tensor:
    return torch.tan(math.pi * (uniform(n, generator) - 0.5))


def of_density(density: float) -> Callable[[int, Generator], Tensor]:
    return lambda n, generator: n / density * uniform(n, generator)


def of_spacing(spacing: float) -> Callable[[int, Generator], Tensor]:
    return lambda n, generator: shuffled(spacing * torch.arange(n).double(), generator)


class Distribution(NamedTuple):
    """Where the items of a row lie, and how sharply they are ranked."""

    values: Callable[[int, Generator], Tensor]
    # The strengths times the row's spread; or the strengths themselves.
    sharpness: tuple[float, ...]
    per_spread: bool = True


SPREADS = (1e-6, 0.1, 3.0, 8.0, 12.0, 18.0, 25.0, 100.0, 1e3, 1e6, 1e12)
DISTRIBUTIONS = {
    "normal": Distribution(normal, SPREADS),
    "uniform": Distribution(uniform, (0.5, 8.0, 16.0, 20.0, 60.0, 500.0, 1e5)),
    "presorted": Distribution(lambda n, g: normal(n, g).sort().values, (6.0, 90.0, 1e8)),
    "reversed": Distribution(lambda n, g: -normal(n, g).sort().values, (6.0, 90.0, 1e8)),
    "two distant clusters": Distribution(
        lambda n, g: normal(n, g) + 1e4 * signs(n, g), (1.0, 40.0), per_spread=False
    ),
    "two tight clusters": Distribution(
        lambda n, g: 1e-5 * normal(n, g) + 50 * signs(n, g), (0.3, 1.0, 100.0), per_spread=False
    ),
    "at both ends": Distribution(
        lambda n, g: signs(n, g) / 2 + 1e-4 * normal(n, g), (1.0, 4.0, 8.0, 12.0, 16.0, 20.0)
    ),
    "one at the other end": Distribution(one_at_the_other_end, (8.1, 12.0, 16.2, 17.0)),
    "on an offset of 1e15": Distribution(
        lambda n, g: 60 * uniform(n, g) + 1.35e15, (0.4, 1.0), per_spread=False
    ),
    "an outlier": Distribution(with_outlier, (1e-30, 1.0, 100.0), per_spread=False),
    "geometric": Distribution(geometric, (1e-30, 1e-10, 1.0, 1e10, 1e30), per_spread=False),
    "all equal": Distribution(
        lambda n, g: torch.full((n,), 0.7).double(), (1e-6, 1.0, 1e6), per_spread=False
    ),
    "ties": Distribution(lambda n, g: (4 * normal(n, g)).round() / 4, (7.0, 80.0, 1e6)),
    "rectified": Distribution(lambda n, g: normal(n, g).relu(), (5.0, 70.0, 1e6)),
    "half infinite": Distribution(half_infinite, (6.0, 100.0, 1e7)),
    "on an offset of 1e4": Distribution(
        lambda n, g: normal(n, g) + 1e4, (1e-3, 1.0, 30.0), per_spread=False
    ),
    "on an offset of 1e7": Distribution(
        lambda n, g: normal(n, g) + 1e7, (1e-3, 1.0, 30.0), per_spread=False
    ),
    "cauchy": Distribution(cauchy, (1e-4, 1.0, 100.0), per_spread=False),
    "dense and sparse": Distribution(dense_and_sparse, (0.05, 1.0, 7.0), per_spread=False),
    # Units of the dtype: these two are scaled to its ends in `row`.
    "near the largest": Distribution(
        lambda n, g: 2 * uniform(n, g) - 1, (1e-6, 1.0, 10.0, 100.0, 1e6)
    ),
    "denormal": Distribution(lambda n, g: 2 * uniform(n, g) - 1, (1e-6, 1.0, 3.0)),
    **{
        f"{density} a unit": Distribution(of_density(density), (1.0,), per_spread=False)
        for density in (0.1, 1, 5, 20, 60)
    },
    **{
        f"spaced by {spacing}": Distribution(of_spacing(spacing), (1.0, 2.0), per_spread=False)
        for spacing in (0.5, 1, 1.25)
    },
}
# Here alpha^2 or its inverse is no float64.
BEYOND_FLOAT64 = {("near the largest", torch.float64), ("denormal", torch.float64)}


def generator_of(*key: object) -> Generator:
    """The same numbers for the same row, in whatever order the tests run."""
    return Generator().manual_seed(sum(ord(letter) for letter in repr(key)))


class Row(NamedTuple):
    """One row, and the setting that it is ranked in."""

    distribution: str
    n: int
    sharpness: float
    method: str = "sigmoid"
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        unit = "spread" if DISTRIBUTIONS[self.distribution].per_spread else "1"
        dtype = str(self.dtype).removeprefix("torch.")
        return f"{self.distribution}-{self.n}-{self.sharpness:g} per {unit}-{self.method}-{dtype}"

    @property
    def values(self) -> Tensor:
        return values_of(self.distribution, self.n, self.dtype)

    @property
    def regularization_strength(self) -> float:
        if not DISTRIBUTIONS[self.distribution].per_spread:
            return self.sharpness
        finite = self.values.double()
        finite = finite[finite.isfinite()]
        half_spread = float(finite.max() - finite.min()) / 2
        if math.isinf(half_spread):  # whose double overflows
            half_spread = float(finite.max() / 2 - finite.min() / 2)
        return self.sharpness / 2 / half_spread if half_spread else self.sharpness

    @property
    def unit(self) -> float:
        """A power of 2 near 1/alpha: gradients in this unit leave derivatives of order 1."""
        furthest = 100 if self.dtype == torch.float32 else 1000
        power = -round(math.log2(self.regularization_strength))
        return 2.0 ** max(-furthest, min(power, furthest))

    def directions(self) -> tuple[Tensor, Tensor]:
        """One that differs from item to item at random, and one that is a smooth function of x."""
        random, smooth = directions_of(self.distribution, self.n, self.dtype)
        return (self.unit * random).to(self.dtype), (self.unit * smooth).to(self.dtype)


# As many as the sizes and dtypes that one distribution is tried at.
@functools.lru_cache(maxsize=40)
def values_of(distribution: str, n: int, dtype: torch.dtype) -> Tensor:
    values = DISTRIBUTIONS[distribution].values(n, generator_of(distribution, n))
    if distribution == "near the largest":
        values = 0.88 * torch.finfo(dtype).max * values
    if distribution == "denormal":
        values = torch.finfo(dtype).tiny * values
    return values.to(dtype)


@functools.lru_cache(maxsize=40)
def ascending_of(distribution: str, n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    ordered, order = values_of(distribution, n, dtype).double().sort()
    return ordered, order


@functools.lru_cache(maxsize=40)
def directions_of(distribution: str, n: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    order = torch.unique(values_of(distribution, n, dtype), return_inverse=True)[1].double()
    quantile = order / order.max().clamp(min=1)
    return normal(n, generator_of("direction", n)), torch.cos(3 * quantile) + quantile


def sample_of(row: Row, size: int | None = None) -> Tensor:
    """All of a short row; else the ends, where most others are near, and random ones."""
    if row.n <= WHOLE_ROW:
        return torch.arange(row.n)
    size = size or (60 if row.n <= 20_000 else 30)
    ordered, order = ascending_of(row.distribution, row.n, row.dtype)
    candidates = ordered[:: max(1, row.n // 1000)]
    reach = min(1 / row.regularization_strength, torch.finfo(ordered.dtype).max)
    above = torch.searchsorted(ordered, candidates + reach, right=True)
    below = torch.searchsorted(ordered, candidates - reach)
    densest = order[torch.searchsorted(ordered, candidates[(above - below).argmax()])]
    finite = order[ordered.isfinite()]
    ends = finite[torch.tensor([0, 1, -2, -1])]
    random = torch.randint(0, row.n, (size - 5,), generator=generator_of(row))
    return torch.cat([ends, densest[None], random])


class Exact(NamedTuple):
    """The float64 results at the sampled items, and the sums that their error bounds take."""

    ranks: Tensor
    gradients: list[Tensor]  # one for each direction
    second: Tensor | None  # of the first two directions
    deviations: list[float]  # max |g - mean g| of each direction
    mass: float  # max_k sum_j F'(d[k, j]), the item itself included
    curvature: float  # max_k sum_j |F''(d[k, j])|


def exact(
    values: Tensor, alpha: float, method: str, sample: Tensor, directions: Sequence[Tensor] = ()
) -> Exact:
    """Everything about the sampled items, from one table of pairs (without NaN, unmasked)."""
    x = values.double()
    finite = x.isfinite()
    # Differences of the largest float64s overflow, their quarters' don't.
    scale = 0.25 if x[finite].abs().max() > 1e300 else 1.0
    x, alpha_of_scaled = x * scale, alpha / scale
    centred = [centre(direction, finite) for direction in directions]
    weights = [finite.double(), *centred]
    if len(directions) > 1:
        weights.append(centred[0] * centred[1])
    table = torch.stack(weights, -1)
    ascending, order = x[sample].sort()
    sums = kernel_sums(ascending, x, alpha_of_scaled, method, table)
    counts, first, second, curvature = (part[order.argsort()] for part in sums)
    others = len(x) - 1
    seen = finite[sample].double()
    at_sample = [direction[sample] for direction in centred]
    of_second = None
    if len(directions) > 1:
        v, g = at_sample[:2]
        terms = v * g * second[:, 0] - v * second[:, 2] - g * second[:, 1] + second[:, -1]
        of_second = alpha * (alpha * (seen * terms / others))
    return Exact(
        ranks=0.5 + counts / others,
        gradients=[
            alpha * (seen * (g * first[:, 0] - first[:, 1 + number]) / others)
            for number, g in enumerate(at_sample)
        ],
        second=of_second,
        deviations=[float(direction.abs().max()) for direction in centred],
        mass=float((seen * first[:, 0]).max()),
        curvature=float((seen * curvature).max()),
    )


def centre(direction: Tensor, finite: Tensor) -> Tensor:
    """Less its mean over the finite items; 0 at the others, which move nothing."""
    direction = direction.double()
    return torch.where(finite, direction - direction[finite].mean(), 0.0)


def kernel_sums(
    points: Tensor, x: Tensor, alpha: float, method: str, weights: Tensor
) -> list[Tensor]:
    """``sum_j F - 1/2``, ``sum_j w_j F'``, ``sum_j w_j F''`` and ``sum_j |F''|``.

    At ascending points, some at a time, each against what is not far below or above them all.
    """
    furthest = FAR_OF_CAUCHY if method == "cauchy" else FAR
    reach = min(furthest / alpha, torch.finfo(x.dtype).max)
    ordered, order = x.sort()
    weights = weights[order]
    results = []
    for some in points.split(max(1, PAIRS_AT_ONCE // len(x))):
        begin, end = 0, len(x)
        if method != "cauchy":
            begin = int(torch.searchsorted(ordered, some[0] - reach))
            end = int(torch.searchsorted(ordered, some[-1] + reach, right=True))
        near, w = ordered[begin:end], weights[begin:end]
        d = (some[:, None] - near).mul_(alpha).clamp_(-furthest, furthest).nan_to_num_(nan=0.0)
        counts, kernel, odd = kernels(d, method)
        first = kernel @ w
        kernel.mul_(odd).neg_()
        second = kernel @ w
        far = (begin - (len(x) - end)) / 2
        results.append((counts.sum(-1) + far, first, second, kernel.abs_() @ w[:, 0]))
    return [torch.cat(parts) for parts in zip(*results, strict=True)]


def kernels(d: Tensor, method: str) -> tuple[Tensor, Tensor, Tensor]:
    """F - 1/2 and F' at d, and what times -F' is F''; relatively exact near 0."""
    if method == "sigmoid":
        t = torch.tanh(d / 2)
        return t / 2, torch.addcmul(t.new_tensor(0.25), t, t, value=-0.25), t
    if method == "gaussian":
        density = (d * d).mul_(-0.5).exp_().mul_((2 * math.pi) ** -0.5)
        return torch.erf(d / 2**0.5) / 2, density, d
    if method == "laplace":
        sign = d.sign()
        decay = d.abs().neg_()
        return torch.expm1(decay).mul_(sign).div_(-2), decay.exp_().div_(2), sign
    if method == "cauchy":
        imaginary = (d * d).add_(1).reciprocal_()
        return torch.atan(d).div_(math.pi), imaginary / math.pi, imaginary.mul_(d).mul_(2)
    raise ValueError(f"method {method!r}")
