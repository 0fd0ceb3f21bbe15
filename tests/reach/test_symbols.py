"""What the linker may have mixed up: code for one instruction set under a name shared by all."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import rank_relax
from rank_relax import _build_info

LIBRARY = Path(rank_relax.__file__).parent / _build_info.library
# "  address:  mnemonic  operands": those of AVX and what came after it begin with v.
WIDE = re.compile(r"\s*[0-9a-f]+:\s+(v[a-z0-9]+)")
NOT_WIDE = {"verr", "verw", "vmcall"}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump (binutils) is not installed")
def test_only_functions_named_for_an_instruction_set_use_it() -> None:
    """Another one might be the copy that the linker kept for every machine."""
    listing = subprocess.run(
        ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(LIBRARY)],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    # Or as it is mangled, where binutils gives up on a name: in the namespace, or of its struct.
    mangled = r"(?:3cpu\d(avx2|avx512)\d|\d(avx2|avx512)14InstructionSet)"
    set_of = re.compile(rf"rank_relax(?:::cpu::(avx2|avx512)::|.*?{mangled})")
    function, wide_functions, sets = "", set(), set()
    for line in listing.splitlines():
        if line.endswith(">:"):
            function = line
        elif (found := WIDE.match(line)) and found.group(1) not in NOT_WIDE:
            if (named := set_of.search(function)) is not None:
                sets.add(named[named.lastindex])
            else:
                wide_functions.add(function)
    assert not wide_functions
    if "x86-64" in listing:
        assert sets == {"avx2", "avx512"}
