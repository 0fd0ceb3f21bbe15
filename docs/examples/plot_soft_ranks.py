"""Draws ``docs/pictures/soft_ranks.png``: what ``regularization_strength`` does.

An item moves through a list of ten others. Above: its hard rank is a staircase, its soft rank, at
four strengths, a curve. Below: the derivative, which is what trains. The staircase has none.

Needs rank_relax and matplotlib.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from themes import NARROW, Theme, save

from rank_relax import soft_rank

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
OTHERS = torch.tensor([-2.1, -1.2, -0.9, -0.3, 0.0, 0.2, 0.5, 0.7, 1.4, 2.2], dtype=torch.float64)
STRENGTHS = (0.5, 2.0, 8.0, 64.0)


def draw(theme: Theme, narrow: bool) -> Figure:
    figure = Figure(figsize=(NARROW if narrow else 7.0, 6.0), layout="constrained")
    rank, slope = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
    places = torch.linspace(-3.5, 3.5, 1401, dtype=torch.float64)
    colours = (theme.orange, theme.green, theme.blue, theme.pink)
    for strength, colour in zip(STRENGTHS, colours, strict=True):
        moving = places[:, None].clone().requires_grad_()
        # One list for every place: the ten others, and the item that moves.
        ranks = soft_rank(torch.cat([OTHERS.expand(len(places), -1), moving], dim=-1), strength)
        (derivative,) = torch.autograd.grad(ranks[:, -1].sum(), moving)
        label = f"strength {strength:g}"
        rank.plot(places, ranks[:, -1].detach(), color=colour, linewidth=2, label=label)
        slope.plot(places, derivative, color=colour, linewidth=2)
    hard_rank = (places[:, None] > OTHERS).double().mean(-1)
    rank.plot(places, hard_rank, color=theme.ink, linewidth=1, label="hard rank")
    slope.axhline(0, color=theme.ink, linewidth=1)
    rank.plot(OTHERS, torch.full_like(OTHERS, -0.05), "|", color=theme.ink, markersize=9)
    rank.set(ylabel="rank of the item that moves")
    rank.legend(frameon=False, loc="upper left", labelcolor="linecolor")
    slope.set(xlabel="its value (bars: the ten others)", ylabel="derivative", ylim=(-0.1, 1.75))
    for axes in (rank, slope):
        axes.grid(color=theme.faint, alpha=0.3, linewidth=0.6)
    return figure


if __name__ == "__main__":
    save(PICTURES / "soft_ranks.png", draw)
