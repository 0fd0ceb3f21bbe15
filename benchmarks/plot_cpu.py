"""Shows what benchmarks/cpu.py measured: lines, Markdown tables and the picture.

The picture needs matplotlib.
"""

import functools
import json
import math
import statistics
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from themes import Theme

EXAMPLES = Path(__file__).resolve().parent.parent / "docs" / "examples"

AVX2_ALLOWANCE = 2.0  # AVX2 may take so many times the aims
SORT_AIM = 12.0  # times faster than torch.sort over one long row, at strength 1
SPEARMAN_AIM = 5.0  # times a soft rank, beside what a call costs by itself
THREADS_AIM = 1.7  # times faster with two threads
NASTY_NANOSECONDS = 25.0  # an item, for any input,
NASTY_SORTS = 2.0  # or so many sorts of the shuffled data, if that is more

# What, its aim, what was measured, and whether that meets the aim, if there is one.
Aim = tuple[str, str, float, bool | None]

VERDICTS = {True: "met", False: "missed", None: ""}

COLUMNS = ("torch.sigmoid", "torch.sort", "pairwise")
HEADING = f"{'':76}{'ns/item':>9}{'[quartiles]':>22}{'error':>9}" + "".join(
    f"{'/ ' + rival:>20}" for rival in COLUMNS
)


@dataclass
class Spread:
    """A median and the quartiles beside it."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Entry:
    """A line of the results."""

    name: str
    group: str
    instruction_set: str | None
    shape: list[int]
    dtype: str
    distribution: str
    operator: str
    backward: bool
    strength: float
    method: str
    threads: int
    rounds: int
    error: float
    aim: float | None  # for the ratio to torch.sigmoid
    nanoseconds: Spread  # an item
    rivals: dict[str, Spread]  # their nanoseconds an item
    ratios: dict[str, Spread]  # ours divided by theirs

    @classmethod
    def of(cls, fields: dict[str, Any]) -> "Entry":
        """From JSON."""
        fields = {**fields, "nanoseconds": Spread(**fields["nanoseconds"])}
        for name in ("rivals", "ratios"):
            fields[name] = {rival: Spread(**spread) for rival, spread in fields[name].items()}
        return cls(**fields)

    @property
    def shape_name(self) -> str:
        return "×".join(map(str, self.shape))

    def line(self) -> str:
        time = self.nanoseconds
        quartiles = f"[{time.low:.4g}, {time.high:.4g}]"
        ratios = (self.ratios.get(rival) for rival in COLUMNS)
        return f"{self.name:<76}{time.median:9.4g}{quartiles:>22}{self.error:9.1e}" + "".join(
            f"{f'{ratio.median:.3g} ± {(ratio.high - ratio.low) / 2:.1g}' if ratio else '':>20}"
            for ratio in ratios
        )


@dataclass
class Results:
    """The JSON file."""

    environment: dict[str, str | int | None]
    entries: list[Entry]

    @classmethod
    def read(cls, path: Path) -> "Results":
        content = json.loads(path.read_text())
        return cls(content["environment"], [Entry.of(fields) for fields in content["entries"]])

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")


def select(entries: Iterable[Entry], **wanted: object) -> list[Entry]:
    """Those whose fields are these."""
    return [e for e in entries if all(getattr(e, name) == v for name, v in wanted.items())]


def markdown(title: str, heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heading, ["---"] * len(heading), *rows]
    return f"\n{title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def brief(spread: Spread) -> str:
    return f"{spread.median:.3g} [{spread.low:.3g}, {spread.high:.3g}]"


def times_faster(entry: Entry, rival: str) -> str:
    ratio = entry.ratios.get(rival)
    return f"{1 / ratio.median:.3g}" if ratio else ""


def figures_table(entries: Sequence[Entry]) -> str:
    """The shapes with an aim: multiples of torch.sigmoid for every instruction set."""
    sets = list(dict.fromkeys(e.instruction_set for e in select(entries, group="instructions")))

    def rows() -> Iterator[list[str]]:
        for entry in select(entries, group="figures"):
            time, ratio = entry.nanoseconds, entry.ratios["torch.sigmoid"]
            row = [entry.shape_name, f"{entry.strength:g}"]
            row += ["forward+backward" if entry.backward else "forward"]
            row += [brief(time), f"{entry.error:.1e}"]
            row += [f"{entry.aim:g}", brief(ratio)]
            wanted = {"shape": entry.shape, "strength": entry.strength, "backward": entry.backward}
            for instruction_set in sets:
                same = select(entries, instruction_set=instruction_set, **wanted)
                row += [f"{same[0].ratios['torch.sigmoid'].median:.3g}" if same else ""]
            yield [*row, times_faster(entry, "torch.sort"), times_faster(entry, "pairwise")]

    heading = ["shape", "α", "", "ns an item [quartiles]", "error", "aim", "÷ torch.sigmoid"]
    heading += [f"{name}" for name in sets] + ["torch.sort ÷ this", "pairwise ÷ this"]
    return markdown("Multiples of torch.sigmoid over the same tensor", heading, rows())


def figure_aims(entries: Sequence[Entry]) -> Iterator[Aim]:
    """Those of the table of figures."""
    for entry in select(entries, group="figures", strength=1.0, backward=False):
        if len(entry.shape) == 1:
            faster = 1 / entry.ratios["torch.sort"].median
            name = f"torch.sort ÷ soft_rank, {entry.shape_name}, α = 1"
            yield name, f"≥ {SORT_AIM:g}", faster, faster >= SORT_AIM
    with_aim = [entry for entry in entries if entry.aim]
    for instruction_set in dict.fromkeys(entry.instruction_set for entry in with_aim):
        largest = max(
            entry.ratios["torch.sigmoid"].median / (entry.aim or math.nan)
            for entry in select(with_aim, instruction_set=instruction_set)
        )
        name = f"÷ torch.sigmoid, as a part of its aim, largest, {instruction_set or 'as loaded'}"
        if instruction_set == "baseline":
            yield name, "", largest, None
        else:
            allowed = AVX2_ALLOWANCE if instruction_set == "avx2" else 1.0
            yield name, f"≤ {allowed:g}", largest, largest <= allowed


def other_aims(entries: Sequence[Entry]) -> Iterator[Aim]:
    """Those of the loss, of nasty inputs and of threads."""
    spearman = select(entries, group="spearman", operator="spearman_loss")
    if len(spearman) == 2:
        loss, call = spearman
        beside = call.nanoseconds.median * math.prod(call.shape) / math.prod(loss.shape)
        multiple = (loss.nanoseconds.median - beside) / loss.rivals["soft_rank"].median
        name = f"spearman_loss forward+backward, less a call, ÷ soft_rank, {loss.shape_name}"
        yield name, f"< {SPEARMAN_AIM:g}", multiple, multiple < SPEARMAN_AIM
    if nasty := select(entries, group="nasty"):
        worst = max(nasty, key=lambda entry: entry.nanoseconds.median / nasty_bound(entry))
        part = worst.nanoseconds.median / nasty_bound(worst)
        name = f"time ÷ bound of the slowest nasty input ({nasty_name(worst)}, {worst.shape_name})"
        yield name, "≤ 1", part, part <= 1
    for entry in select(entries, group="threads", threads=2):
        faster = 1 / entry.ratios["one thread"].median
        name = entry.name.removeprefix("threads ")
        yield f"speed-up, {name}", f"≥ {THREADS_AIM:g}", faster, faster >= THREADS_AIM


def aims_table(entries: Sequence[Entry]) -> str:
    rows = [
        (name, aim, f"{measured:.3g}", VERDICTS[met])
        for name, aim, measured, met in [*figure_aims(entries), *other_aims(entries)]
    ]
    return markdown("Aims", ["", "aim", "measured", ""], rows)


def nasty_bound(entry: Entry) -> float:
    """Nanoseconds an item that any input may take."""
    return max(NASTY_NANOSECONDS, NASTY_SORTS * entry.rivals["torch.sort, shuffled"].median)


def nasty_name(entry: Entry) -> str:
    return entry.distribution if entry.strength == 1 else f"normal, α = {entry.strength:g}"


def nasty_table(entries: Sequence[Entry]) -> str:
    nasty = select(entries, group="nasty")
    shapes = list(dict.fromkeys(entry.shape_name for entry in nasty))

    def cell(name: str, shape: str) -> str:
        for entry in nasty:
            if (nasty_name(entry), entry.shape_name) == (name, shape):
                time = entry.nanoseconds.median
                return f"{time:.3g} of {nasty_bound(entry):.3g}; {entry.error:.0e}"
        return ""

    rows = [
        [name, *(cell(name, shape) for shape in shapes)]
        for name in dict.fromkeys(map(nasty_name, nasty))
    ]
    title = "Nasty inputs, forward: ns an item of the most it may be; error"
    return markdown(title, ["input", *shapes], rows)


def tables(entries: Sequence[Entry]) -> str:
    """Everything that has entries, as Markdown."""
    parts = [("figures", figures_table), ("nasty", nasty_table)]
    found = [table(entries) for group, table in parts if select(entries, group=group)]
    return "\n".join([*found, aims_table(entries)])


@dataclass(frozen=True)
class Line:
    label: str
    colour: str
    width: float
    points: list[tuple[int, Spread]]  # n and nanoseconds an item


def lines_of(entries: Sequence[Entry], strength: float, theme: "Theme") -> list[Line]:
    """Ours are wide."""
    swept = select(
        entries, group="sweep", dtype="float32", method="sigmoid", strength=strength, backward=False
    )
    with_gradient = select(
        entries, group="sweep", dtype="float32", method="sigmoid", strength=strength, backward=True
    )

    def rival(name: str) -> list[tuple[int, Spread]]:
        return [(e.shape[-1], e.rivals[name]) for e in swept if name in e.rivals]

    def own(own_entries: Sequence[Entry]) -> list[tuple[int, Spread]]:
        return [(entry.shape[-1], entry.nanoseconds) for entry in own_entries]

    return [
        Line("pairwise in torch", theme.pink, 1.4, rival("pairwise")),
        Line("torch.sort", theme.ink, 1.4, rival("torch.sort")),
        Line("soft_rank,\nforward and\nbackward", theme.green, 2.2, own(with_gradient)),
        Line("soft_rank", theme.blue, 2.2, own(swept)),
        Line("torch.sigmoid", theme.faint, 1.4, rival("torch.sigmoid")),
    ]


def draw_panel(axes: "Axes", lines: Sequence[Line], theme: "Theme") -> None:
    for line in lines:
        n = [n for n, _ in line.points]
        spreads = [spread for _, spread in line.points]
        axes.plot(n, [s.median for s in spreads], color=line.colour, linewidth=line.width)
        low, high = [s.low for s in spreads], [s.high for s in spreads]
        axes.fill_between(n, low, high, color=line.colour, alpha=0.2, linewidth=0)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.grid(axis="y", color=theme.faint, alpha=0.3, linewidth=0.6)
    axes.set_axisbelow(True)


def two_panels(narrow: bool) -> tuple["Figure", list["Axes"]]:
    """Side by side, or one below the other."""
    sys.path.append(str(EXAMPLES))
    from matplotlib.figure import Figure
    from themes import NARROW

    figure = Figure(figsize=(NARROW, 8.4) if narrow else (10.0, 4.9), layout="constrained")
    rows, columns = (2, 1) if narrow else (1, 2)
    panels = list(figure.subplots(rows, columns, sharex=True, sharey=True))
    for axes in panels[-1:] if narrow else panels:
        axes.set(xlabel="length of a list")
    return figure, panels


def write_caption(figure: "Figure", caption: str, theme: "Theme", narrow: bool) -> None:
    if narrow:
        caption = textwrap.fill(caption, 58)
    figure.supxlabel(caption, fontsize=9, color=theme.faint)


def label_lines(axes: "Axes", lines: Sequence[Line], size: float = 10) -> None:
    """Writes every name at the end of its line, or a little above where another one is."""
    below = -math.inf
    for line in sorted(lines, key=lambda line: line.points[-1][1].median):
        n, spread = line.points[-1]
        height = 0.1 * (1 + line.label.count("\n"))  # half of it, in decades
        decade = max(math.log10(spread.median), below + height)
        below = decade + height
        axes.annotate(
            line.label,
            (n, 10**decade),
            xytext=(6, 0),
            textcoords="offset points",
            color=line.colour,
            va="center",
            fontsize=size,
        )


def draw(results: Results, path: Path) -> None:
    """Time per item against the length of a list, a panel for each strength."""
    sys.path.append(str(EXAMPLES))
    from themes import save

    save(path, functools.partial(draw_figure, results), size=10)


def draw_figure(results: Results, theme: "Theme", narrow: bool) -> "Figure":
    figure, panels = two_panels(narrow)
    for axes, strength in zip(panels, (1.0, 100.0), strict=True):
        lines = [line for line in lines_of(results.entries, strength, theme) if line.points]
        draw_panel(axes, lines, theme)
        label_lines(axes, lines, 9 if narrow else 10)
        axes.set(title=f"regularization_strength = {strength:g}")
        axes.set_xticks([2**4, 2**10, 2**16, 2**22], ["16", "1024", "65,536", "4 million"])
    for axes in panels if narrow else panels[:1]:
        axes.set_ylabel("ns per item")
    panels[0].yaxis.set_major_formatter("{x:g}")
    machine, torch = results.environment["cpu"], results.environment["torch"]
    caption = f"float32, standard normal, sigmoid, one thread; {machine}, torch {torch}; "
    caption += "short lists are batched; bands are interquartile ranges"
    write_caption(figure, caption, theme, narrow)
    return figure
