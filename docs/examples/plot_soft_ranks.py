"""Draws what ``regularization_strength`` does, on a list of ten numbers.

Left: the soft rank of every item against its hard rank. Right: an eleventh item moves through the
list, and its soft rank follows; the hard rank is a staircase, which has no useful gradient.

Needs rank_relax and matplotlib.
"""

import argparse
from pathlib import Path

import torch
from matplotlib.figure import Figure

from rank_relax import soft_rank

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
VALUES = torch.tensor([-2.1, -1.2, -0.9, -0.3, 0.0, 0.2, 0.5, 0.7, 1.4, 2.2])
# Strength, colour (of Okabe and Ito, who chose them for colour-blind eyes), marker and its size:
# the sharper, the larger, because the sharp ones lie on top of each other.
STRENGTHS = [
    (64.0, "#CC79A7", "D", 9),
    (8.0, "#009E73", "^", 7),
    (2.0, "#56B4E9", "s", 5),
    (0.5, "#E69F00", "o", 5),
]


def draw(path: Path) -> None:
    figure = Figure(figsize=(8.0, 3.8), layout="constrained", facecolor="white")
    against_hard, moving = figure.subplots(1, 2, sharey=True)

    hard_ranks = torch.linspace(0, 1, len(VALUES))
    against_hard.plot([0, 1], [0, 1], color="0.75", linewidth=1, zorder=0)
    for strength, colour, marker, size in STRENGTHS:
        soft_ranks = soft_rank(VALUES, strength)
        against_hard.plot(
            hard_ranks, soft_ranks, marker, color=colour, markersize=size, label=f"{strength:g}"
        )
    against_hard.legend(title="regularization_strength", frameon=False, ncols=2)
    against_hard.set(xlabel="hard rank", ylabel="soft rank", title="Ten items")

    positions = torch.linspace(-3.5, 3.5, 1001)
    # One list for every position: the ten items, and the moving one last.
    lists = torch.cat([VALUES.expand(len(positions), -1), positions[:, None]], dim=-1)
    hard_rank = (positions[:, None] > VALUES).float().mean(-1)
    moving.plot(positions, hard_rank, color="black", linewidth=1, label="hard rank")
    for strength, colour, *_ in STRENGTHS:
        soft_ranks = soft_rank(lists, strength)[:, -1]
        moving.plot(positions, soft_ranks, color=colour, linewidth=2, zorder=0)
    moving.plot(VALUES, torch.full_like(VALUES, -0.05), "|", color="black", markersize=9)
    moving.set(xlabel="value of the moving item (bars: the ten others)", title="One item moves")
    moving.legend(frameon=False, loc="upper left")

    for axes in (against_hard, moving):
        axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--figure", type=Path, default=PICTURES / "soft_ranks.png")
    draw(parser.parse_args().figure)


if __name__ == "__main__":
    main()
