"""What benchmarks/compare.py sets side by side: one module for each peer, all of one shape.

A module has ``contestants()``, what it enters; importing it imports the peer, for which pip is
asked as ``INSTALLS`` says, or which is a formula written here. A contestant is a function of scores
[rows, n] and labels for one task, at a strength α that every peer understands in its own way; what
that is its ``formula`` says, and its error is the one against that formula in float64.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

MODULES = (
    "ours",
    "plain",
    "hard",
    "torchsort",
    "torchpsort",
    "numba_projection",
    "softtorch",
    "lapsum",
    "diffsort",
    "ott",
    "allrank",
    "rax",
    "imbalanced_losses",
    "metric_learning",
)
TASKS = ("soft rank", "soft sort", "top-k mask", "Spearman", "NDCG", "AP", "Smooth-AP")
DIMENSIONS = 64  # of embeddings
MESSAGE = 160  # letters kept of one

Function = Callable[..., Any]  # of scores and labels


@dataclass(frozen=True)
class Install:
    """What pip is asked for, and with which options if that is refused."""

    requirement: str
    options: tuple[str, ...] = ()
    if_refused: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()  # what these options leave out
    without: str | None = None  # a program that its build must not find


@dataclass(frozen=True)
class Problem:
    task: str
    rows: int
    n: int
    strength: float

    @property
    def k(self) -> int:
        """Of the mask of the k largest."""
        return max(1, self.n // 10)

    @property
    def items(self) -> int:
        return self.rows * self.n

    def inputs(self) -> tuple[Tensor, Tensor]:
        """Scores and labels; embeddings and classes for Smooth-AP."""
        shape = self.rows, self.n
        if self.task == "Smooth-AP":
            classes = torch.arange(self.n) // class_size(self.n)
            return torch.randn(self.n, DIMENSIONS), classes
        scores = torch.randn(shape)
        if self.task == "NDCG":
            labels = torch.randint(5, shape).float()
            labels[:, 0] = 4
        elif self.task == "AP":
            labels = (torch.rand(shape) < 0.1).float()
            labels[:, 0] = 1
        else:  # numbers of which no two are equal
            labels = torch.rand(shape).argsort(-1) * (4 / self.n)
        return scores, labels


def class_size(n: int) -> int:
    """As many items as there are classes, where n is a square, and four else."""
    root = round(n**0.5)
    return root if root**2 == n else 4


# The function of a problem, or its largest error given inputs, cotangent, output and gradient.
Make = Callable[[Problem], Function]
Error = Callable[[Problem, Tensor, Tensor, Tensor, Tensor, Tensor], float]


@dataclass(frozen=True)
class Contestant:
    task: str
    name: str
    formula: str
    make: Make
    ours: str | None = None  # the contestant of rank_relax that it is compared with
    exact: Make | None = None  # in float64, for lists of at most
    exact_up_to: int = 1000
    error: Error | None = None  # in place of ``exact``
    jax: bool = False
    compiled: bool = False  # the first call may take long
    note: str = ""


def tail(message: str) -> str:
    """Its end, or what comes first after a traceback in it; files are without their folders."""
    *frames, last = re.split(r"(?m)^  File .*\n(?:    .*\n)*", message)
    text = re.sub(r"(?<![\w.:/])(?:/[^\s/'\"]+)+/(?=[^\s/'\"])", "", " ".join(last.split()))
    if len(text) <= MESSAGE:
        return text
    return text[:MESSAGE] + "…" if frames else "…" + text[-MESSAGE:]


def contestants(module: str) -> list[Contestant]:
    return import_module(f"peers.{module}").contestants()


# For all: a build without isolation needs the first, formulas written here the other one.
BASE = ("setuptools>=77", "numba>=0.61")

INSTALLS = {
    # Its build takes nvcc for a sign of a torch with CUDA, which this one may not be.
    "torchsort": Install(
        "torchsort==0.1.10", ("--no-build-isolation", "--no-deps"), without="nvcc"
    ),
    # Pure Python, which says of itself that it needs 3.12.
    "torchpsort": Install(
        "torchpsort==0.1.8", if_refused=("--ignore-requires-python", "--no-deps")
    ),
    "softtorch": Install(
        "softtorch==0.1.1",
        if_refused=("--ignore-requires-python", "--no-deps"),
        needs=("pot>=0.9.3", "torchopt>=0.7"),
    ),
    "diffsort": Install("diffsort==0.2.0"),
    "ott": Install("ott-jax==0.6.0"),
    # It pins a torch of 2021.
    "allrank": Install("allRank==1.4.3", ("--no-deps",)),
    "rax": Install("rax==0.4.0"),
    "imbalanced_losses": Install("imbalanced-losses==0.6.0"),
    "metric_learning": Install("pytorch-metric-learning==2.9.0"),
}
