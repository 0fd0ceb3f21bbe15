"""Draws ``docs/pictures/architecture.png`` and its dark twin: the way of a row through the files.

Every file that it names must exist. Needs matplotlib.
"""

import itertools
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from themes import DARK, NARROW, Theme, save

REPOSITORY = Path(__file__).resolve().parent.parent.parent
# Okabe and Ito's colours, light and dark: one a floor.
FLOORS = {
    "rank_relax": ("#F6DDB0", "#5A4415"),
    "csrc/torch": ("#CBE6F7", "#1D4A66"),
    "csrc/cpu": ("#BFE3D6", "#12503F"),
    "csrc/cuda": ("#EBCFDF", "#5E3350"),
    "csrc/core": ("#E3E3E3", "#3E444C"),
}
LEFT, MIDDLE, RIGHT, WIDTH, HEIGHT = 0.0, 3.55, 7.1, 3.3, 0.74


class Stage(NamedTuple):
    file: str
    does: str
    x: float
    y: float
    width: float = WIDTH


CPU = [
    ("csrc/torch/cpu/soft_rank.cpp", "tensors to pointers"),
    ("csrc/cpu/soft_rank.cpp", "the instruction set"),
    ("csrc/cpu/batch/soft_rank.h", "rows over threads"),
    ("csrc/cpu/sum/row_sum.h", "finite items, infinities counted"),
    ("csrc/cpu/sum/kernel_sum.h", "the form"),
    ("csrc/cpu/sum/one_box.h", "one of four forms"),
    ("csrc/cpu/isa/vector.h", "registers"),
]
CUDA = [
    ("csrc/torch/cuda/soft_rank.cpp", "tensors to pointers"),
    ("csrc/cuda/soft_rank.cu", "the launches"),
    ("csrc/cuda/sum/kernel_sum.cuh", "rows over blocks"),
    ("csrc/cuda/row/row_plan.cuh", "finite items, the form"),
    ("csrc/cuda/sum/one_box.cuh", "one of four forms"),
    ("csrc/cuda/launch/block.cuh", "what threads do together"),
]
ELSEWHERE = [
    ("csrc/torch/any_device/soft_rank.cpp", "the same in tensors"),
    ("csrc/torch/any_device/pairwise_sum.cpp", "all pairs"),
]


def column(files: list[tuple[str, str]], x: float, top: float) -> list[Stage]:
    return [Stage(file, does, x, top - i) for i, (file, does) in enumerate(files)]


def draw(axes: Axes, stage: Stage, theme: Theme, scale: float) -> None:
    if not (REPOSITORY / stage.file).exists():
        raise FileNotFoundError(f"there is no {stage.file}: the picture is of another house")
    light, dark = next(of for floor, of in FLOORS.items() if stage.file.startswith(floor))
    axes.add_patch(
        FancyBboxPatch(
            (stage.x, stage.y), stage.width, HEIGHT, "round,pad=0,rounding_size=0.08",
            facecolor=dark if theme is DARK else light, edgecolor=theme.faint, linewidth=0.8,
        )
    )  # fmt: skip
    middle = stage.x + stage.width / 2
    axes.text(middle, stage.y + 0.48, stage.file, ha="center", va="center", family="monospace",
              fontsize=7.5 * scale)  # fmt: skip
    axes.text(middle, stage.y + 0.2, stage.does, ha="center", va="center", fontsize=8.5 * scale)


def arrow(axes: Axes, begin: tuple[float, float], end: tuple[float, float], theme: Theme) -> None:
    style = {"arrowstyle": "-|>", "color": theme.ink, "lw": 1.1, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", xy=end, xytext=begin, arrowprops=style)


def draw_figure(theme: Theme, narrow: bool) -> Figure:
    """The columns side by side, or one below the other."""
    figure = Figure(figsize=(NARROW, 18.0) if narrow else (10.6, 8.8), layout="constrained")
    axes = figure.subplots()
    scale = 1.2 if narrow else 1.0  # of the text
    # Where the columns and the boxes of csrc/core are.
    tops, floors = ([7.0, -0.4, -6.8], [-9.2, -10.2, -11.2]) if narrow else ([7.0] * 3, [0.0] * 3)
    lefts = [LEFT] * 3 if narrow else [LEFT, MIDDLE, RIGHT]
    whole = lefts[-1] + WIDTH
    python = Stage(
        "rank_relax/ranks.py", "soft_rank(input, α): options and their errors", 0, 9, whole
    )
    autograd = Stage(
        "csrc/torch/autograd/soft_rank.cpp", "a node in the graph, if one is wanted", 0, 8, whole
    )
    columns = list(map(column, (CPU, CUDA, ELSEWHERE), lefts, tops))
    core = [
        Stage("csrc/core/row", "kinds, counts, where boxes lie, which form", lefts[0], floors[0]),
        Stage("csrc/core/series", "the series between boxes", lefts[1], floors[1]),
        Stage("csrc/core/cdf", "F, its derivatives and tails", lefts[2], floors[2]),
    ]
    for stage in [python, autograd, *itertools.chain(*columns), *core]:
        draw(axes, stage, theme, scale)
    arrow(axes, (whole / 2, python.y), (whole / 2, autograd.y + HEIGHT), theme)
    for name, stages in zip(("CPU", "CUDA", "any other device"), columns, strict=True):
        middle, top = stages[0].x + WIDTH / 2, stages[0].y + 1
        arrow(axes, (middle, top), (middle, stages[0].y + HEIGHT), theme)
        at = middle + 0.08, top - 0.13
        axes.text(*at, name, fontsize=8.5 * scale, va="center", style="italic")
        for above, below in itertools.pairwise(stages):
            arrow(axes, (middle, above.y), (middle, below.y + HEIGHT), theme)
        if not narrow or stages is columns[-1]:
            arrow(axes, (middle, stages[-1].y), (middle, core[0].y + HEIGHT), theme)
    axes.set(xlim=(-0.05, whole + 0.05), ylim=(floors[-1] - 0.05, 9.8))
    axes.axis("off")
    return figure


def main() -> None:
    save(REPOSITORY / "docs" / "pictures" / "architecture.png", draw_figure)


if __name__ == "__main__":
    main()
