"""Everyone side by side on a CPU: time, memory and error; one thread, float32, scores from N(0,1).

    python benchmarks/compare.py [--peers REGEX] [--lengths N ...] [--strengths α ...] [--minutes M]

Makes build/compare, an environment on top of the one that runs it (which must have rank_relax and
matplotlib), installs there the peers that the registry has, and enters them, formulas that are
written here, and rank_relax itself: soft ranks and sorts, masks of the k = n/10 largest, and the
losses of Spearman, NDCG, average precision and Smooth-AP. peers/ says what α means in each. Short
lists come in batches of 4096 items; Smooth-AP has one of n embeddings.

Each contestant is a process of its own on one processor. Every round times it and the function of
rank_relax beside it, both forward and forward with backward; a ratio is the median of those of the
rounds, with half of the rounds within the ± beside it. Bytes are the most that a call with its
backward takes beyond its inputs, per item. The error is that against the contestant's own formula
in float64: the largest of the result over the largest result, or of the gradient over the largest
gradient. At a strength at which one was too slow or too large it is not tried with longer lists.

results/compare.json is written as it goes, results/compare.md and the picture
docs/pictures/compare.png at the end; --show writes these two from the JSON alone.
"""

import argparse
import json
import math
import os
import re
import select
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from datetime import date
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
ENVIRONMENT = REPOSITORY / "build" / "compare"
PYTHON = ENVIRONMENT / "bin" / "python"
CONSTRAINTS = ENVIRONMENT / "constraints.txt"
RESULTS = HERE / "results" / "compare.json"
PICTURE = REPOSITORY / "docs" / "pictures" / "compare.png"
LENGTHS = (16, 64, 1000, 10_000, 100_000, 1_000_000)
STRENGTHS = (1.0, 10.0, 100.0)
ITEMS = 4096  # of a batch, at least
START_SECONDS = 60  # of the processor to import a peer,
COMPILE_SECONDS = 20  # for the first calls of what is compiled,
ERROR_SECONDS = 20  # and for the formula in float64
NOT_TRIED = "not tried: "
MAIN_STRENGTH = 10.0  # of the short table,
MAIN_ERRORS = 1000  # and the longest lists of which it has errors
DRAWN = {  # in the picture
    "soft rank": (
        "rank_relax, sigmoid", "rank_relax, l2", "torch.sort, hard", "torchsort, l2",
        "LapSum's formula, plain torch", "plain torch, n²", "softtorch, projection",
    ),
    "Spearman": (
        "rank_relax, sigmoid", "rank_relax, l2", "torchsort, l2", "projection, numba, l2",
        "plain torch, n²", "plain torch, n², compiled",
    ),
}  # fmt: skip

Line = dict[str, Any]


def make_environment() -> None:
    """On top of the running one: rank_relax, and the torch that it is compiled for, are that's."""
    from peers import BASE

    if not PYTHON.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    below = sysconfig.get_path("purelib")
    prefix = {"base": str(ENVIRONMENT), "platbase": str(ENVIRONMENT)}
    Path(sysconfig.get_path("purelib", vars=prefix), "below.pth").write_text(below + "\n")
    CONSTRAINTS.write_text(f"torch=={metadata.version('torch')}\n")
    said = pip_install(*BASE)
    if said is not None:
        raise SystemExit(f"{' and '.join(BASE)} do not install: {said}")


def install(module: str) -> str | None:
    """What pip says where it fails; None if the peer is there, or nothing is to be installed."""
    from peers import INSTALLS

    wanted = INSTALLS.get(module)
    if wanted is None:
        return None
    said = pip_install(wanted.requirement, *wanted.options, hidden=wanted.without)
    if said is None or not wanted.if_refused:
        return said
    again = pip_install(*wanted.needs) if wanted.needs else None
    again = again or pip_install(wanted.requirement, *wanted.if_refused, hidden=wanted.without)
    return again and said


def pip_install(*arguments: str, hidden: str | None = None) -> str | None:
    """What pip says where it fails. The programs that are ``hidden`` are not on the path."""
    from peers import tail

    path = os.environ["PATH"].split(os.pathsep)
    if hidden:
        path = [folder for folder in path if not Path(folder, hidden).exists()]
    done = subprocess.run(
        [PYTHON, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, *arguments],
        env={**os.environ, "PATH": os.pathsep.join([str(PYTHON.parent), *path])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode == 0:
        return None
    said = done.stderr.splitlines()
    errors = [line for line in said if line.lower().startswith("error:")]
    return tail(re.sub("(?i)^error:", "", (errors or said or ["no reason given"])[0]))


class Child:
    """A process that measures one contestant."""

    def __init__(self, module: str, name: str, task: str, options: argparse.Namespace):
        one = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        command = [PYTHON, "-m", "peers.measure", module, name, task]
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  whatever else it prints; end() closes it
        self.process = subprocess.Popen(
            [*map(str, command), str(options.rounds), str(int(options.gigabytes * 2**30))],
            cwd=HERE, env={**os.environ, **one},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.said,
        )  # fmt: skip
        self.heard = b""

    def ask(self, problem: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(asdict(problem)).encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, seconds: float) -> Any:
        """None if there is none in so much time of the processor, or five times as much of all."""
        assert self.process.stdout is not None
        pipe, until = self.process.stdout.fileno(), time.monotonic() + 5 * seconds
        limit = self.processor_seconds() + seconds
        while b"\n" not in self.heard:
            if not select.select([pipe], [], [], 0.2)[0]:
                if time.monotonic() > until or self.processor_seconds() > limit:
                    return None
                continue
            more = os.read(pipe, 2**16)
            if not more:
                self.process.wait()
                return {"status": self.last_words()}
            self.heard += more
        line, _, self.heard = self.heard.partition(b"\n")
        return json.loads(line)

    def processor_seconds(self) -> float:
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:  # no Linux, or no process any more
            return time.monotonic()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def last_words(self) -> str:
        from peers import tail

        code = self.process.returncode
        if code < 0:
            return f"ended by {signal.Signals(-code).name}"
        self.said.seek(0)
        said = self.said.read().decode(errors="replace").strip().splitlines()
        return f"ended: {tail(said[-1]) if said else code}"

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.said.close()


def measure(
    module: str, contestant: dict[str, Any], options: argparse.Namespace, until: float
) -> Iterator[Line]:
    """All lines of a contestant."""
    from peers import Problem

    name, task = contestant["name"], contestant["task"]
    child: Child | None = None
    stopped_by: dict[float, str] = {}
    for n in options.lengths:
        for strength in options.strengths:  # of hard results that of ours beside them
            rows = 1 if task == "Smooth-AP" else math.ceil(ITEMS / n)
            problem = Problem(task, rows, n, strength)
            line = {**contestant, "module": module, **asdict(problem), **circumstances(options)}
            if strength not in stopped_by and time.monotonic() > until:
                stopped_by[strength] = "no time left"
            if strength in stopped_by:
                yield {**line, "status": NOT_TRIED + stopped_by[strength]}
                continue
            if child is None:
                child = Child(module, name, task, options)
                ready = child.answer(START_SECONDS)
                if ready != "ready":
                    child.end()
                    child, status = None, (ready or {"status": "does not start"})["status"]
                    stopped_by = dict.fromkeys(options.strengths, status) | stopped_by
                    yield {**line, "status": status}
                    continue
            answer = measured(child, problem, contestant["compiled"], options.seconds)
            if child.process.poll() is not None:
                child.end()
                child = None
            if "status" in answer:
                stopped_by[strength] = f"{answer['status']} at n = {n}"
            yield {**line, **answer}
    if child is not None:
        child.end()


def measured(child: Child, problem: Any, compiles: bool, seconds: float) -> dict[str, Any]:
    """What the child says of one problem; it is ended where it takes too long."""
    child.ask(problem)
    limit = max(COMPILE_SECONDS if compiles else 0, seconds)
    answer = child.answer(limit)
    if answer == "warm":
        limit = seconds
        answer = child.answer(limit)
    if answer is None:
        child.end()
        return {"status": f"over {limit:g} s"}
    if "status" in answer:
        return dict(answer)
    of_error = child.answer(ERROR_SECONDS)  # its own, not the contestant's
    if of_error is None:
        child.end()
    return {**answer, "error": (of_error or {}).get("error")}


def circumstances(options: argparse.Namespace) -> dict[str, str]:
    """Of a line, as another line may have been measured on another day."""
    limits = f"{options.seconds:g} s a problem, {options.gigabytes:g} GiB a process"
    return {"date": date.today().isoformat(), "limits": limits}


def entered(module: str) -> list[dict[str, Any]]:
    """The contestants of a module, asked in the environment that has the peer."""
    from peers import tail

    code = (
        "import json, sys; from peers import contestants; "
        "print(json.dumps([[c.task, c.name, c.formula, c.ours, c.note, c.compiled] "
        f"for c in contestants({module!r})]), file=sys.stdout)"
    )
    done = subprocess.run(
        [PYTHON, "-W", "ignore", "-c", code], cwd=HERE, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ImportError(tail(done.stderr.strip().splitlines()[-1]))
    fields = ("task", "name", "formula", "ours", "note", "compiled")
    return [
        {**dict(zip(fields, values, strict=True)), "hard": module == "hard"}
        for values in json.loads(done.stdout.splitlines()[-1])
    ]


def versions() -> dict[str, str]:
    from peers import INSTALLS

    names = [re.split("[=<>]", i.requirement)[0] for i in INSTALLS.values()]
    listed = subprocess.check_output([PYTHON, "-m", "pip", "list", "--format=json"], text=True)
    found = {package["name"].lower(): package["version"] for package in json.loads(listed)}
    return {x: found[x.lower()] for x in [*names, "numba", "jax", "numpy"] if x.lower() in found}


def run(options: argparse.Namespace) -> dict[str, Any]:
    from environment import environment
    from peers import MODULES, TASKS

    make_environment()
    record: dict[str, Any] = {
        "environment": environment(),
        "versions": {},
        "not installed": {},
        "lines": [],
    }
    found: list[tuple[str, dict[str, Any]]] = []
    for module in MODULES:
        if not re.search(options.peers, module):
            continue
        reason = install(module)
        try:
            if reason is None:
                found += [(module, contestant) for contestant in entered(module)]
        except ImportError as error:
            reason = str(error)
        if reason is not None:
            record["not installed"][module] = reason
            print(f"{module} does not install: {reason}", flush=True)
    record["versions"] = versions()
    installed = {module for module, _ in found}
    found = [entry for entry in found if re.search(options.tasks, entry[1]["task"])]
    found.sort(key=lambda entry: TASKS.index(entry[1]["task"]))
    if options.add:
        anew = {(module, x["name"], x["task"]) for module, x in found}
        before = json.loads(options.json.read_text())
        record["lines"] = [
            x for x in before["lines"] if (x["module"], x["name"], x["task"]) not in anew
        ]
        missing = before["not installed"] | record["not installed"]
        record["not installed"] = {x: y for x, y in missing.items() if x not in installed}
    until = time.monotonic() + 60 * options.minutes
    for module, contestant in found:
        for line in measure(module, contestant, options, until):
            record["lines"].append(line)
            print(said_of(line), flush=True)
        record["lines"].sort(key=lambda x: (TASKS.index(x["task"]), MODULES.index(x["module"])))
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return record


def said_of(line: Line) -> str:
    head = f"{line['task']:11} {line['name']:36} {line['rows']:4} x {line['n']:<9,}"
    return f"{head} {line['strength']:4g} " + (line["status"] if "status" in line else cell(line))


def ratio(values: dict[str, Any]) -> str:
    if "ratio" not in values:
        return ""
    spread = values["spread"]
    text = f"{brief(values['ratio'])} ± {spread:,.0f}" if spread >= 9.5 else ""
    text = text or f"{brief(values['ratio'])} ± {spread:.1g}"
    return f"**{text}**" if values["ratio"] < 1 else text


def brief(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def brief_error(error: float | None) -> str:
    if error is None:
        return "?"
    return f"{error:.0e}" if error < 0.01 else f"{error:.1g}"


def cell(line: Line) -> str:
    both = [line[x] for x in ("forward", "forward+backward") if x in line]
    times = ", ".join([brief(x["nanoseconds"]) for x in both] + ["–"] * (2 - len(both)))
    ratios = f" ({'; '.join(map(ratio, both))})" if "ratio" in both[0] else ""
    memory = "?" if line["bytes"] is None else f"{line['bytes']:,.0f}"
    return f"{times}{ratios}; {memory} B; {brief_error(line['error'])}"


def short_status(line: Line) -> str:
    """Such as "over 5 s", and a dash for what was not tried."""
    status: str = line["status"]
    return "–" if status.startswith(NOT_TRIED) else status.partition(":")[0]


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(x) + " |" for x in [heading, ["---"] * len(heading), *rows])


def by_contestant(lines: Sequence[Line], task: str) -> dict[str, list[Line]]:
    """In the order in which they were measured."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        if line["task"] == task:
            found.setdefault(line["name"], []).append(line)
    return found


def grid(
    lines: Sequence[Line], lengths: Sequence[int], strength: float, show: Callable[[Line], str]
) -> list[str]:
    """A cell for each length."""
    chosen = {x["n"]: x for x in lines if x["strength"] == strength}
    return [
        short_status(chosen[n])
        if "status" in chosen.get(n, {})
        else show(chosen[n])
        if n in chosen
        else ""
        for n in lengths
    ]


def tables(record: dict[str, Any]) -> str:
    """All of it."""
    lines = record["lines"]
    lengths = sorted({line["n"] for line in lines})
    parts = [f"# {title(record)}\n", explanation(record)]
    for task in dict.fromkeys(line["task"] for line in lines):
        rows = []
        for name, own in by_contestant(lines, task).items():
            strengths = dict.fromkeys(line["strength"] for line in own)
            rows += [[name, f"{a:g}", *grid(own, lengths, a, cell)] for a in strengths]
        parts.append(f"\n## {task}\n\n" + table(["", "α", *map("{:,}".format, lengths)], rows))
    formulas = {(line["name"], line["task"]): line for line in lines}
    rows = [[task, name, x["formula"], x["note"]] for (name, task), x in formulas.items()]
    parts.append("\n## What α is\n\n" + table(["task", "contestant", "", ""], rows))
    failed = {
        f"{line['name']}, {line['task']}": line["backward"] for line in lines if "backward" in line
    }
    failed |= {
        f"{line['name']}, {line['task']}, n = {line['n']:,}, α = {line['strength']:g}": line[
            "status"
        ]
        for line in lines
        if line.get("status", "").startswith(("refused", "ended"))
    }
    if failed:
        parts.append("\n## What was refused\n\n" + table(["", ""], list(failed.items())))
    if record["not installed"]:
        missing = list(record["not installed"].items())
        parts.append("\n## Does not install\n\n" + table(["peer", "reason"], missing))
    return "\n".join(parts) + "\n"


def title(record: dict[str, Any]) -> str:
    machine = record["environment"]
    dates = sorted({line["date"] for line in record["lines"]})
    when = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    return f"{when}, {machine['cpu']}, torch {machine['torch']}, Python {machine['python']}"


def explanation(record: dict[str, Any]) -> str:
    limits = " or ".join(sorted({line["limits"] for line in record["lines"]}))
    packages = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    return (
        "One thread, float32, scores from N(0,1), batches of at least 4096 items. Each cell: ns "
        "per item forward, and forward and backward; in brackets both as multiples of rank_relax's "
        "in the same run, half of the rounds within ±, bold where rank_relax is the slower; bytes "
        "per item at the height of a call with its backward (? for JAX, which keeps it all); "
        "the error against the contestant's own formula in float64, over the largest value (? "
        f"where none is computed, or not in {ERROR_SECONDS} s; the short table has the largest of "
        f"lengths up to {MAIN_ERRORS}). Limits: {limits}, and {COMPILE_SECONDS} s for the first "
        "calls of what is compiled; – was not tried, as a shorter list had gone wrong at that α or "
        f"no time was left. rank_relax {record['environment']['rank_relax']}, {packages}."
    )


def main_table(record: dict[str, Any]) -> str:
    """For docs/peers.md: forward and backward at one strength."""
    lines = record["lines"]
    lengths = sorted({line["n"] for line in lines})

    def show(line: Line) -> str:
        if "backward" in line:
            return "no gradient"
        both = line["forward+backward"]
        if "ratio" not in both:
            return f"{brief(both['nanoseconds'])} ns"
        return ratio(both)

    rows = []
    for task in dict.fromkeys(line["task"] for line in lines):
        for name, own in by_contestant(lines, task).items():
            errors = [
                x["error"] for x in own if x["n"] <= MAIN_ERRORS and x.get("error") is not None
            ]
            at = [
                x for x in own if x["n"] == 1000 and x["strength"] == MAIN_STRENGTH and "bytes" in x
            ]
            memory = f"{at[0]['bytes']:,.0f}" if at and at[0]["bytes"] is not None else ""
            worst = brief_error(max(errors)) if errors and not own[0]["hard"] else ""
            rows.append([task, name, *grid(own, lengths, MAIN_STRENGTH, show), memory, worst])
    for module, reason in record["not installed"].items():
        rows.append(["", module, f"does not install: {reason}", *[""] * (len(lengths) + 1)])
    return table(["", "", *map("{:,}".format, lengths), "bytes", "error"], rows)


def draw(record: dict[str, Any], path: Path) -> None:
    """Time per item of soft ranks with their backward against the length of a list."""
    sys.path.append(str(REPOSITORY / "docs" / "examples"))
    from matplotlib.figure import Figure
    from plot_cpu import Line as Curve
    from plot_cpu import Spread, draw_panel, label_lines, two_panels, write_caption
    from themes import Theme, save

    def draw_figure(theme: Theme, narrow: bool) -> Figure:
        colours = {
            "rank_relax, sigmoid": theme.blue,
            "rank_relax, l2": theme.green,
            "torch.sort, hard": theme.ink,
            "torchsort, l2": theme.orange,
            "LapSum's formula, plain torch": theme.pink,
            "softtorch, projection": theme.yellow,
            "projection, numba, l2": theme.yellow,
            "plain torch, n²": theme.faint,
            "plain torch, n², compiled": theme.pink,
        }
        figure, panels = two_panels(narrow)
        for axes, task in zip(panels, DRAWN, strict=True):
            curves = []
            for name, own in by_contestant(record["lines"], task).items():
                points = [
                    (x["n"], x["forward+backward"]["nanoseconds"])
                    for x in own
                    if "forward+backward" in x and x["strength"] == MAIN_STRENGTH
                ]
                if points and name in DRAWN[task]:
                    width = 2.4 if name.startswith("rank_relax") else 1.3
                    spreads = [(n, Spread(t, t, t)) for n, t in points]
                    label = name.replace(", ", ",\n", 1) if narrow and len(name) > 16 else name
                    curves.append(Curve(label, colours[name], width, spreads))
            draw_panel(axes, curves, theme)
            label_lines(axes, curves, 9 if narrow else 10)
            axes.set(title=task)
            axes.set_xticks([2**4, 2**10, 2**20], ["16", "1024", "1 million"])
        for axes in panels if narrow else panels[:1]:
            axes.set_ylabel("ns per item, forward and backward")
        panels[0].yaxis.set_major_formatter("{x:g}")
        caption = f"α = {MAIN_STRENGTH:g}, float32, N(0,1), one thread; {title(record)}; "
        caption += "the table has the others"
        write_caption(figure, caption, theme, narrow)
        return figure

    save(path, draw_figure, size=10)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peers", default="", help="modules of peers/ that this regex finds")
    parser.add_argument("--tasks", default="", help="tasks that this regex finds")
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    parser.add_argument("--strengths", type=float, nargs="+", default=STRENGTHS)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=5, help="of the processor for a problem")
    parser.add_argument("--gigabytes", type=float, default=6, help="that a process may take")
    parser.add_argument("--minutes", type=float, default=120, help="that all may take")
    parser.add_argument("--json", type=Path, default=RESULTS)
    parser.add_argument("--add", action="store_true", help="keep what the JSON has of others")
    parser.add_argument("--show", action="store_true", help="measure nothing")
    options = parser.parse_args()
    options.lengths = sorted(options.lengths)
    record = json.loads(options.json.read_text()) if options.show else run(options)
    options.json.with_suffix(".md").write_text(tables(record))
    if options.json == RESULTS:
        draw(record, PICTURE)
    print(main_table(record))


if __name__ == "__main__":
    main()
