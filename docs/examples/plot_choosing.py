"""Draws ``docs/pictures/choosing.png``: what a strength does, and who shares the gradient.

Above: how far results for a list of 1000 are from the hard ones. Below: the share of the items that
have nine tenths of the gradient of Spearman's loss, between the quartiles of twenty random lists.

Needs rank_relax and matplotlib.
"""

from pathlib import Path

import torch
from matplotlib.figure import Figure
from themes import NARROW, Theme, save

from rank_relax import hard_rank, soft_quantile, soft_rank, soft_sort, soft_topk, spearman_loss

PICTURES = Path(__file__).resolve().parent.parent / "pictures"
STRENGTHS = torch.logspace(-1, 4, 41, dtype=torch.float64)
LISTS = 20


def normal(n: int) -> torch.Tensor:
    """A list that lies as a standard normal distribution has it."""
    return torch.special.ndtri((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def distances() -> dict[str, list[float]]:
    """How far four results are from the hard ones, for each strength."""
    x = normal(1000)
    curves: dict[str, list[float]] = {}
    for strength in STRENGTHS.tolist():
        mask = soft_topk(x, 10, strength)
        points = {
            "soft_sort: last value": soft_sort(x, strength)[-1] - x[-1],
            "soft_quantile: 0.9": soft_quantile(x, 0.9, strength) - x.quantile(0.9),
            "soft_topk: share lost": 1 - mask[-10:].sum() / 10,
            "soft_rank: largest error": (soft_rank(x, strength) - hard_rank(x)).abs().max(),
        }
        for name, value in points.items():
            curves.setdefault(name, []).append(value.abs().item())
    return curves


def shares(n: int) -> torch.Tensor:
    """The share of ``n`` items that have 0.9 of the gradient: [strengths, lists]."""
    generator = torch.Generator().manual_seed(n)
    scores = torch.randn(LISTS, n, dtype=torch.float64, generator=generator)
    targets = scores + torch.randn(LISTS, n, dtype=torch.float64, generator=generator)
    found = []
    for strength in STRENGTHS.tolist():
        leaf = scores.clone().requires_grad_()
        spearman_loss(leaf, targets, strength, scale="std", reduction="sum").backward()
        assert leaf.grad is not None
        sizes = leaf.grad.abs().sort(descending=True).values.cumsum(-1)
        found.append(((sizes < 0.9 * sizes[:, -1:]).sum(-1) + 1) / n)
    return torch.stack(found)


def draw(theme: Theme, narrow: bool) -> Figure:
    figure = Figure(figsize=(NARROW if narrow else 7.0, 8.4), layout="constrained")
    title, broken = ("medium", "\n") if narrow else ("large", " ")
    above, below = figure.subplots(2, 1, sharex=True)
    colours = (theme.blue, theme.orange, theme.green, theme.pink)
    for (name, curve), colour in zip(CURVES.items(), colours, strict=True):
        above.plot(STRENGTHS, curve, color=colour, linewidth=2, label=name)
    above.set(xscale="log", yscale="log", ylim=(1e-3, 100))
    above.set_title(f"Distance from the hard result,{broken}1000 items", fontsize=title)
    above.set(ylabel="of values: in units of σ")
    above.legend(
        frameon=False,
        loc="upper right",
        labelcolor="linecolor",
        fontsize="small" if narrow else None,
    )
    for (n, share), colour in zip(SHARES.items(), colours, strict=True):
        lower, middle, upper = torch.quantile(
            share.double(), torch.tensor([0.25, 0.5, 0.75], dtype=torch.float64), dim=1
        )
        below.plot(STRENGTHS, middle, color=colour, linewidth=2, label=f"n = {n:,}")
        below.fill_between(STRENGTHS, lower, upper, color=colour, alpha=0.25, linewidth=0)
        i = int((STRENGTHS - 0.16 * n).abs().argmin())
        below.plot(STRENGTHS[i], middle[i], "o", color=colour, markersize=7)
    below.set(xscale="log", ylim=(0, 0.85), xlabel="strength times standard deviation, α·σ")
    below.set_title(
        f"Share of items with 90 %{broken}of the gradient (dots: 0.16 n)", fontsize=title
    )
    below.legend(frameon=False, loc="lower left", labelcolor="linecolor")
    for axes in (above, below):
        axes.axvspan(1, 10, color=theme.faint, alpha=0.15, linewidth=0)
        axes.set_xlim(0.1, 1e4)
        axes.grid(color=theme.faint, alpha=0.3, linewidth=0.6)
    return figure


CURVES = distances()
SHARES = {n: shares(n) for n in (16, 100, 1000, 10_000)}

if __name__ == "__main__":
    save(PICTURES / "choosing.png", draw, size=12)
