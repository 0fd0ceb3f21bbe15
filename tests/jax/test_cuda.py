"""The handlers for CUDA compile, where there is a toolkit; no machine here can run them."""

import re
import shutil
import subprocess
from pathlib import Path

import jax
import pytest

SOURCES = Path(__file__).resolve().parents[2] / "csrc"


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs the CUDA toolkit")
def test_the_handlers_for_cuda_compile() -> None:
    asked = ["nvcc", "--dryrun", "-x", "cu", "-c", "/dev/null", "-o", "/dev/null"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False).stderr
    top = re.search(r"^#\$ TOP=(.*)$", answer, re.MULTILINE)
    assert top is not None
    for source in (SOURCES / "jax" / "cuda").glob("*.cpp"):
        compiled = subprocess.run(
            [
                *("g++", "-std=c++17", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"),
                *(f"-I{SOURCES}", f"-isystem{jax.ffi.include_dir()}"),
                *(f"-isystem{Path(top[1], 'include').resolve()}", source),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert compiled.returncode == 0, compiled.stderr
