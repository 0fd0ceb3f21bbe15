"""Ranking losses of rank_relax beside the built-in objectives of LightGBM, on MovieLens 100K.

    pip install lightgbm && pip install --no-deps recbole
    python benchmarks/boosting.py [--seeds 5] [--rounds 150] [--data FOLDER] [--json FILE]

A user is a list and ratings are graded relevance, 0 to 4; the score is NDCG@10, gains 2^y - 1. The
first half of each user's ratings, in time, is known, and the second half is put in order. A seed
draws which users train (60 %), validate (20 %) and test (20 %), and is LightGBM's. Features are the
film's genres and year; count and mean rating of the film in the first halves of the training users;
and of the user's own first half count, mean rating, and what it says of the film's genres.

Every objective has the same trees (31 leaves, bagging and feature sampling) and tries the same
learning rates; the rate and the number of rounds that do best on the validation users are kept and
meet the test users, once. The data are in the package recbole, whose files are read without
importing it; --data names another folder that has ml-100k.inter and ml-100k.item.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from time import perf_counter
from typing import Any

import lightgbm
import numpy as np
import torch
from environment import environment
from numpy.typing import NDArray

from rank_relax.boosting import objective

RESULTS = Path(__file__).parent / "results" / "boosting.json"
Array = NDArray[Any]
RATES = (0.03, 0.1)
EVERY = 10  # rounds between two validations
TREES = {
    "num_leaves": 31,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "feature_fraction": 0.8,
    "verbosity": -1,
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
}


def constant_hessian(name: str, **options: Any) -> Callable[..., tuple[Array, Array]]:
    """The same gradient with one Hessian for all rows, the mean of those of the objective."""
    loss = objective(name, **options)

    def call(scores: Array, data: lightgbm.Dataset) -> tuple[Array, Array]:
        gradient, hessian = loss(scores, data)
        return gradient, np.full_like(hessian, hessian.mean())

    return call


OBJECTIVES: dict[str, Any] = {
    "LightGBM regression": "regression",
    "LightGBM rank_xendcg": "rank_xendcg",
    "LightGBM lambdarank": "lambdarank",
    "ndcg": objective("ndcg"),
    "ndcg, k=10": objective("ndcg", k=10),
    "ndcg, constant Hessian": constant_hessian("ndcg"),
    "pairwise_logistic": objective("pairwise_logistic"),
    "kendall": objective("kendall"),
    "listnet": objective("listnet"),
    "cosent": objective("cosent", temperature=1.0),
}


@dataclass(frozen=True)
class Lists:
    features: Array  # [rows, width]
    labels: Array  # [rows], 0 to 4
    sizes: Array  # of the lists, which lie one behind the other


@dataclass(frozen=True)
class Line:
    """What the seeds gave for one objective."""

    objective: str
    scores: list[float]  # NDCG@10 on the test users, for each seed
    validation: list[float]
    rates: list[float]  # those that were kept
    rounds: list[int]
    seconds: list[float]  # of training, a round


def folder_of_recbole() -> Path:
    try:
        files = distribution("recbole")
    except PackageNotFoundError:
        sys.exit(
            "the data are in the package recbole: run pip install --no-deps recbole, or --data"
        )
    return Path(str(files.locate_file("recbole/dataset_example/ml-100k")))


def read(folder: Path) -> tuple[Array, Array, Array]:
    """Ratings [n, 4] (user, film, rating, time) in time, genres [films, g] and years [films]."""
    ratings = np.loadtxt(folder / "ml-100k.inter", skiprows=1, delimiter="\t").astype(np.int64)
    ratings = ratings[np.lexsort((ratings[:, 1], ratings[:, 3], ratings[:, 0]))]
    lines = (folder / "ml-100k.item").read_text().splitlines()[1:]
    films = [line.split("\t") for line in lines]
    names = sorted({name for film in films for name in film[3].split()})
    most = max(int(film[0]) for film in films) + 1
    genres, years = np.zeros((most, len(names))), np.full(most, np.nan)
    for number, _, year, of_film in films:
        genres[int(number), [names.index(name) for name in of_film.split()]] = 1
        years[int(number)] = float(year) if year.isdigit() else np.nan
    return ratings, genres, years


def mean_beside(total: Array, count: Array, prior: Array | float) -> Array:
    """Means of few ratings, drawn to a prior by as much as five ratings."""
    return (total + 5 * prior) / (count + 5)


def parts(folder: Path, seed: int) -> list[Lists]:
    """The lists of training, validation and test users."""
    ratings, genres, years = read(folder)
    users = np.unique(ratings[:, 0])
    shuffled = np.random.default_rng(seed).permutation(users)
    split = np.split(shuffled, [int(0.6 * len(users)), int(0.8 * len(users))])
    begin = np.searchsorted(ratings[:, 0], ratings[:, 0])
    size = np.searchsorted(ratings[:, 0], ratings[:, 0], side="right") - begin
    is_known = np.arange(len(ratings)) - begin < size // 2
    user, film, rating, _ = ratings.T
    seen = is_known & np.isin(user, split[0])
    mean = rating[seen].mean()
    count_of_film = np.bincount(film[seen], minlength=len(years))
    total = np.bincount(film[seen], rating[seen], minlength=len(years))
    of_film = mean_beside(total, count_of_film, mean)
    known = np.where(is_known, 1.0, 0.0)
    count_of_user = np.bincount(user, known)
    of_user = mean_beside(np.bincount(user, known * rating), count_of_user, mean)
    # How far the user's ratings of each genre are from what is expected of user and film.
    surprise = known * (rating - of_user[user] - (of_film[film] - mean))
    liking, seen_of_genre = np.zeros((2, len(of_user), genres.shape[1]))
    np.add.at(liking, user, surprise[:, None] * genres[film])
    np.add.at(seen_of_genre, user, known[:, None] * genres[film])
    liking = mean_beside(liking, seen_of_genre, 0.0)
    in_genres = np.maximum(genres.sum(1), 1)
    features = np.column_stack(
        [
            *(years[film], count_of_film[film], of_film[film]),
            *(count_of_user[user], of_user[user]),
            (liking[user] * genres[film]).sum(1) / in_genres[film],
            genres[film],
        ]
    )
    found = []
    for chosen in split:
        rows = ~is_known & np.isin(user, chosen)
        sizes = np.unique(user[rows], return_counts=True)[1]
        found.append(Lists(features[rows], rating[rows] - 1.0, sizes))
    return found


def ndcg_at_10(scores: Array, lists: Lists) -> float:
    """The mean over lists; equal scores stay in the order in which the films were rated."""
    found, begin = [], 0
    discounts = 1 / np.log2(np.arange(2, 12))
    for size in lists.sizes:
        gains = 2 ** lists.labels[begin : begin + size] - 1
        order = np.argsort(-scores[begin : begin + size], kind="stable")[:10]
        best = np.sort(gains)[::-1][:10]
        if best.any():
            taken = discounts[: len(best)]
            found.append((gains[order] @ taken) / (best @ taken))
        begin += size
    return float(np.mean(found))


def train(of: Any, rate: float, lists: Lists, seed: int, rounds: int) -> lightgbm.Booster:
    data = lightgbm.Dataset(lists.features, lists.labels, group=lists.sizes)
    settings = {**TREES, "objective": of, "learning_rate": rate, "seed": seed}
    return lightgbm.train(settings, data, rounds)


def measure(name: str, seeds: int, rounds: int, folder: Path) -> Line:
    line = Line(name, [], [], [], [], [])
    for seed in range(seeds):
        training, validation, test = parts(folder, seed)
        tried, boosters, begun = [], {}, perf_counter()
        for rate in RATES:
            boosters[rate] = train(OBJECTIVES[name], rate, training, seed, rounds)
        line.seconds.append((perf_counter() - begun) / len(RATES) / rounds)
        for rate, booster in boosters.items():
            for count in range(EVERY, rounds + 1, EVERY):
                scores = booster.predict(validation.features, num_iteration=count)
                tried.append((ndcg_at_10(scores, validation), -count, rate))
        best, count, rate = max(tried)
        scores = boosters[rate].predict(test.features, num_iteration=-count)
        line.scores.append(ndcg_at_10(scores, test))
        line.validation.append(best)
        line.rates.append(rate)
        line.rounds.append(-count)
    return line


def table_line(line: Line, beside: Line | None) -> str:
    scores = np.array(line.scores)
    text = f"{scores.mean():.4f} ± {scores.std(ddof=1):.4f}"
    difference = ""
    if beside is not None and beside is not line:
        gaps = scores - np.array(beside.scores)
        difference = f"{gaps.mean():+.4f} ± {gaps.std(ddof=1) / len(gaps) ** 0.5:.4f}"
    cost = f"{1e3 * np.median(line.seconds):.0f} ms"
    return f"| {line.objective:22} | {text:15} | {difference:16} | {cost:7} |"


def main() -> None:
    """Prints the table and writes what every seed gave."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="two or more (default: 5)")
    parser.add_argument("--rounds", type=int, default=150, help="trees (default: 150)")
    parser.add_argument("--data", type=Path, help="where ml-100k.inter and ml-100k.item are")
    parser.add_argument("--only", nargs="+", choices=list(OBJECTIVES), default=list(OBJECTIVES))
    parser.add_argument("--json", type=Path, help="write what every seed gave here")
    arguments = parser.parse_args()
    if arguments.seeds < 2:
        parser.error("--seeds must be 2 or more: one seed has no spread")
    torch.set_num_threads(1)
    folder = arguments.data or folder_of_recbole()
    print("| objective | NDCG@10, mean ± std | beside lambdarank, ± standard error | a round |")
    print("| --- | --- | --- | --- |")
    lines: dict[str, Line] = {}
    for name in arguments.only:
        lines[name] = measure(name, arguments.seeds, arguments.rounds, folder)
        print(table_line(lines[name], lines.get("LightGBM lambdarank")), flush=True)
    target = arguments.json or (RESULTS if arguments.only == list(OBJECTIVES) else None)
    if target is not None:
        measured_at = {
            **environment(),
            "lightgbm": version("lightgbm"),
            "seeds": arguments.seeds,
            "rounds": arguments.rounds,
            "rates": RATES,
        }
        record = {"environment": measured_at, "lines": [asdict(x) for x in lines.values()]}
        target.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
