"""Draws the pictures of docs/algorithm.md.

``algorithm_terms.png``: the truncation error of a series in one box against its number of terms.
``algorithm_boxes.png``: a sample on a grid of boxes, and the local series of three of them.
``algorithm_forms.png``: which form sums a row, by its length and spread, from the constants in
csrc.

Needs numpy, scipy and matplotlib.
"""

import argparse
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.polynomial.chebyshev import cheb2poly, chebvander
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray
from scipy.special import expit, ndtr, ndtri
from themes import NARROW, Theme, save

REPOSITORY = Path(__file__).resolve().parent.parent.parent
PICTURES = REPOSITORY / "docs" / "pictures"
CSRC = REPOSITORY / "csrc"

Array = NDArray[np.float64]
Kernel = Callable[[Array], Array]
# F - 1/2; and of Okabe and Ito, who chose their colours for colour-blind eyes.
CDFS: dict[str, Kernel] = {"sigmoid": lambda d: expit(d) - 0.5, "gaussian": lambda d: ndtr(d) - 0.5}
COLOURS = ["#E69F00", "#56B4E9", "#009E73", "#CC79A7", "#0072B2", "#D55E00"]


def constants(file: str, name: str) -> list[float]:
    """The numbers that a constant in a header is set to."""
    found = re.search(rf"\b{name}(?:\[\])? = (.*?);", (CSRC / file).read_text(), re.DOTALL)
    if found is None:
        raise ValueError(f"csrc/{file} has no constant {name}")
    return [float(number) for number in re.findall(r"\d+(?:\.\d+)?", found[1])]


# Series


def chebyshev_at(angles: Array, terms: int) -> Array:
    """T_k(cos angle), [angle, k]."""
    return np.cos(np.outer(angles, np.arange(terms)))


def kernel_series(kernel: Kernel, distance: float, half_width: float, terms: int) -> Array:
    """c[k, l] of T_k(t) T_l(s): kernel(distance + half_width (t - s)), interpolated."""
    nodes = terms + 12
    angles = np.pi * (np.arange(nodes) + 0.5) / nodes
    transform = 2 / nodes * chebyshev_at(angles, terms).T
    transform[0] /= 2
    values = kernel(distance + half_width * np.subtract.outer(np.cos(angles), np.cos(angles)))
    series: Array = transform @ values @ transform.T
    return series


def truncation_error(kernel: Kernel, half_width: float, terms: int) -> float:
    """The largest one of a pair in a box."""
    angles = np.linspace(0, np.pi, 201)
    polynomials = chebyshev_at(angles, terms)
    series = polynomials @ kernel_series(kernel, 0, half_width, terms) @ polynomials.T
    exact = kernel(half_width * np.subtract.outer(np.cos(angles), np.cos(angles)))
    return float(np.abs(series - exact).max())


def draw_terms(theme: Theme, narrow: bool) -> Figure:
    figure = Figure(figsize=(NARROW, 7.4) if narrow else (8.0, 3.9), layout="constrained")
    all_terms = np.arange(4, 65, 4)
    all_axes = figure.subplots(*((2, 1) if narrow else (1, 2)), sharex=True, sharey=True)
    for axes, (method, kernel) in zip(all_axes, CDFS.items(), strict=True):
        for spread, colour in zip((1, 2, 4, 8, 16, 32), COLOURS, strict=True):
            errors = [truncation_error(kernel, spread / 2, int(terms)) for terms in all_terms]
            axes.plot(all_terms, errors, "o-", color=colour, markersize=3, label=f"{spread}")
        for tolerance, text_at, name in ((4e-8, 6e-8, "float32"), (4e-15, 3e-16, "float64")):
            axes.axhline(tolerance, color=theme.faint, linewidth=1, linestyle=":", zorder=0)
            axes.text(64, text_at, name, color=theme.faint, ha="right", fontsize=8)
        axes.set(yscale="log", ylim=(2e-17, 3), title=method)
        axes.set_xticks(np.arange(8, 65, 8))
    for axes in all_axes[1:] if narrow else all_axes:
        axes.set(xlabel="terms in each variable")
    for axes in all_axes if narrow else all_axes[:1]:
        axes.set(ylabel="largest error of F − ½ for a pair")
    figure.legend(
        *all_axes[0].get_legend_handles_labels(),
        title="scaled spread",
        frameon=False,
        loc="outside lower center" if narrow else "outside right center",
        ncols=6 if narrow else 1,
        columnspacing=1.0,
        handlelength=1.0,
    )
    return figure


# Boxes


def draw_boxes(theme: Theme, narrow: bool) -> Figure:
    kernel = CDFS["gaussian"]
    width, reach = constants("core/cdf/gaussian.h", "box_grid")[:2]
    terms = int(constants("core/series/series_spread.h", "kGridTerms")[0])
    generator = np.random.default_rng(3)
    centres, deviations, counts = (1.5, 9.0, 18.5), (0.9, 3.2, 0.9), (35, 70, 35)
    u = np.concatenate(list(map(generator.normal, centres, deviations, counts)))
    box = np.rint(u / width).astype(int)
    first, boxes = int(box.min()), int(np.ptp(box)) + 1
    far = int(np.ceil(reach / width))

    # Moments, box by box, and the local series of three boxes.
    polynomials = chebvander(2 * (u / width - box), terms - 1)
    moments = np.zeros((boxes, terms))
    np.add.at(moments, box - first, polynomials)
    counts_of = moments[:, 0]
    shown = {2: COLOURS[1], 11: COLOURS[5], 23: COLOURS[2]}
    local = {}
    for target in shown:
        coefficients = np.zeros(terms)
        for source in range(first, first + boxes):
            distance, items = target - source, counts_of[source - first]
            if abs(distance) > far:
                coefficients[0] += np.sign(distance) * items / 2
            else:
                series = kernel_series(kernel, distance * width, width / 2, terms)
                coefficients += series @ moments[source - first]
        local[target] = cheb2poly(coefficients)

    figure = Figure(figsize=(NARROW, 6.0) if narrow else (8.0, 4.6), layout="constrained")
    items, sums = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    target = 11
    left = (np.arange(first, first + boxes) - 0.5) * width
    near = np.abs(np.arange(first, first + boxes) - target) <= far
    items.bar(
        left,
        counts_of,
        width,
        align="edge",
        color=np.where(near, theme.blue, theme.faint),
        alpha=0.6,
        edgecolor=theme.paper,
    )
    items.bar(left[target - first], counts_of[target - first], width, align="edge", color="#D55E00")
    items.plot(u, np.full_like(u, -1.3), "|", color=theme.ink, markersize=6, alpha=0.5)
    items.set(ylabel="items in a box", ylim=(-2.6, 29))
    for number in shown:
        place, height = left[number - first] + width / 2, counts_of[number - first]
        items.text(place, height + 0.4, str(number), ha="center", fontsize=8)
    edges = left[near][0], left[near][-1] + width
    for place, words in (
        ((left[0] + edges[0]) / 2, "too far below:\n+½ per item"),
        ((edges[0] + edges[1]) / 2, "within reach:\nby their moments"),
        ((left[-1] + width + edges[1]) / 2, "too far above:\n−½ per item"),
    ):
        items.text(place, 29, words, ha="center", va="top", fontsize=8)

    at = np.linspace(left[0] - 1, left[-1] + width + 1, 800)
    exact = kernel(np.subtract.outer(at, u)).sum(1)
    sums.plot(at, exact, color=theme.faint, alpha=0.6, linewidth=4, label="the sum over all items")
    for target, colour in shown.items():
        for half_boxes, style, label in ((8, ":", None), (1, "-", f"the series of box {target}")):
            t = np.linspace(-half_boxes, half_boxes, 400)
            place = (target + t / 2) * width
            value = polyval(t, local[target])
            inside = np.abs(value - np.interp(place, at, exact)) < 12
            sums.plot(place[inside], value[inside], style, color=colour, linewidth=2, label=label)
        for side in (-0.5, 0.5):
            sums.axvline((target + side) * width, color=colour, linewidth=0.6, alpha=0.6)
    sums.set(xlabel="scaled value α·x", ylabel="Σ (F − ½)", ylim=(-85, 85))
    if narrow:
        figure.legend(frameon=False, loc="outside lower center", fontsize=9)
    else:
        sums.legend(frameon=False, loc="lower right", bbox_to_anchor=(0.79, 0), fontsize=8)
    return figure


# Forms

FORMS = ("pairwise", "one box", "many boxes", "sorted")
FORM_COLOURS = ("#CC79A7", "#56B4E9", "#7fcfb4", "#E69F00")


def row_form(precision: int, order: int, count: Array, spread: Array) -> NDArray[np.int64]:
    """As in csrc/core/row/row_form.h, of the sigmoid: the place in FORMS."""
    longest_pairwise = constants("core/row/row_form.h", "kLongestPairwise")[precision]
    widest_one_box = constants("core/row/row_form.h", "kWidestOneBox")[precision]
    fewest_items = constants("core/row/row_form.h", "kFewestItemsABox")[precision]
    width = constants("core/cdf/sigmoid.h", "box_grid")[2 * precision]
    has_one_box = spread <= widest_series(precision, order)
    items_a_box = count / (spread / width + 1)
    return np.select(
        [
            count <= longest_pairwise,
            has_one_box & (spread <= widest_one_box),
            items_a_box >= fewest_items * 2**order,
            has_one_box,
        ],
        [0, 1, 2, 1],
        3,
    )


def widest_series(precision: int, order: int) -> float:
    table = np.reshape(constants("core/cdf/sigmoid.h", "series_spread"), (2, 3, -1))
    return float(table[precision, order, -1])


def draw_forms(theme: Theme, narrow: bool) -> Figure:
    count = np.geomspace(2, 1e7, 600)
    spread = np.geomspace(0.3, 1e7, 600)
    longest_abreast = constants("core/row/row_form.h", "kLongestAbreast")[0]
    figure = Figure(figsize=(NARROW, 9.6) if narrow else (8.0, 3.8), layout="constrained")
    panels = ((0, 0, "float32, ranks"), (0, 1, "float32, gradients"), (1, 0, "float64, ranks"))
    all_axes = figure.subplots(*((3, 1) if narrow else (1, 3)), sharex=True, sharey=True)
    for axes, (precision, order, title) in zip(all_axes, panels, strict=True):
        form = row_form(precision, order, *np.meshgrid(count, spread))
        axes.pcolormesh(count, spread, form, cmap=ListedColormap(FORM_COLOURS), vmin=-0.5, vmax=3.5)
        axes.fill_between(
            [2, longest_abreast],
            [spread[0]] * 2,
            [spread[-1]] * 2,
            facecolor="none",
            edgecolor="black",
            hatch="////",
            linewidth=0.5,
            alpha=0.5,
        )
        axes.set(xscale="log", yscale="log", title=title)
        axes.set_xticks([10, 1e3, 1e5, 1e7])
        axes.minorticks_off()
        for strength in (1, 10, 100):  # how wide n items of a normal distribution lie
            axes.plot(count, 2 * strength * ndtri(count / (count + 1)), ":", color="black")
        axes.set_ylim(spread[0], spread[-1])
        name_forms(axes)
    for axes in all_axes[2:] if narrow else all_axes:
        axes.set(xlabel="items in the row")
    for axes in all_axes if narrow else all_axes[:1]:
        axes.set(ylabel="scaled spread α·(max − min)")
    figure.legend(
        handles=[
            Patch(facecolor="none", edgecolor=theme.faint, hatch="////"),
            Line2D([], [], color=theme.ink, linestyle=":"),
        ],
        labels=["rows abreast, in batches", "N(0, 1) at α = 1, 10 and 100"],
        ncols=1 if narrow else 2,
        loc="outside lower center",
        frameon=False,
    )
    return figure


def name_forms(axes: Axes) -> None:
    style = {"ha": "center", "va": "center", "fontsize": 9, "color": "black"}
    axes.text(4.5, 3e4, "pairwise", rotation=90, **style)
    axes.text(2e4, 1.6, "one box", **style)
    axes.text(4e5, 3.2e1, "many boxes", **style)
    axes.text(4e3, 3e5, "sorted", **style)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path, default=PICTURES, help="the folder to draw into")
    pictures = parser.parse_args().pictures
    save(pictures / "algorithm_terms.png", draw_terms, size=10)
    save(pictures / "algorithm_boxes.png", draw_boxes, size=10)
    save(pictures / "algorithm_forms.png", draw_forms, size=10)


if __name__ == "__main__":
    main()
