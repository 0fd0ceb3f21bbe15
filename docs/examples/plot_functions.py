"""Draws what each function returns, and its gradient, as one item of a list moves.

    python docs/examples/plot_functions.py FOLDER

For every function of the reference a picture for light pages and one for dark ones, ``NAME.png``
and ``NAME_dark.png``: above the result, at three strengths or temperatures and hard; below its
derivative with respect to the score that moves. The site draws them at each build (docs/conf.py).

Needs rank_relax and matplotlib.
"""

import argparse
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from matplotlib.figure import Figure
from themes import NARROW, Theme, save
from torch import Tensor

import rank_relax

Function = Callable[..., Tensor]

OTHERS = torch.tensor([-1.6, -0.7, 0.1, 0.9, 1.3, 2.1], dtype=torch.float64)
PLACES = torch.linspace(-4, 4, 401, dtype=torch.float64)
GRADES = torch.tensor([0, 1, 0, 2, 0, 3, 2])  # of the six others, and of the item that moves
ORDER = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 4.5])
RELEVANT = (GRADES > 1).int()


class Plot(NamedTuple):
    """``result(lists, sharpness)``: one number for each of the lists [places, items]."""

    says: str
    result: Callable[[Tensor, float], Tensor]
    sharp: tuple[float, ...]  # three strengths or temperatures, from soft to sharp
    hard: float | None  # one at which the result is the hard one, to all that a picture shows
    unit: str = "α"
    moves: str = "score of the item that moves (bars: the others)"
    bars: bool = True


def of_strength(function: Function, pick: Callable[[Tensor], Tensor], **options: Any) -> Any:
    return lambda lists, strength: pick(
        function(lists, regularization_strength=strength, **options)
    )


def loss(function: Function, labels: Tensor, **options: Any) -> Any:
    def result(lists: Tensor, temperature: float) -> Tensor:
        given = labels.expand_as(lists)
        return function(lists, given, temperature=temperature, reduction="none", **options)

    return result


def concordance(lists: Tensor, temperature: float) -> Tensor:
    times, events = 7 - ORDER.expand_as(lists), (GRADES != 1).expand_as(lists)
    return rank_relax.concordance_loss(
        lists, times, events, temperature=temperature, reduction="none"
    )


def count(lists: Tensor, strength: float) -> Tensor:
    points, values = lists[:, -1:], lists[:, :-1].detach()
    ones = torch.ones_like(values)
    return rank_relax.soft_count(points, values, ones, regularization_strength=strength)[:, 0]


def smooth_ap(lists: Tensor, temperature: float) -> Tensor:
    """The loss of six embeddings on a circle, three of a class, one of which turns around."""
    angles = torch.cat([0.6 * lists[:, :5], lists[:, -1:] * (torch.pi / 4)], dim=1)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=-1)
    classes = torch.tensor([0, 0, 0, 1, 1, 1])
    one = partial(rank_relax.smooth_ap_loss, temperature=temperature)
    return torch.stack([one(batch, classes) for batch in embeddings])


def means(function: Function, *arguments: Any) -> Any:
    return lambda lists, temperature: function(
        lists, *arguments, temperature=temperature, reduction="none"
    )


def last(x: Tensor) -> Tensor:
    return x[:, -1]


RANKS, SORTS, LOGITS = (0.5, 2.0, 8.0), (1.0, 3.0, 10.0), (2.0, 0.5, 0.1)
PAIRS = (2.0, 1.0, 0.5)
LOSSES: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "kendall_loss": (ORDER, {}),
    "normal_scores_loss": (ORDER, {}),
    "ndcg_loss": (GRADES, {}),
    "mrr_loss": (RELEVANT, {}),
    "adr_mse_loss": (ORDER, {}),
    "precision_at_k_loss": (RELEVANT, {"k": 2}),
    "recall_at_k_loss": (RELEVANT, {"k": 2}),
    "auc_loss": (RELEVANT, {}),
    "partial_auc_loss": (RELEVANT, {"fpr": 0.25}),
    "average_precision_loss": (RELEVANT, {}),
}
WITHOUT_A_METRIC: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "lambda_loss": (GRADES, {}),
    "pairwise_logistic_loss": (ORDER, {}),
    "listnet_loss": (GRADES, {}),
    "listmle_loss": (ORDER, {}),
    "cosent_loss": (ORDER, {}),
}
PLOTS: dict[str, Plot] = {
    "soft_rank": Plot("its rank", of_strength(rank_relax.soft_rank, last), RANKS, 1e5),
    "hard_rank": Plot("its rank", lambda lists, _: last(rank_relax.hard_rank(lists)), (), 1.0),
    "spearman_correlation": Plot(
        "correlation",
        lambda lists, _: rank_relax.spearman_correlation(
            lists, ORDER.expand_as(lists), reduction="none"
        ),
        (),
        1.0,
    ),
    "soft_sort": Plot(
        "fourth of seven",
        of_strength(rank_relax.soft_sort, lambda y: y[:, 3]),
        SORTS,
        1e5,
    ),
    "soft_quantile": Plot(
        "the 0.8 quantile",
        lambda lists, a: rank_relax.soft_quantile(lists, 0.8, regularization_strength=a),
        SORTS,
        1e5,
    ),
    "soft_topk": Plot(
        "its share of the top 2",
        lambda lists, a: last(rank_relax.soft_topk(lists, 2, regularization_strength=a)),
        SORTS,
        1e5,
    ),
    "soft_count": Plot("count below", count, RANKS, 1e5, moves="the point (bars: values)"),
    "spearman_loss": Plot(
        "loss",
        lambda lists, a: rank_relax.spearman_loss(
            lists, ORDER.expand_as(lists), regularization_strength=a, reduction="none"
        ),
        RANKS,
        1e5,
    ),
    **{
        name: Plot("loss", loss(getattr(rank_relax, name), labels, **options), LOGITS, 1e-5, "T")
        for name, (labels, options) in LOSSES.items()
    },
    **{
        name: Plot("loss", loss(getattr(rank_relax, name), labels, **options), PAIRS, None, "T")
        for name, (labels, options) in WITHOUT_A_METRIC.items()
    },
    "topk_cross_entropy_loss": Plot(
        "loss, top 2",
        lambda lists, t: rank_relax.topk_cross_entropy_loss(
            lists,
            torch.full(lists.shape[:1], 6),
            probabilities=(0.0, 1.0),
            temperature=t,
            reduction="none",
        ),
        PAIRS,
        None,
        "T",
        "score of the true class (bars: the others)",
    ),
    "smooth_ap_loss": Plot(
        "loss",
        smooth_ap,
        (0.5, 0.1, 0.03),
        None,
        "T",
        "an embedding that turns (angle, π/4)",
        False,
    ),
    "concordance_loss": Plot("loss", concordance, LOGITS, 1e-5, "T"),
    "trimmed_mean": Plot(
        "mean, trimmed by ⅓",
        means(rank_relax.trimmed_mean, 1 / 3),
        LOGITS,
        1e-5,
        "T",
        "the loss that moves (bars: the others)",
    ),
    "cvar": Plot(
        "mean of the worst ⅓",
        means(rank_relax.cvar, 1 / 3),
        LOGITS,
        1e-5,
        "T",
        "the loss that moves (bars: the others)",
    ),
}


@cache
def lines(name: str, sharpness: float) -> tuple[Tensor, Tensor]:
    """The result at each place of the item that moves, and its derivative."""
    plot = PLOTS[name]
    moving = PLACES[:, None].clone().requires_grad_()
    result = plot.result(torch.cat([OTHERS.expand(len(PLACES), -1), moving], dim=1), sharpness)
    if not result.requires_grad:
        return result, torch.zeros_like(PLACES)
    (slope,) = torch.autograd.grad(result.sum(), moving)
    return result.detach(), slope[:, 0]


def draw_one(name: str, theme: Theme, narrow: bool) -> Figure:
    plot = PLOTS[name]
    figure = Figure(figsize=(NARROW if narrow else 6.2, 4.6), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    # From soft to sharp.
    for sharp, colour in zip(plot.sharp, (theme.orange, theme.green, theme.blue), strict=False):
        result, slope = lines(name, sharp)
        above.plot(PLACES, result, color=colour, linewidth=2, label=f"{plot.unit} = {sharp:g}")
        below.plot(PLACES, slope, color=colour, linewidth=2)
    if plot.hard is not None:
        above.plot(PLACES, lines(name, plot.hard)[0], color=theme.ink, linewidth=1, label="hard")
    if not plot.sharp:
        below.plot(PLACES, torch.zeros_like(PLACES), color=theme.ink, linewidth=1)
    if plot.bars:
        low = above.get_ylim()[0]
        above.plot(OTHERS, torch.full_like(OTHERS, low), "|", color=theme.ink, markersize=9)
    above.set(title=name, ylabel=plot.says)
    below.set(xlabel=plot.moves, ylabel="derivative")
    labelled = above.get_legend_handles_labels()
    figure.legend(*labelled, frameon=False, ncols=2 if narrow else 4, loc="outside lower center")
    for axes in (above, below):
        axes.grid(color=theme.faint, alpha=0.3, linewidth=0.6)
    return figure


def draw(folder: Path) -> None:
    for name in PLOTS:
        save(folder / f"{name}.png", partial(draw_one, name))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    draw(parser.parse_args().folder)
