"""Each picture four times: for light pages and for dark ones, and of each for telephones too.

Beside ``NAME.png`` lie ``NAME_dark.png``, ``NAME_narrow.png`` and ``NAME_narrow_dark.png``.
"""

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

NARROW = 4.2  # inches: in a page of 330 pixels, text of 11 points is 12 pixels high


def save(path: Path, draw: Callable[[Theme, bool], Figure], size: float = 11) -> None:
    """Saves what ``draw`` makes of each theme, with text of ``size`` points.

    Where it is given True, pictures are ``NARROW`` inches wide, with text of 11 points.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for narrow, width, points, dpi in ((False, "", size, 150), (True, "_narrow", 11, 160)):
        for theme, suffix in ((LIGHT, ""), (DARK, "_dark")):
            inked = (
                "text.color",
                "axes.labelcolor",
                "axes.edgecolor",
                "xtick.color",
                "ytick.color",
            )
            style = {
                "font.size": points,
                "figure.facecolor": theme.paper,
                "axes.facecolor": theme.paper,
                "axes.spines.top": False,
                "axes.spines.right": False,
                **dict.fromkeys(inked, theme.ink),
            }
            with matplotlib.rc_context(style):
                figure = draw(theme, narrow)
                figure.savefig(path.with_stem(f"{path.stem}{width}{suffix}"), dpi=dpi)
