"""What docs/architecture.md promises: that names lead to files, and a row's way is short."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from rank_relax import _operators

CHECKOUT = Path(__file__).resolve().parents[2]
CSRC = CHECKOUT / "csrc"
PAGE = (CHECKOUT / "docs" / "architecture.md").read_text()
MOST_FILES = 11
# A path in a sentence or in an include of ours; torch's own headers stand in angle brackets.
PATH = re.compile(r"(?<![\w./<-])(?:csrc/)?((?:c|core|cpu|cuda|torch)/[\w/]+\.(?:h|cuh|cu|cpp))\b")
BREAK_IN_A_COMMENT = re.compile(r"\n\s*(?:///?|#)\s*")


def texts() -> Iterator[tuple[str, str]]:
    """Every file that may name one of csrc, without the breaks of lines in its comments."""
    folders = ("csrc", "rank_relax", "tests", "docs", "benchmarks")
    files = [path for folder in folders for path in (CHECKOUT / folder).rglob("*")]
    for path in (*files, *CHECKOUT.glob("*.md"), CHECKOUT / "setup.py"):
        if path.suffix in (".h", ".cpp", ".cuh", ".cu", ".py", ".md", ".pyi"):
            text = BREAK_IN_A_COMMENT.sub(" ", path.read_text())
            yield path.relative_to(CHECKOUT).as_posix(), text


def way_of_a_row() -> list[Path]:
    return [
        CHECKOUT / file for file in re.findall(r"^\| \d+ \| `([\w/.]+)` \|", PAGE, re.MULTILINE)
    ]


def test_every_file_of_csrc_that_is_named_is_there() -> None:
    named = [(file, path) for file, text in texts() for path in PATH.findall(text)]
    assert len(named) > 500
    of_tests = CHECKOUT / "tests" / "cdf"  # which stands before csrc in the include path
    missing = [
        (file, path)
        for file, path in named
        if not any((folder / path).exists() for folder in (CSRC, of_tests))
    ]
    assert missing == []


def test_a_row_goes_through_eleven_files_at_most_and_each_leads_to_the_next() -> None:
    files = way_of_a_row()
    assert 8 <= len(files) <= MOST_FILES
    assert all(file.exists() for file in files)
    headers = [file for file in files if (CSRC / "cpu") in file.parents and file.suffix == ".h"]
    assert len(headers) >= 6
    for file, next_file in itertools.pairwise(headers):
        assert f'#include "{next_file.relative_to(CSRC).as_posix()}"' in file.read_text()


def test_an_operator_is_found_by_its_name_in_every_room() -> None:
    operators = {path.stem for path in (CSRC / "torch" / "operators").glob("*.h")}
    public = operators & set(_operators.OPERATORS)
    assert len(public) >= 6
    for operator in public:
        rooms = {path.parent.relative_to(CSRC).as_posix() for path in CSRC.rglob(f"{operator}*")}
        assert {"cpu", "torch/operators", "torch/autograd", "torch/cpu"} <= rooms, operator
        # Hard ranks are sorts by torch on a GPU. A soft count is there what it is on any device.
        if operator != "hard_rank":
            on_cuda = "torch/any_device" if operator == "soft_count" else "torch/cuda"
            assert {"cpu/batch", on_cuda} <= rooms, operator
