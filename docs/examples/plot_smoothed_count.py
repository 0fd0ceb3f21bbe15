"""Draws ``docs/pictures/smoothed_count.png``: one smoothed count, of which everything is made.

G(y) = Σ_j sigmoid(α (y - x_j)) counts the items below y, softly. Read at an item it is a rank; the
places where it passes k + ½ are sorted values; and where it passes n - k the list is cut into the k
largest and the others, each with a share that says how far it is on one side.

Needs rank_relax and matplotlib.
"""

from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from themes import NARROW, Theme, save

from rank_relax import soft_quantile, soft_rank, soft_sort, soft_topk

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
X = torch.tensor([-2.1, -1.0, -0.2, 0.6, 1.9], dtype=torch.float64)
STRENGTH, K = 4.0, 2
PLACES = torch.linspace(-3, 3, 1201, dtype=torch.float64)


def draw(theme: Theme, narrow: bool) -> Figure:
    figure = Figure(figsize=(NARROW, 8.4) if narrow else (9.5, 3.4), layout="constrained")
    rows, columns = (3, 1) if narrow else (1, 3)
    read, inverted, cut = figure.subplots(rows, columns, sharex=True, sharey=True)
    count = torch.sigmoid(STRENGTH * (PLACES[:, None] - X)).sum(-1)
    for axes in (read, inverted, cut):
        axes.plot(PLACES, count, color=theme.blue, linewidth=2)
        axes.plot(X, torch.full_like(X, -0.3), "|", color=theme.ink, markersize=10)
        axes.set(xlim=(-3, 3), ylim=(-0.55, 5.25), yticks=range(6))
        axes.grid(color=theme.faint, alpha=0.3, linewidth=0.6)
    for axes in (cut,) if narrow else (read, inverted, cut):
        axes.set(xlabel="value")
    for axes in (read, inverted, cut) if narrow else (read,):
        axes.set(ylabel="items below, softly")
    draw_ranks(read, theme)
    draw_sorted(inverted, theme)
    draw_mask(cut, theme)
    return figure


def arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    style = {"arrowstyle": "-|>", "color": colour, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, begin, arrowprops=style)


def draw_ranks(axes: Axes, theme: Theme) -> None:
    axes.set_title("read at an item: its rank", color=theme.orange)
    # The count at an item holds half of the item itself.
    heights = (len(X) - 1) * soft_rank(X, STRENGTH) + 0.5
    for x, height in zip(X.tolist(), heights.tolist(), strict=True):
        arrow(axes, (x, -0.1), (x, height), theme.orange)
        arrow(axes, (x, height), (-3, height), theme.orange)


def draw_sorted(axes: Axes, theme: Theme) -> None:
    axes.set_title("read backwards: sorted values", color=theme.green)
    for k, value in enumerate(soft_sort(X, STRENGTH).tolist()):
        arrow(axes, (-3, k + 0.5), (value, k + 0.5), theme.green)
        arrow(axes, (value, k + 0.5), (value, -0.1), theme.green)


def draw_mask(axes: Axes, theme: Theme) -> None:
    axes.set_title(f"cut at one place: the top {K}", color=theme.pink)
    level = len(X) - K
    threshold = float(soft_quantile(X, (level - 0.5) / (len(X) - 1), STRENGTH))
    arrow(axes, (-3, level), (threshold, level), theme.pink)
    axes.axvline(threshold, color=theme.pink, linewidth=1.2)
    for x, share in zip(X.tolist(), soft_topk(X, K, STRENGTH).tolist(), strict=True):
        axes.text(x, 0.02, f"{share:.2f}", color=theme.pink, ha="center", va="bottom", fontsize=9)


if __name__ == "__main__":
    save(PICTURES / "smoothed_count.png", draw)
