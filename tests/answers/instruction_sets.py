"""Which instruction sets the library has kernels for, and a program that runs with one of them."""

import os
import platform
import subprocess
import sys
from pathlib import Path

INSTRUCTION_SET = "RANK_RELAX_INSTRUCTION_SET"


def instruction_sets() -> dict[str, bool]:
    """The names of all of them, the widest last, and whether this machine has each."""
    description = Path("/proc/cpuinfo")
    text = description.read_text() if description.exists() else ""
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    of_x86 = platform.machine() in ("x86_64", "AMD64")
    avx2 = of_x86 and {"avx2", "fma"} <= set(flags)
    avx512 = avx2 and {"avx512f", "avx512dq", "avx512bw", "avx512vl"} <= set(flags)
    return {"baseline": True, "avx2": avx2, "avx512": avx512}


def start_with_instruction_set(
    name: str, arguments: list[str], directory: Path
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments],
        cwd=directory,  # not where an uncompiled package may lie
        env={**os.environ, INSTRUCTION_SET: name},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


HAS = instruction_sets()
USABLE = [name for name in HAS if HAS[name]]
IN_USE = os.environ.get(INSTRUCTION_SET) or USABLE[-1]
