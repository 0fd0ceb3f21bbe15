"""Where figures were measured: what every results file begins with."""

import os
import platform
import re
from importlib import metadata
from pathlib import Path

import torch

INSTRUCTION_SET = "RANK_RELAX_INSTRUCTION_SET"  # the environment variable that the library reads


def environment() -> dict[str, str | int | None]:
    return {
        "rank_relax": metadata.version("rank_relax"),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "torch instruction set": torch.backends.cpu.get_cpu_capability(),
        INSTRUCTION_SET: os.environ.get(INSTRUCTION_SET),
    }


def cpu_model() -> str:
    try:
        information = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor()
    found = re.search(r"^model name\s*: (.*)$", information, re.MULTILINE)
    return found[1] if found else platform.processor()
