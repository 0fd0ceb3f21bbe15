"""Programs in C++ that link the library, with no Python in the process."""

import os
import re
import subprocess
from pathlib import Path

import rank_relax
from rank_relax import _build_info

LIBRARY = Path(rank_relax.__file__).parent / _build_info.library


def test_the_example_trains(cpp_programs: Path) -> None:
    """It fails unless its loss falls; no environment, so nothing finds Python for it."""
    run = subprocess.run(
        [cpp_programs / "example" / "train"], capture_output=True, text=True, env={}
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "after" in run.stdout


def test_the_example_loads_no_python(cpp_programs: Path) -> None:
    environment = {**os.environ, "LD_TRACE_LOADED_OBJECTS": "1"}
    loaded = subprocess.run(
        [cpp_programs / "example" / "train"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    ).stdout
    assert str(LIBRARY) in loaded  # kept, though no symbol of it is used
    assert "libtorch_cpu" in loaded
    assert not re.search(r"lib(torch_)?python[\d.]*\.so", loaded)
