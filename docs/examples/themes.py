"""Each picture twice: for light pages, and beside it, named ``NAME_dark``, for dark ones."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import matplotlib
from matplotlib.figure import Figure


class Theme(NamedTuple):
    """Colours of a picture. Those of lines are after Okabe and Ito, for colour-blind eyes."""

    paper: str
    ink: str
    faint: str
    orange: str
    green: str
    blue: str
    pink: str
    yellow: str


LIGHT = Theme(
    "#ffffff", "#222222", "#999999", "#B65400", "#00805E", "#0072B2", "#A8527F", "#8F8500"
)
DARK = Theme("#14181e", "#dddddd", "#777777", "#E69F00", "#2BC79B", "#56B4E9", "#E08FBB", "#F0E442")


def save(path: Path, draw: Callable[[Theme], Figure], size: float = 11, dpi: int = 150) -> None:
    """Saves what ``draw`` makes of each theme, with text of ``size`` points."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for theme, suffix in ((LIGHT, ""), (DARK, "_dark")):
        inked = ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")
        style = {
            "font.size": size,
            "figure.facecolor": theme.paper,
            "axes.facecolor": theme.paper,
            "axes.spines.top": False,
            "axes.spines.right": False,
            **dict.fromkeys(inked, theme.ink),
        }
        with matplotlib.rc_context(style):
            draw(theme).savefig(path.with_name(f"{path.stem}{suffix}{path.suffix}"), dpi=dpi)
