"""That every package, library and door has the version of pyproject.toml."""

import re
import tomllib
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
VERSION: str = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]
# As RANK_RELAX_VERSION has it: 10000 major + 100 minor + patch.
NUMBER = str(sum(10 ** (4 - 2 * i) * int(part) for i, part in enumerate(VERSION.split("."))))
# What compilers and packagers read, by the name of the file. A version of another package stands
# behind that package's name; ours are lines of their own, and what our crates ask of each other.
MANIFESTS = {
    "CMakeLists.txt": r"\bproject\(\w+ VERSION (\S+)",
    "Cargo.toml": r'^(?:rank-relax\S* = .*)?\bversion = "(.*?)"',
    "Project.toml": r'^version = "(.*)"',
    "pyproject.toml": r'^version = "(.*)"',
}
# Crates that have the version of the workspace around them.
OF_THE_WORKSPACE = "version.workspace = true"
IN_SOURCES = {
    "csrc/c/include/rank_relax.h": (
        (r"^#define RANK_RELAX_VERSION (\d+) ", NUMBER),
        (r"^#define RANK_RELAX_VERSION .* (\S+) \*/", VERSION),
    ),
    "csrc/jax/rank_relax_jax/__init__.py": ((r'^__version__ = "(.*)"', VERSION),),
    "csrc/julia/RankRelax.jl/src/RankRelax.jl": ((r"^const VERSION_OF_HEADER = (\d+)", NUMBER),),
    "csrc/rust/rank-relax-sys/src/lib.rs": ((r"RANK_RELAX_VERSION: u32 = (\d+);", NUMBER),),
    # The version that was released last, or that what is unreleased is to have.
    "CHANGELOG.md": ((r"\A(?:.*\n)*?(?:To be (\S+)\.$|## \[(?!Unreleased)(.*?)\])", VERSION),),
}


def manifests() -> list[str]:
    found = (path for name in MANIFESTS for path in (CHECKOUT / "csrc").rglob(name))
    return sorted(path.relative_to(CHECKOUT).as_posix() for path in found)


def said(file: str, pattern: str) -> set[str]:
    matches = re.finditer(pattern, (CHECKOUT / file).read_text(), re.MULTILINE)
    return {"".join(group or "" for group in match.groups()) for match in matches}


@pytest.mark.parametrize("file", manifests())
def test_a_manifest_has_the_version_of_pyproject(file: str) -> None:
    found = said(file, MANIFESTS[Path(file).name])
    if OF_THE_WORKSPACE in (CHECKOUT / file).read_text().splitlines():
        assert found <= {VERSION}, file
    else:
        assert found == {VERSION}, file


@pytest.mark.parametrize("file", IN_SOURCES)
def test_a_source_that_says_the_version_says_that_of_pyproject(file: str) -> None:
    for pattern, expected in IN_SOURCES[file]:
        assert said(file, pattern) == {expected}, file


def test_all_that_is_packaged_is_among_the_manifests() -> None:
    packages = {Path(file).parent.as_posix() for file in manifests()}
    assert {
        "csrc",
        "csrc/jax",
        "csrc/julia/RankRelax.jl",
        "csrc/rust",
        "csrc/rust/rank-relax",
        "csrc/rust/rank-relax-candle",
        "csrc/rust/rank-relax-sys",
        "csrc/rust/rank-relax-tch",
    } <= packages
